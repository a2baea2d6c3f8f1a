"""Pictures larger than the memory: TIFF to TIFF by the row stream, strip after strip."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxsr.imaging.color import grey
from jaxsr.imaging.strips import Strips, open_strips, write_strips
from jaxsr.inference.budget import choose, memory
from jaxsr.inference.stream import NotFinite, stream
from jaxsr.inference.tiled import Tiling, in_dtype, not_finite
from jaxsr.networks.weights import Weights


def upscale_large(
    weights: Weights, source: Path, target: Path, *, tiling: Tiling
) -> tuple[int, int, list[str]]:
    """Upscale a TIFF of any height within a memory that depends on its width alone.

    Returns the pixels read, the pixels written, and notes. Grey stays grey also through an RGB
    network; ICC, EXIF, XMP and resolution are carried over. Raises ValueError for what is no TIFF
    on either side, holds alpha or inks, or is too wide for the memory.
    """
    _require_tiff(target)
    notes: list[str] = []
    with open_strips(source) as strips:
        _check(weights, source, strips)
    try:
        size = _write(in_dtype(weights, tiling.dtype), source, target, tiling)
    except NotFinite:
        if tiling.dtype == "float32":
            raise not_finite() from None
        notes.append(f"not finite in {tiling.dtype}; made again in float32")
        try:
            size = _write(weights, source, target, tiling)
        except NotFinite:
            raise not_finite() from None
    return *size, notes


def _write(weights: Weights, source: Path, target: Path, tiling: Tiling) -> tuple[int, int]:
    arch: Any = weights.arch
    with open_strips(source) as strips:
        height, width = strips.height * arch.scale, strips.width * arch.scale
        channels = 1 if strips.channels == 1 else arch.channels
        write_strips(
            target,
            _rows(weights, strips, tiling),
            shape=(height, width, channels),
            dtype=strips.dtype,
            metadata=strips.metadata,
        )
        return strips.height * strips.width, height * width


def _rows(weights: Weights, strips: Strips, tiling: Tiling) -> Iterator[np.ndarray]:
    arch: Any = weights.arch
    height, width = (-(-n // arch.multiple) * arch.multiple for n in (strips.height, strips.width))
    shape = (1, height, width, arch.channels)
    way = choose(arch, shape, mode="stream", tile=tiling.tile, budget=memory())
    if way.band < width:
        raise ValueError(
            f"the picture is {strips.width} pixels wide, and the memory holds the stream of "
            f"{way.band}; take the dtype bfloat16, or cut the picture into columns"
        )
    left = strips.height * arch.scale
    reader = _Reader(strips, arch.channels, height, width)
    for rows in stream(weights, reader.read, shape=shape, strip=way.tile):
        rows = rows[0, :left, : strips.width * arch.scale]
        left -= len(rows)
        if strips.channels == 1 and arch.channels == 3:
            rows = _mean(rows)
        if len(rows):
            yield rows


class _Reader:
    """Rows of a file with the channels of a network, reflected to the size that it takes."""

    def __init__(self, strips: Strips, channels: int, height: int, width: int):
        self._strips, self._channels = strips, channels
        self._height, self._width = height, width

    def read(self, top: int, bottom: int) -> np.ndarray:
        """[1, bottom - top, W, C], as the row stream asks for it."""
        if top == bottom:
            return np.zeros((1, 0, self._width, self._channels), self._strips.dtype)
        true = self._strips.height
        below = max(0, bottom - true)
        # Enough rows above the border to mirror those below it.
        start = min(top, max(0, true - 1 - below)) if below else top
        rows = self._strips.rows(start, min(bottom, true))
        margins = ((0, below), (0, self._width - self._strips.width), (0, 0))
        rows = np.pad(rows, margins, mode="reflect")[top - start :]
        return self._with_channels(rows)[None]

    def _with_channels(self, rows: np.ndarray) -> np.ndarray:
        if rows.shape[-1] == 1:
            return rows.repeat(self._channels, axis=-1)
        return grey(rows) if self._channels == 1 else rows


def _mean(rows: np.ndarray) -> np.ndarray:
    mean = rows.mean(axis=-1, keepdims=True, dtype=np.float32)
    return mean if rows.dtype.kind == "f" else mean.round().astype(rows.dtype)


def _require_tiff(target: Path) -> None:
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(
            f"{target}: a picture this large is written by strips, as only TIFF can be; name a .tif"
        )


def _check(weights: Weights, source: Path, strips: Strips) -> None:
    arch: Any = weights.arch
    if strips.alpha or strips.mode != "plain":
        kind = "alpha" if strips.alpha else "inks"
        raise ValueError(
            f"{source} is too large to be taken whole, and by strips {kind} cannot be; flatten it "
            "to grey or RGB"
        )
    known = {(1, 3), (3, 1), (arch.channels, arch.channels)}
    if (strips.channels, arch.channels) not in known:
        raise ValueError(
            f"{source} has {strips.channels} channels, the network takes {arch.channels}; give it "
            "pictures of that kind"
        )
