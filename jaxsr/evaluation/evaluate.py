"""Pictures against pictures: PSNR and SSIM of networks and classical methods over a folder."""

import functools
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsr.imaging import classical, dictionary, files, metrics
from jaxsr.imaging.bands import Ranges, to_unit
from jaxsr.imaging.color import from_float, grey, to_float
from jaxsr.imaging.degrade import Bicubic, degradation_fields, degrade, make_degradation
from jaxsr.imaging.find import find_pictures
from jaxsr.inference.upscale import upscale
from jaxsr.interop.load import Given
from jaxsr.networks.weights import Weights

# Weights, the name of a classical method, or float LR [H, W, C] to SR on the host.
Method = Weights | str | Callable[[np.ndarray], np.ndarray]

DEGRADED = "degraded"  # the row of what a network of scale 1 is given


class Example(NamedTuple):
    """A picture of a test set, of a name of its own: [H, W, C], sides multiples of the scale.

    Grey and RGB are uint8; what has other bands or stated ranges is float32, 0 to 1 in its ranges.
    """

    number: int
    name: str
    hr: np.ndarray


def classical_methods(scale: int) -> tuple[str, ...]:
    """The rows that need no weights."""
    return (DEGRADED,) if scale == 1 else tuple(classical.CLASSICAL)


def metric_names(channels: int) -> tuple[str, ...]:
    """What is measured: on Y and RGB, or, of pictures that have neither, over all bands."""
    return ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb") if channels in (1, 3) else ("psnr", "ssim")


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


def read_set(
    paths: Sequence[Path], *, scale: int, channels: int = 3, ranges: Ranges = ()
) -> list[Example]:
    """Read a test set, crop each side to a multiple of the scale; grey is repeated to RGB.

    `channels=1` turns RGB to grey, as training does. A picture is called by its file, or by its
    whole path where two files are called alike. Raises ValueError for a picture that cannot be
    read, has other channels or is too small.
    """
    known = Counter(path.name for path in paths)
    names = [path.name if known[path.name] == 1 else path.as_posix() for path in paths]
    return [
        Example(number, name, _read(path, scale, channels, ranges))
        for number, (name, path) in enumerate(zip(names, paths, strict=True))
    ]


def _read(path: Path, scale: int, channels: int, ranges: Ranges) -> np.ndarray:
    pixels = files.read(path).pixels
    height, width = (n - n % scale for n in pixels.shape[:2])
    least = 11 + 2 * scale
    if min(height, width) < least:
        raise ValueError(
            f"{path}: got {pixels.shape[:2]}, wanted {least} pixels a side for SSIM at x{scale}"
        )
    pixels = pixels[:height, :width]
    if (pixels.shape[-1], channels) == (3, 1):
        pixels = grey(pixels)
    elif (pixels.shape[-1], channels) == (1, 3):
        pixels = pixels.repeat(3, axis=-1)
    if pixels.shape[-1] != channels:
        raise ValueError(
            f"{path}: got {pixels.shape[-1]} channels, wanted the {channels} of the networks; "
            "evaluate them on pictures of their kind"
        )
    try:
        unit = to_unit(pixels, ranges)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return unit if channels not in (1, 3) or ranges else from_float(unit, np.uint8)


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


def evaluate(
    method: Method, examples: Sequence[Example], *, degradation: Any, mesh: Mesh | None = None
) -> dict[str, Any]:
    """PSNR and SSIM of one method: `{"mean": {metric: value}, "images": {name: {metric: value}}}`.

    The input is made by `degradation`, a spec of `jaxsr.imaging.degrade`, for each example from a
    key of its own. Pictures of one shape go to the devices of the mesh together, one each. An
    infinite PSNR (identical pictures) stays infinite.
    """
    scale = degradation.scale
    if isinstance(method, Weights) and method.arch.scale != scale:
        raise ValueError(
            f"scale: got {scale}, but the network's is {method.arch.scale}; pass that one"
        )
    score = _score(mesh, degradation)
    images: dict[str, dict[str, float]] = {}
    names = metric_names(examples[0].hr.shape[-1])
    for batch in _batches(examples, mesh.size if mesh else 1):
        numbers, hr = _place(mesh, batch)
        values = jax.device_get(score(method, numbers, hr))
        for i, example in enumerate(batch):
            images[example.name] = {name: float(values[name][i]) for name in names}
    images = {example.name: images[example.name] for example in examples}
    mean = {m: math.fsum(image[m] for image in images.values()) / len(images) for m in names}
    return {"mean": mean, "images": images}


