"""Pictures against pictures: PSNR and SSIM of networks and classical methods over a folder."""

import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsr.imaging import files, metrics
from jaxsr.imaging.color import Array, from_float, grey, to_float
from jaxsr.imaging.find import find_pictures
from jaxsr.imaging.resize import resize
from jaxsr.inference.upscale import upscale
from jaxsr.networks.weights import Weights

CLASSICAL = ("nearest", "bilinear", "bicubic", "lanczos")
METRICS = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")


class Example(NamedTuple):
    """A picture of a test set, of a name of its own: uint8 [H, W, C], multiples of the scale."""

    name: str
    hr: np.ndarray


def definition(scale: int) -> str:
    """What the figures mean, in a sentence that stands beside every table."""
    return (
        f"LR by MATLAB bicubic x1/{scale}; LR and SR rounded to 8 bits; {scale} pixels cropped "
        "from each border; _y on Y of BT.601 (16-235, not rounded), _rgb on RGB; SSIM with an "
        "11x11 Gaussian window of sigma 1.5, valid part"
    )


def read_set(paths: Sequence[Path], *, scale: int, channels: int = 3) -> list[Example]:
    """Read a test set, crop each side to a multiple of the scale; grey is repeated to RGB.

    `channels=1` turns RGB to grey, as training does. A picture is called by its file, or by its
    whole path where two files are called alike. Raises ValueError for a picture that cannot be read
    or is too small.
    """
    if channels not in (1, 3):
        raise ValueError(
            f"evaluation reads pictures of 1 or 3 channels, got a network of {channels}"
        )
    known = Counter(path.name for path in paths)
    names = [path.name if known[path.name] == 1 else path.as_posix() for path in paths]
    return [
        Example(name, _read(path, scale, channels)) for name, path in zip(names, paths, strict=True)
    ]


def _read(path: Path, scale: int, channels: int) -> np.ndarray:
    pixels = files.read(path).pixels
    height, width = (n - n % scale for n in pixels.shape[:2])
    least = 11 + 2 * scale
    if min(height, width) < least:
        raise ValueError(
            f"{path}: got {pixels.shape[:2]}, wanted {least} pixels a side for SSIM at x{scale}"
        )
    pixels = pixels[:height, :width]
    if channels == 1:
        pixels = grey(pixels)
    elif pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, axis=-1)
    return from_float(to_float(pixels), np.uint8)


def common_scale(networks: Mapping[str, Weights], scale: int | None) -> int:
    """The one scale of all networks and of `scale`, which is needed where there are none."""
    scales = {name: weights.arch.scale for name, weights in networks.items()}
    if scale is not None:
        scales["--scale"] = scale
    if not scales:
        raise ValueError("scale: got neither weights nor a scale; give --scale 4, or weights")
    if len(set(scales.values())) != 1:
        got = ", ".join(f"{name} x{value}" for name, value in scales.items())
        raise ValueError(
            f"scale: got {got}, wanted one scale of all; give --scale, or weights of one scale"
        )
    return next(iter(scales.values()))


def compare(
    networks: Mapping[str, Weights], sources: Sequence[str], *, scale: int, mesh: Mesh | None = None
) -> Iterator[dict[str, Any]]:
    """Measure the classical methods, then each network; yields the report as it grows.

    A report is `{"dataset", "scale", "definition", "methods": {name: result of evaluate}}`, with
    None for what is infinite, since JSON has no word for it.
    """
    for name in networks:
        if name in CLASSICAL:
            raise ValueError(
                f"weights: {name} is the name of a classical method; rename the file or the folder"
            )
    channels = {weights.arch.channels for weights in networks.values()} or {3}
    if len(channels) > 1:
        raise ValueError(
            f"weights: got networks of {sorted(channels)} channels; evaluate them one by one"
        )
    examples = read_set(find_pictures(sources), scale=scale, channels=channels.pop())
    report: dict[str, Any] = {
        "dataset": " ".join(sources),
        "scale": scale,
        "definition": definition(scale),
        "methods": {},
    }
    methods = {name: name for name in CLASSICAL} | dict(networks)
    for name, method in methods.items():
        report["methods"][name] = _finite(evaluate(method, examples, scale=scale, mesh=mesh))
        yield report


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _finite(value) for name, value in tree.items()}
    return tree if math.isfinite(tree) else None


