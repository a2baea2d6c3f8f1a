"""Folders of pictures through a network: a generator of records, one for each picture."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr.imaging import classical, color, files
from jaxsr.imaging.bands import check_unit
from jaxsr.imaging.find import find
from jaxsr.imaging.resize import resize
from jaxsr.inference.upscale import upscale
from jaxsr.networks.weights import Weights


class Item(NamedTuple):
    """One picture of a job."""

    source: Path
    target: Path


def plan(inputs: Sequence[str | Path], output: Path) -> list[Item]:
    """Where each input goes: `output` is a file for one picture, otherwise a folder.

    Inputs are what `find` takes; folders are searched recursively and keep their structure. Raises
    ValueError for a missing input, a folder without pictures, two inputs with one output, an output
    that would overwrite an input, and one that can be neither file nor folder.
    """
    found = find(inputs)
    one = len(inputs) == len(found) == 1 and not Path(inputs[0]).is_dir()
    if one and output.suffix and not output.is_dir():
        if output.suffix.lower() not in files.EXTENSIONS:
            raise ValueError(
                f"{output} has no known extension; use one of {', '.join(files.EXTENSIONS)}, "
                "or name a folder that exists"
            )
        items = [Item(found[0].path, output)]
    else:
        if output.is_file() or output.suffix.lower() in files.EXTENSIONS and not output.is_dir():
            raise ValueError(
                f"{output} is a file or named like one, while the input is not one picture; name a "
                "folder for the upscaled pictures"
            )
        items = [Item(path, output / f"{name}{path.suffix}") for _, name, path in found]
    _check(items)
    return items


def _check(items: Sequence[Item]) -> None:
    sources = {item.source.resolve() for item in items}
    targets: dict[Path, Path] = {}
    for source, target in items:
        resolved = target.resolve()
        if resolved in sources:
            raise ValueError(f"{target} would overwrite an input; name another output")
        if resolved in targets:
            raise ValueError(
                f"{source} and {targets[resolved]} would both become {target}; "
                "upscale them into different folders"
            )
        targets[resolved] = source


# Pixels [H, W, C] to enlarged pixels of their dtype.
Enlarge = Callable[[np.ndarray], np.ndarray]


def by_network(weights: Weights) -> Enlarge:
    """Enlarge by a network."""
    network = jax.jit(upscale, static_argnames="clip")

    def enlarge(pixels: np.ndarray) -> np.ndarray:
        if not weights.ranges:
            check_unit(pixels)
        # Floats leave [0, 1] no more than they may on the way in; of units, nothing is known.
        return np.asarray(network(weights, pixels, clip=not weights.ranges))

    return enlarge


def by_method(method: str, *, scale: int) -> Enlarge:
    """Enlarge by a classical method, which takes any channels and needs no ranges."""
    if method not in classical.CLASSICAL:
        raise ValueError(f"method: got {method}, wanted one of {', '.join(classical.CLASSICAL)}")

    def enlarge(pixels: np.ndarray) -> np.ndarray:
        sr = classical.enlarge(color.to_float(pixels), scale, method=method)
        return color.from_float(np.asarray(sr), pixels.dtype)

    return enlarge


def run_job(
    enlarge: Enlarge, items: Sequence[Item], *, channels: int | None = None
) -> Iterator[dict[str, Any]]:
    """Upscale each item and yield `{input, output, seconds, error}`; `error` is None on success.

    `channels` are those that `enlarge` takes, any where None.
    """
    for source, target in items:
        start = time.monotonic()
        error = None
        try:
            picture = upscale_picture(enlarge, files.read(source), channels=channels)
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write(target, picture)
        # This file's fault, or it was too large for the device: the others go on.
        except (ValueError, OSError, jax.errors.JaxRuntimeError) as problem:
            error = f"{source} -> {target}: {str(problem).splitlines()[0]}"
        seconds = time.monotonic() - start
        yield {"input": str(source), "output": str(target), "seconds": seconds, "error": error}


def upscale_picture(
    enlarge: Enlarge, picture: files.Picture, *, channels: int | None
) -> files.Picture:
    """The picture with its pixels enlarged; alpha is enlarged bicubically.

    Grey stays grey also through an RGB network; a grey network makes an RGB picture grey, as it was
    trained.
    """
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        pixels = fill_transparent(pixels, alpha)
    if channels == 1 and pixels.shape[-1] == 3:
        pixels = color.fit_channels(pixels, 1)
    grey = pixels.shape[-1] == 1 and channels == 3
    sr = enlarge(pixels.repeat(3, axis=-1) if grey else pixels)
    if grey:
        sr = color.from_float(color.to_float(sr).mean(axis=-1, keepdims=True), pixels.dtype)
    if alpha is not None:
        alpha = color.from_float(
            resize(color.to_float(alpha), sr.shape[:2], method="bicubic"), alpha.dtype
        )
    return files.Picture(sr, alpha, picture.icc, picture.exif)


def fill_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace what lies under full transparency by the colours around it, lest it bleed out.

    Colours are averaged with alpha as weight over ever larger squares, and each transparent pixel
    takes the smallest square that holds something visible.
    """
    weight = color.to_float(alpha).astype(np.float64)
    filled, missing = color.to_float(pixels).astype(np.float64) * (alpha > 0), alpha[..., 0] == 0
    if missing.all():
        return np.zeros_like(pixels)
    colour, factor = filled * weight, 1
    while missing.any():
        colour, weight, factor = _halve(colour), _halve(weight), factor * 2
        y, x = (np.arange(n) // factor for n in pixels.shape[:2])
        share = weight[y][:, x]
        seen = missing & (share[..., 0] > 0)
        filled[seen] = colour[y][:, x][seen] / share[seen]
        missing &= ~seen
    return np.where(alpha > 0, pixels, color.from_float(filled, pixels.dtype))


def _halve(image: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 squares; an odd side is filled up with zeros."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)))
    return image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
