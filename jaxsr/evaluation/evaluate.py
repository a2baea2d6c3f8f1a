"""Pictures against pictures: PSNR and SSIM of one method over a test set."""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsr.imaging import classical, files, metrics
from jaxsr.imaging.bands import Ranges, to_unit
from jaxsr.imaging.color import fit_channels, from_float, to_float
from jaxsr.imaging.degrade import degrade, is_eight_bit, with_levels
from jaxsr.inference.upscale import apply
from jaxsr.networks.weights import Weights

# Weights, the name of a classical method, or float LR [H, W, C] to SR on the host.
Method = Weights | str | Callable[[np.ndarray], np.ndarray]

DEGRADED = "degraded"  # the row of what a network of scale 1 is given


class Example(NamedTuple):
    """A picture of a test set, of a name of its own: [H, W, C], sides multiples of the scale.

    What `degrade.is_eight_bit` is uint8; all else is float32, 0 to 1 in its ranges or those of its
    integers, and neither its LR nor its SR is rounded.
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
    try:
        pixels = fit_channels(pixels[:height, :width], channels)
        return pixels if is_eight_bit(pixels.dtype, channels, ranges) else to_unit(pixels, ranges)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def evaluate(
    method: Method, examples: Sequence[Example], *, degradation: Any, mesh: Mesh | None = None
) -> dict[str, Any]:
    """PSNR and SSIM of one method: `{"mean": {metric: value}, "identical": n, "images": {name: {
    metric: value}}}`.

    The input is made by `degradation`, a spec of `jaxsr.imaging.degrade`, for each example from a
    key of its own. Pictures of one shape go to the devices of the mesh together, one each. An
    infinite PSNR stays infinite under `images`; `identical` counts the pictures that have one, and
    the mean is over the others, where there are any.
    """
    scale = degradation.scale
    if isinstance(method, Weights) and method.arch.scale != scale:
        raise ValueError(
            f"scale: got {scale}, but the network's is {method.arch.scale}; pass that one"
        )
    if not isinstance(method, Weights | str):
        mesh = None  # the host works on one picture after the other
    score = _score(mesh, degradation)
    images: dict[str, dict[str, float]] = {}
    names = metric_names(examples[0].hr.shape[-1])
    for batch in _batches(examples, mesh.size if mesh else 1):
        numbers, hr = _place(mesh, batch)
        values = jax.device_get(score(method, numbers, hr))
        for i, example in enumerate(batch):
            images[example.name] = {name: float(values[name][i]) for name in names}
    images = {example.name: images[example.name] for example in examples}
    mean = {m: _mean([image[m] for image in images.values()]) for m in names}
    identical = sum(math.inf in image.values() for image in images.values())
    return {"mean": mean, "identical": identical, "images": images}


def _mean(values: list[float]) -> float:
    """Over those of pictures that differ, or infinite."""
    differing = [value for value in values if value != math.inf]
    return math.fsum(differing) / len(differing) if differing else math.inf


def degraded(numbers: Any, hr: Any, degradation: Any) -> Any:
    """What a network is given for examples [N, H, W, C] of these numbers, float32 in [0, 1]."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), numbers)
    spec = with_levels(degradation, hr.dtype, channels=hr.shape[-1])
    return degrade(keys, jnp.asarray(to_float(hr)), spec)[0]


def super_resolve(method: Weights | str, lr: Any, scale: int) -> Any:
    """LR to SR, floats, by a network or a classical method; nothing is rounded or clipped."""
    if isinstance(method, Weights):
        return apply(method, lr)
    return lr if method == DEGRADED else classical.enlarge(lr, scale, method=method)


def _measure(sr: Any, hr: Any, scale: int) -> dict[str, jax.Array]:
    """Each metric, [N], of float SR as it would be in a file like that of HR."""
    sr = from_float(sr, hr.dtype)
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
        return measure(np.stack([method(picture) for picture in lr]), hr, scale)

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
