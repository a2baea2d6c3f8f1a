"""What must hold of figures, for programs that ask: `psnr_y>=32.0`."""

import math
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_HOLDS = {">=": operator.ge, "<=": operator.le}


class Requirement(NamedTuple):
    """A bound on the mean of a metric."""

    metric: str
    sign: str
    bound: float


def parse(text: str) -> Requirement:
    """Read `METRIC>=NUMBER` or `METRIC<=NUMBER`; ValueError for anything else."""
    match = re.fullmatch(r"\s*(\w+)\s*(>=|<=)\s*(\S+)\s*", text)
    try:
        bound = float(match[3]) if match else math.nan
    except ValueError:
        bound = math.nan
    if match is None or math.isnan(bound):
        raise ValueError(f"--require {text}: wanted METRIC>=NUMBER or <=, such as psnr_y>=32.0")
    return Requirement(match[1], match[2], bound)


def unmet(
    wanted: Sequence[Requirement], report: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Say in a sentence each what does not hold of the methods called `names`, or of any."""
    failures = []
    for name, result in report["methods"].items():
        for metric, sign, bound in wanted if name in (names or report["methods"]) else ():
            mean = result["mean"][metric]
            if mean is None or not _HOLDS[sign](float(mean), bound):
                value = "no number" if mean is None else mean
                failures.append(f"{name}: {metric} is {value}, wanted {sign} {bound}")
    return failures
