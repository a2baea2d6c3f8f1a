"""Pixels of any bands and numbers: NumPy's .npy files, and TIFF files beyond Pillow."""

import logging
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
_ORIENTATION, _SAMPLES, _SAMPLE_FORMAT = 274, 277, 339
_DEFLATE_RATIO = 1032  # as many bytes come out of one at most

# What tifffile logs of a damaged file goes to those who log; nobody else is to see pages of it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class Unsupported(ValueError):
    """A sound file of a kind that is not taken; the message names it."""


def is_tiff(file: IO[bytes]) -> bool:
    """Looks at the first bytes."""
    file.seek(0)
    return file.read(4) in _TIFF_STARTS


def beyond_pillow(image: "Image.Image") -> bool:
    """Says whether Pillow would lose bands, digits or signs of an opened picture, a TIFF."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    signed = set(tags.get(_SAMPLE_FORMAT, (1,))) != {1}
    many = tags.get(_SAMPLES, 1) > len(image.getbands())
    return signed or many or image.mode in ("F", "I")


def read(path: str | Path) -> np.ndarray:
    """Reads .npy of [H, W] or [H, W, C], or the first picture of a TIFF, to [H, W, C].

    uint8 and uint16 are kept, all other real numbers become float32. Raises `Unsupported` for other
    numbers and shapes, NaN and infinity; a damaged file raises whatever its decoder meets.
    """
    return _finite(_open(path, decode=True), path)


def header(path: str | Path) -> tuple[tuple[int, ...], str]:
    """Gives shape and dtype of what `read` will give, without reading pixels."""
    pixels = _open(path, decode=False)
    return pixels.shape, _kept_dtype(pixels, path)


def write_npy(path: Path, pixels: np.ndarray, icc: bytes | None) -> None:
    """Writes [H, W, C] as it is; a profile has no place."""
    with path.open("wb") as file:
        np.save(file, pixels, allow_pickle=False)


def write_tiff(path: Path, pixels: np.ndarray, icc: bytes | None) -> None:
    """Writes [H, W, C], the bands of a pixel side by side, none of them a colour or alpha."""
    import tifffile

    extra = {"planarconfig": "contig", "extrasamples": (0,) * (pixels.shape[-1] - 1)}
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None, "iccprofile": icc}
    if pixels.shape[-1] == 1:
        tifffile.imwrite(path, pixels[..., 0], **options)
    else:
        tifffile.imwrite(path, pixels, **options, **extra)


def _open(path: str | Path, *, decode: bool) -> np.ndarray:
    """Gives [H, W, C] as stored; of TIFF, where not decoded, only shape and dtype are right."""
    if Path(path).suffix.lower() == ".npy":
        pixels = np.lib.format.open_memmap(path, mode="r")  # refuses objects, and with them pickles
    else:
        pixels = _tiff(path, decode=decode)
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise Unsupported(
            f"{path} has shape {pixels.shape}, but a picture has [H, W] or [H, W, C]; reshape it"
        )
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _tiff(path: str | Path, *, decode: bool) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages.first
        orientation = page.tags.valueof(_ORIENTATION, 1)
        if page.axes not in ("YX", "YXS", "SYX") or orientation != 1:
            raise Unsupported(
                f"{path} has axes {page.axes} and orientation {orientation}, but only upright "
                "planes or samples are read; write it as [bands, height, width] or as .npy"
            )
        if not 0 < page.size * page.dtype.itemsize <= _DEFLATE_RATIO * os.path.getsize(path):
            raise ValueError(f"a shape of {page.shape} does not go with the length of the file")
        empty = np.broadcast_to(np.empty((), page.dtype), page.shape)  # takes no memory
        pixels = page.asarray() if decode else empty
        return np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels


def _kept_dtype(pixels: np.ndarray, path: str | Path) -> str:
    if pixels.dtype.kind not in "biuf":
        raise Unsupported(f"{path} holds {pixels.dtype}; convert it to uint8, uint16 or float32")
    native = pixels.dtype.newbyteorder("=")  # files of either byte order hold the same numbers
    return native.name if native in (np.uint8, np.uint16) else "float32"


def _finite(pixels: np.ndarray, path: str | Path) -> np.ndarray:
    with np.errstate(over="ignore"):  # what overflows float32 is refused as infinite
        pixels = np.array(pixels, _kept_dtype(pixels, path), order="C")
    if not np.isfinite(pixels).all():
        raise Unsupported(f"{path} holds NaN or infinity; replace them by numbers below 3e38")
    return pixels
