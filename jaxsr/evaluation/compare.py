"""Methods side by side on one test set: what they are given, the report, what its figures mean."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxsr.evaluation.evaluate import Example, Method, evaluate, read_set
from jaxsr.evaluation.measures import Measures
from jaxsr.imaging import dictionary, files
from jaxsr.imaging.bands import Ranges, check_ranges
from jaxsr.imaging.color import to_float
from jaxsr.imaging.degrade import Bicubic, degradation_fields, make_degradation
from jaxsr.imaging.find import find_pictures
from jaxsr.networks.weights import Weights


class Learnt(NamedTuple):
    """A method on the host, and the seconds that learning it took."""

    enlarge: Callable[[np.ndarray], np.ndarray]
    seconds: float


def common_input(
    networks: Mapping[str, Weights],
    trained: Mapping[str, Mapping[str, Any] | None],
    scale: int | None,
    *,
    sources: Sequence[str],
    ranges: Ranges = (),
    makes_input: bool = True,
) -> tuple[Any, int, Ranges]:
    """The degradation, the channels and the ranges that all networks are measured with.

    Up-scalers get MATLAB's bicubic with the levels that they were trained on, where those were
    stated; networks of scale 1 what they were `trained` to undo, unless the input is there and
    nothing `makes_input`. `scale`, and the channels of the
    first picture of `sources`, stand where there is no network. ValueError where the networks, or
    `scale` or `ranges`, differ.
    """
    for name, weights in networks.items():
        if getattr(weights.arch, "latent", 0):
            raise ValueError(
                f"{name} makes pictures of noise, which have no original to be measured against; "
                "look at them with jaxsr sample"
            )
    scales = {name: weights.arch.scale for name, weights in networks.items()}
    common: int = _common("scale", scales | ({"--scale": scale} if scale is not None else {}))
    stated = {name: w.ranges for name, w in networks.items()}
    ranges = _common("ranges", stated | ({"--ranges": ranges} if ranges else {}), absent=())
    known = {name: w.arch.channels for name, w in networks.items()}
    channels = _common("channels", known) if known else _channels(sources, ranges)
    check_ranges(ranges, channels)
    fields = {name: trained[name] for name in networks}
    if common > 1 or not makes_input:
        levels = {n: f["levels"] for n, f in fields.items() if f and "levels" in f}
        return Bicubic(common, _common("degrade.levels", levels, absent=None)), channels, ranges
    degradations = {name: _restored(name, each) for name, each in fields.items()}
    return _common("degradation", degradations), channels, ranges


def _channels(sources: Sequence[str], ranges: Ranges) -> int:
    """Those of the first picture; of photographs three, so that grey and RGB go together."""
    first = files.header(find_pictures(sources)[0])
    photograph = first.channels in (1, 3) and first.dtype != "float32" and not ranges
    return 3 if photograph else first.channels


def _restored(name: str, fields: Mapping[str, Any] | None) -> Any:
    """The degradation that a network of scale 1 was trained to undo."""
    spec = None if fields is None else make_degradation(fields, 1)
    if spec is None:
        raise ValueError(
            f"{name} does not say what it was trained to restore; name the run or the file that "
            "jaxsr train wrote"
        )
    if isinstance(spec, Bicubic):
        raise ValueError(
            f"{name} was trained on pairs, whose degradation is not known, so that no picture can "
            "be degraded alike; look at what jaxsr upscale makes of degraded ones"
        )
    return spec


def _common(what: str, values: Mapping[str, Any], **absent: Any) -> Any:
    if not values and absent:
        return absent["absent"]
    if not values:
        raise ValueError(f"{what}: got none; give --{what}, or --weights, which have one")
    if len(set(values.values())) != 1:
        got = ", ".join(f"{name} {value}" for name, value in values.items())
        raise ValueError(
            f"{what}: got {got}, wanted one for all; measure networks that differ one by one"
        )
    return next(iter(values.values()))


def check_names(networks: Iterable[str], rows: Iterable[str]) -> None:
    """Raise ValueError for a network that is called like another row."""
    for name in networks:
        if name in rows:
            raise ValueError(
                f"weights: {name} is the name of a row that needs none; rename the file or folder"
            )


def compare(
    methods: Mapping[str, Method | Learnt],
    examples: Sequence[Example],
    *,
    dataset: str,
    degradation: Any,
    measures: Measures,
    mesh: Mesh | None = None,
    seen: Callable[[str, Example, np.ndarray, np.ndarray], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure one method after the other; yields the report as it grows.

    `check_names` and `check_sizes` refuse what would fail on the way.

    A report is `{"dataset", "scale", "definition", "methods": {name: result of evaluate}}`, each
    result with the `seconds` that all of it took, and of `Learnt` the learning, which also
    stands alone as `learning_seconds`. What is infinite is "inf" and what is no number is None,
    since JSON has neither. `seen` is called with the method's name, the example, its LR and its SR.
    """
    report: dict[str, Any] = {
        "dataset": dataset,
        "scale": degradation.scale,
        "definition": definition(degradation, examples, measures),
        "methods": {},
    }
    for name, method in methods.items():
        start, learning = time.monotonic(), {}
        if isinstance(method, Learnt):
            start, learning = start - method.seconds, {"learning_seconds": method.seconds}
            method = method.enlarge
        result = evaluate(
            method,
            examples,
            degradation=degradation,
            measures=measures,
            mesh=mesh,
            seen=None if seen is None else partial(seen, name),
        )
        seconds = {"seconds": time.monotonic() - start}
        report["methods"][name] = _jsonable(result) | seconds | learning
        yield report


