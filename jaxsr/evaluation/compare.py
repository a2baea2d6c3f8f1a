"""Methods side by side on one test set: what they are given, the report, what its figures mean."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from jaxsr.evaluation.evaluate import Example, Method, classical_methods, evaluate, read_set
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
) -> tuple[Any, int, Ranges]:
    """The degradation, the channels and the ranges that all networks are measured with.

    Up-scalers get MATLAB's bicubic with the levels that they were trained on, where those were
    stated; networks of scale 1 what they were `trained` to undo. `scale`, and the channels of the
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
    if common > 1:
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


def compare(
    networks: Mapping[str, Method | Learnt],
    sources: Sequence[str],
    *,
    degradation: Any,
    channels: int = 3,
    ranges: Ranges = (),
    mesh: Mesh | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure the classical methods, then each of `networks`; yields the report as it grows.

    A report is `{"dataset", "scale", "definition", "methods": {name: result of evaluate}}`, each
    result with the `seconds` it took, compilation too, and of `Learnt` the learning, which also
    stands alone as `learning_seconds`. What is infinite is None, since JSON has no word for it.
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
        "definition": definition(degradation, examples),
        "methods": {},
    }
    for name, method in ({row: row for row in rows} | dict(networks)).items():
        start, learning = time.monotonic(), {}
        if isinstance(method, Learnt):
            start, learning = start - method.seconds, {"learning_seconds": method.seconds}
            method = method.enlarge
        result = evaluate(method, examples, degradation=degradation, mesh=mesh)
        seconds = {"seconds": time.monotonic() - start}
        report["methods"][name] = _finite(result) | seconds | learning
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
    pictures = [to_float(example.hr) for example in examples]
    learnt = dictionary.fit(pictures, scale=degradation.scale)
    return Learnt(learnt.enlarge, time.monotonic() - start)


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _finite(value) for name, value in tree.items()}
    return tree if math.isfinite(tree) else None


def definition(spec: Any, examples: Sequence[Example]) -> str:
    """What the figures mean, in a sentence that stands beside every table."""
    channels = examples[0].hr.shape[-1]
    lr = f"LR by MATLAB bicubic x1/{spec.scale}"
    if not isinstance(spec, Bicubic):
        lr = f"input degraded by {degradation_fields(spec)}, drawn from seed 0"
    crop = f"{spec.scale} pixels cropped from each border" if spec.scale > 1 else "nothing cropped"
    over = (
        "_y on Y of BT.601 (16-235, not rounded), _rgb on RGB"
        if channels in (1, 3)
        else (f"over {channels} bands, 0 to 1 in their ranges")
    )
    window = "SSIM with an 11x11 Gaussian window of sigma 1.5, valid part"
    means = "mean PSNR over the pictures that are not identical"
    return f"{lr}; {_rounding(spec, examples)}; {crop}; {over}; {window}; {means}"


def _rounding(spec: Any, examples: Sequence[Example]) -> str:
    eight = sum(example.hr.dtype == np.uint8 for example in examples)
    sr = "nothing" if not eight else "both" if spec.levels is None else "SR"
    some = f" of the {eight} pictures that have them" if 0 < eight < len(examples) else ""
    rounded = f"{sr} rounded" + (f" to 8 bits{some}" if eight else "")
    return rounded if spec.levels is None else f"{rounded}, LR to {spec.levels} levels"
