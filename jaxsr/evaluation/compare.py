"""Methods side by side on one test set: what they are given, the report, what its figures mean."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxsr.evaluation.evaluate import Method, classical_methods, evaluate, read_set
from jaxsr.imaging import dictionary
from jaxsr.imaging.bands import Ranges
from jaxsr.imaging.color import to_float
from jaxsr.imaging.degrade import Bicubic, degradation_fields, make_degradation
from jaxsr.imaging.find import find_pictures
from jaxsr.interop.load import Given
from jaxsr.networks.weights import Weights


def common_input(
    networks: Mapping[str, Weights], given: Mapping[str, Given], scale: int | None
) -> tuple[Any, int, Ranges]:
    """The degradation, the channels and the ranges that all networks are measured with.

    Up-scalers get MATLAB's bicubic, networks of scale 1 what they were trained on, `given`.
    ValueError where the networks, or `scale`, which is needed without any, differ.
    """
    for name, weights in networks.items():
        if getattr(weights.arch, "latent", 0):
            raise ValueError(
                f"{name} makes pictures of noise, which have no original to be measured against; "
                "look at them with jaxsr sample"
            )
    scales = {name: weights.arch.scale for name, weights in networks.items()}
    common: int = _common("scale", scales | ({"--scale": scale} if scale is not None else {}))
    channels = _common("channels", {n: w.arch.channels for n, w in networks.items()}, absent=3)
    ranges = _common("ranges", {name: g.ranges for name, g in given.items()}, absent=())
    if common > 1:
        levels = 255 if channels in (1, 3) and not ranges else 0
        return Bicubic(common, levels), channels, ranges
    for name, each in given.items():
        if each.degrade is None:
            raise ValueError(
                f"{name} does not say what it was trained to restore; name the run or the file "
                "that jaxsr train wrote"
            )
    degradations = {name: make_degradation(g.degrade or {}, 1) for name, g in given.items()}
    return _common("degradation", degradations), channels, ranges


def _common(what: str, values: Mapping[str, Any], **absent: Any) -> Any:
    if not values and absent:
        return absent["absent"]
    if len(set(values.values())) != 1:
        got = ", ".join(f"{name} {value}" for name, value in values.items()) or "none"
        raise ValueError(
            f"{what}: got {got}, wanted one for all; measure networks that differ one by one, and "
            "give --scale where there is none"
        )
    return next(iter(values.values()))


def compare(
    networks: Mapping[str, Method],
    sources: Sequence[str],
    *,
    degradation: Any,
    channels: int = 3,
    ranges: Ranges = (),
    mesh: Mesh | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure the classical methods, then each of `networks`; yields the report as it grows.

    A report is `{"dataset", "scale", "definition", "methods": {name: result of evaluate}}`, each
    result with the `seconds` it took, compilation too, and with None for what is infinite, since
    JSON has no word for it.
    """
    scale = degradation.scale
    rows = classical_methods(scale)
    for name in networks:
        if name in rows:
            raise ValueError(
                f"weights: {name} is the name of a classical method; rename the file or the folder"
            )
    examples = read_set(find_pictures(sources), scale=scale, channels=channels, ranges=ranges)
    report: dict[str, Any] = {
        "dataset": " ".join(sources),
        "scale": scale,
        "definition": definition(degradation, channels=channels, ranges=ranges),
        "methods": {},
    }
    for name, method in ({row: row for row in rows} | dict(networks)).items():
        start = time.monotonic()
        result = evaluate(method, examples, degradation=degradation, mesh=mesh)
        seconds = time.monotonic() - start
        report["methods"][name] = _finite(result) | {"seconds": seconds}
        yield report


def learn(
    sources: Sequence[str], *, degradation: Any, channels: int, ranges: Ranges
) -> Callable[[np.ndarray], np.ndarray]:
    """Sparse coding with dictionaries learnt from training pictures, as a method to evaluate.

    ValueError for what it cannot undo: anything but the reduction by a scale.
    """
    if not isinstance(degradation, Bicubic):
        raise ValueError("--dictionary enlarges, but these networks restore; leave it out")
    examples = read_set(
        find_pictures(sources), scale=degradation.scale, channels=channels, ranges=ranges
    )
    pictures = [to_float(example.hr) for example in examples]
    return dictionary.fit(pictures, scale=degradation.scale).enlarge


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _finite(value) for name, value in tree.items()}
    return tree if math.isfinite(tree) else None


def definition(spec: Any, *, channels: int = 3, ranges: Ranges = ()) -> str:
    """What the figures mean, in a sentence that stands beside every table."""
    lr = f"LR by MATLAB bicubic x1/{spec.scale}"
    if not isinstance(spec, Bicubic):
        lr = f"input degraded by {degradation_fields(spec)}, drawn from seed 0"
    rounded = "nothing rounded" if channels not in (1, 3) or ranges else "both rounded to 8 bits"
    crop = f"{spec.scale} pixels cropped from each border" if spec.scale > 1 else "nothing cropped"
    over = (
        "_y on Y of BT.601 (16-235, not rounded), _rgb on RGB"
        if channels in (1, 3)
        else (f"over {channels} bands, 0 to 1 in their ranges")
    )
    window = "SSIM with an 11x11 Gaussian window of sigma 1.5, valid part"
    return f"{lr}; {rounded}; {crop}; {over}; {window}"