def learn(sources: Sequence[str], *, degradation: Any, channels: int, ranges: Ranges) -> Learnt:
    """Sparse coding with dictionaries learnt from training pictures, as a method to compare.

    ValueError for what it cannot undo: anything but the reduction by a scale.
    """
    if not isinstance(degradation, Bicubic):
        raise ValueError("--dictionary enlarges, but these networks restore; leave it out")
    start = time.monotonic()
    examples = read_set(
        find_pictures(sources), scale=degradation.scale, channels=channels, ranges=ranges
    )
    pictures = [to_float(example.like) for example in examples]
    learnt = dictionary.fit(pictures, scale=degradation.scale)
    return Learnt(learnt.enlarge, time.monotonic() - start)


def _jsonable(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _jsonable(value) for name, value in tree.items()}
    return None if math.isnan(tree) else tree if math.isfinite(tree) else "inf"


def definition(spec: Any, examples: Sequence[Example], measures: Measures) -> str:
    """What the figures mean, in a sentence that stands beside every table."""
    crop = f"{spec.scale} pixels cropped from each border" if spec.scale > 1 else "nothing cropped"
    parts = [_input(spec, examples), _rounding(spec, examples), crop]
    parts += [text for part, text in _MEANINGS.items() if _any_has(measures.names, part)]
    parts.append("seconds of everything: methods, metrics, compilation")
    bands = examples[0].like.shape[-1]
    if bands not in (1, 3):
        parts.append(f"over {bands} bands, 0 to 1 in their ranges")
    return "; ".join(parts)


# What metrics mean, by how their names begin or end.
_MEANINGS = {
    "_y": "_y on Y of BT.601 (16-235, not rounded)",
    "_rgb": "_rgb on RGB",
    "psnr": "mean PSNR over the pictures that are not identical",
    "ssim": "SSIM with an 11x11 Gaussian window of sigma 1.5, valid part",
    "ms_ssim": "MS-SSIM over five scales as pytorch_msssim has it",
    "lpips": "LPIPS 0.1 on RGB",
    "dists": "DISTS on RGB, not resized",
    "niqe": "NIQE as BasicSR has it, on Y of SR, none without texture",
    "shift": "shift the mean of SR - HR in levels of 8 bits",
    "consistency": "consistency the RMSE of LR and SR reduced by MATLAB bicubic, in levels",
}


def _any_has(names: Sequence[str], part: str) -> bool:
    return any(name.endswith(part) if part[0] == "_" else name.startswith(part) for name in names)


def _input(spec: Any, examples: Sequence[Example]) -> str:
    if examples[0].hr is None:
        return "pictures without an original"
    if examples[0].lr is not None:
        return "LR of pairs"
    if isinstance(spec, Bicubic):
        return f"LR by MATLAB bicubic x1/{spec.scale}"
    return f"input degraded by {degradation_fields(spec)}, drawn from seed 0"


def _rounding(spec: Any, examples: Sequence[Example]) -> str:
    eight = sum(example.like.dtype == np.uint8 for example in examples)
    made = examples[0].lr is None
    sr = "nothing" if not eight else "LR and SR" if made and spec.levels is None else "SR"
    some = f" of the {eight} pictures that have them" if 0 < eight < len(examples) else ""
    rounded = f"{sr} rounded" + (f" to 8 bits{some}" if eight else "")
    return f"{rounded}, LR to {spec.levels} levels" if made and spec.levels is not None else rounded