def degraded(numbers: Any, hr: Any, degradation: Any) -> Any:
    """What a network is given for examples [N, H, W, C] of these numbers, of their dtype."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), numbers)
    lr, _, _ = degrade(keys, jnp.asarray(to_float(hr)), degradation)
    return from_float(lr, hr.dtype)


def super_resolve(method: Weights | str, lr: Any, scale: int) -> Any:
    """LR to SR of the same dtype, by a network or a classical method."""
    if isinstance(method, Weights):
        return upscale(method, lr)
    if method == DEGRADED:
        return lr
    return from_float(classical.enlarge(to_float(lr), scale, method=method), lr.dtype)


def _measure(sr: Any, hr: Any, scale: int) -> dict[str, jax.Array]:
    """Each metric, [N]."""
    crop = 0 if scale == 1 else scale
    names = metric_names(hr.shape[-1])
    if hr.shape[-1] == 1:
        sr, hr = (jnp.repeat(x, 3, axis=-1) for x in (sr, hr))
    sr, hr = to_float(sr), to_float(hr)
    kinds = {"psnr": metrics.psnr, "ssim": metrics.ssim}
    return {n: kinds[n[:4]](sr, hr, crop=crop, luma=n.endswith("_y")) for n in names}


@functools.cache
def _score(mesh: Mesh | None, degradation: Any):
    """(method, numbers, hr) -> metrics [N] each, every device working on its own pictures."""
    scale = degradation.scale

    def score(method, numbers, hr):
        lr = degraded(numbers, hr, degradation)
        return _measure(super_resolve(method, lr, scale), hr, scale)

    out = NamedSharding(mesh, P()) if mesh else None
    by_name = jax.jit(score, static_argnums=0, out_shardings=out)
    by_weights = jax.jit(score, out_shardings=out)
    lower = jax.jit(degraded, static_argnums=2, out_shardings=out)
    measure = jax.jit(_measure, static_argnums=2, out_shardings=out)

    def on_host(method, numbers, hr):
        lr = np.asarray(lower(numbers, hr, degradation))
        sr = np.stack([from_float(method(to_float(picture)), hr.dtype) for picture in lr])
        return measure(sr, hr, scale)

    def by_kind(method, numbers, hr):
        kind = {Weights: by_weights, str: by_name}.get(type(method), on_host)
        return kind(method, numbers, hr)

    return by_kind


def _batches(examples: Sequence[Example], size: int) -> Iterator[list[Example]]:
    by_shape: Mapping[tuple[int, ...], list[Example]] = defaultdict(list)
    for example in examples:
        by_shape[example.hr.shape].append(example)
    for group in by_shape.values():
        for i in range(0, len(group), size):
            yield group[i : i + size]


def _place(mesh: Mesh | None, batch: list[Example]) -> tuple[Any, Any]:
    """Numbers and pictures as arrays over the mesh; the last is repeated to fill the devices."""
    filled = batch + [batch[-1]] * ((mesh.size if mesh else 1) - len(batch))
    numbers = np.array([example.number for example in filled], np.uint32)
    stack = np.stack([example.hr for example in filled])
    if mesh is None:
        return numbers, stack
    sharding = NamedSharding(mesh, P(mesh.axis_names[0]))

    def placed(array):
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return placed(numbers), placed(stack)
