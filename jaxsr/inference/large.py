"""Pictures larger than the memory: TIFF to TIFF by the row stream, strip after strip."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxsr.imaging.bands import check_unit
from jaxsr.imaging.strips import Strips, open_strips, write_strips
from jaxsr.inference.budget import choose, memory
from jaxsr.inference.enlarge import within
from jaxsr.inference.picture import as_stored, as_taken
from jaxsr.inference.stream import stream
from jaxsr.inference.tiled import Tiling, in_dtype
from jaxsr.networks.weights import Weights


def upscale_large(
    weights: Weights,
    source: Path,
    target: Path,
    *,
    tiling: Tiling,
    pulse: Callable[[], None] | None = None,
) -> tuple[int, int, list[str]]:
    """Upscale a TIFF of any height within a memory that depends on its width alone.

    Returns the pixels read, the pixels written, and notes. Grey stays grey also through an RGB
    network; ICC, EXIF, XMP and resolution are carried over. `pulse` is called before each strip,
    and may raise to stop. Raises ValueError for what is no TIFF on either side, holds alpha or
    inks, or is too wide for the memory.
    """
    _require_tiff(target)
    notes: list[str] = []
    with open_strips(source) as strips:
        _check(weights, source, strips)
    size = in_dtype(
        weights, tiling.dtype, notes, lambda w: _write(w, source, target, tiling, pulse)
    )
    return *size, notes


def _write(
    weights: Weights,
    source: Path,
    target: Path,
    tiling: Tiling,
    pulse: Callable[[], None] | None,
) -> tuple[int, int]:
    arch: Any = weights.arch
    with open_strips(source) as strips:
        height, width = strips.height * arch.scale, strips.width * arch.scale
        channels = 1 if strips.channels == 1 else arch.channels
        # A profile of RGB says nothing of grey.
        plain = channels == strips.channels
        metadata = strips.metadata if plain else replace(strips.metadata, icc=None)
        write_strips(
            target,
            _rows(weights, strips, tiling, pulse),
            shape=(height, width, channels),
            dtype=strips.dtype,
            metadata=metadata,
        )
        return strips.height * strips.width, height * width


def _rows(
    weights: Weights, strips: Strips, tiling: Tiling, pulse: Callable[[], None] | None
) -> Iterator[np.ndarray]:
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
    reader = _Reader(strips, weights, height, width, pulse)
    for rows in stream(weights, reader.read, shape=shape, strip=way.tile):
        rows = within(weights, rows[0, :left, : strips.width * arch.scale])
        left -= len(rows)
        if len(rows):
            yield as_stored(rows, strips.channels)


class _Reader:
    """Rows of a file with the channels of a network, reflected to the size that it takes."""

    def __init__(
        self,
        strips: Strips,
        weights: Weights,
        height: int,
        width: int,
        pulse: Callable[[], None] | None,
    ):
        self._strips, self._weights = strips, weights
        self._height, self._width = height, width
        self._pulse = pulse

    def read(self, top: int, bottom: int) -> np.ndarray:
        """[1, bottom - top, W, C], as the row stream asks for it."""
        arch: Any = self._weights.arch
        if self._pulse:
            self._pulse()
        if top == bottom:
            return np.zeros((1, 0, self._width, arch.channels), self._strips.dtype)
        true = self._strips.height
        below = max(0, bottom - true)
        # Enough rows above the border to mirror those below it.
        start = min(top, max(0, true - 1 - below)) if below else top
        rows = self._strips.rows(start, min(bottom, true))
        if not self._weights.ranges:
            check_unit(rows)
        margins = ((0, below), (0, self._width - self._strips.width), (0, 0))
        rows = np.pad(rows, margins, mode="reflect")[top - start :]
        return as_taken(rows, arch.channels)[None]


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