def evaluate(
    method: Weights | str, examples: Sequence[Example], *, scale: int, mesh: Mesh | None = None
) -> dict[str, Any]:
    """PSNR and SSIM of one method: `{"mean": {metric: value}, "images": {name: {metric: value}}}`.

    `method` is weights or one of CLASSICAL. Pictures of one shape go to the devices of the mesh
    together, one each. An infinite PSNR (identical pictures) stays infinite.
    """
    if isinstance(method, Weights) and method.arch.scale != scale:
        raise ValueError(
            f"scale: got {scale}, but the network's is {method.arch.scale}; pass that one"
        )
    score = _score(mesh, scale)
    images: dict[str, dict[str, float]] = {}
    for batch in _batches(examples, mesh.size if mesh else 1):
        values = jax.device_get(score(method, _place(mesh, batch)))
        for i, example in enumerate(batch):
            images[example.name] = {name: float(values[name][i]) for name in METRICS}
    images = {example.name: images[example.name] for example in examples}
    mean = {m: math.fsum(image[m] for image in images.values()) / len(images) for m in METRICS}
    return {"mean": mean, "images": images}


def low_resolution(hr: Array, scale: int) -> Array:
    """The uint8 LR that a test set's HR [N, H, W, C] uint8 stands for."""
    size = (hr.shape[-3] // scale, hr.shape[-2] // scale)
    return from_float(resize(to_float(hr), size, method="bicubic"), jnp.uint8)


def super_resolve(method: Weights | str, lr: Any, scale: int) -> Any:
    """uint8 LR to uint8 SR, by a network or a classical method."""
    if isinstance(method, Weights):
        return upscale(method, lr)
    size = (lr.shape[-3] * scale, lr.shape[-2] * scale)
    return from_float(resize(to_float(lr), size, method=method), jnp.uint8)


@functools.cache
def _score(mesh: Mesh | None, scale: int):
    """Jitted (method, hr) -> metrics [N] each, every device working on its own pictures."""

    def score(method, hr):
        sr = to_float(super_resolve(method, low_resolution(hr, scale), scale))
        sr, hr = (jnp.broadcast_to(x, (*x.shape[:-1], 3)) for x in (sr, to_float(hr)))
        return {
            f"{name}_{space}": metric(sr, hr, crop=scale, luma=space == "y")
            for name, metric in (("psnr", metrics.psnr), ("ssim", metrics.ssim))
            for space in ("y", "rgb")
        }

    out = NamedSharding(mesh, P()) if mesh else None
    by_name = jax.jit(score, static_argnums=0, out_shardings=out)
    by_weights = jax.jit(score, out_shardings=out)
    return lambda method, hr: (by_name if isinstance(method, str) else by_weights)(method, hr)


def _batches(examples: Sequence[Example], size: int) -> Iterator[list[Example]]:
    by_shape: Mapping[tuple[int, ...], list[Example]] = defaultdict(list)
    for example in examples:
        by_shape[example.hr.shape].append(example)
    for group in by_shape.values():
        for i in range(0, len(group), size):
            yield group[i : i + size]


def _place(mesh: Mesh | None, batch: list[Example]) -> jax.Array | np.ndarray:
    """The pictures as one array over the mesh; the last is repeated to fill the devices."""
    if mesh is None:
        return np.stack([example.hr for example in batch])
    filled = batch + [batch[-1]] * (mesh.size - len(batch))
    stack = np.stack([example.hr for example in filled])
    sharding = NamedSharding(mesh, P(mesh.axis_names[0]))
    return jax.make_array_from_callback(stack.shape, sharding, lambda index: stack[index])
