"""A decoded picture, and what its file says beside the pixels."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

# How the file stores colours. plain: grey, RGB or any bands, as the pixels are. palette: pixels are
# RGB, written back as the nearest colours of `Picture.palette`. bilevel: pixels are grey, written
# back as single bits. cmyk: pixels are four inks, 0 none.
Mode = Literal["plain", "palette", "bilevel", "cmyk"]


@dataclass(frozen=True)
class Metadata:
    """Colour profile, EXIF (with neither orientation nor resolution), XMP, and dots per inch.

    `lossless` is of WebP, which alone stores pixels in either way, and is written so again.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    lossless: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright: pixels [H, W, C] of any C, uint8, uint16 or float32.

    alpha is [H, W, 1] of the same dtype, not multiplied into the pixels. palette is [N, 4] uint8,
    RGBA, and goes with the mode of its name.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    mode: Mode = "plain"
    palette: np.ndarray | None = None
    metadata: Metadata = field(default_factory=Metadata)


class Header(NamedTuple):
    """What a file says of the pixels that `read` will give."""

    height: int
    width: int
    channels: int
    dtype: str


class Unsupported(ValueError):
    """A sound file of a kind that is not taken; the message names it."""
