"""Picture files: pixels, alpha and metadata of PNG, JPEG, WebP, AVIF, BMP, TIFF and .npy."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from jaxsr.imaging import arrays

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
_PILLOW_FORMATS = sorted(set(_FORMATS.values()))
EXTENSIONS = (*_FORMATS, ".npy")
_ARRAY_WRITERS = {"NPY": arrays.write_npy, "BANDS": arrays.write_tiff}

# Pillow's mode as stored: the mode it is widened to, without and with transparency.
_OPAQUE = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "I;16": "I;16", "I;16B": "I;16"}
_TRANSPARENT = {"1": "LA", "L": "LA", "LA": "LA", "P": "RGBA", "PA": "RGBA"} | {
    mode: "RGBA" for mode in ("RGB", "RGBA")
}

_ORIENTATION = 274
# TIFF tags of how pixels are stored: wrong, or harmful, beside pixels stored anew.
_STORAGE_TAGS = frozenset(
    (*range(254, 260), 262, 266, 273, *range(277, 280), 284, 317, *range(320, 326), 330, 338, 339)
    + (347, *range(512, 522), *range(529, 533), 700, 34675, _ORIENTATION)
)


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright: pixels [H, W, C] of any C, uint8, uint16 or float32.

    alpha is [H, W, 1] of the same dtype. exif holds no orientation: the pixels are turned already.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None


class Header(NamedTuple):
    """What a file says of the pixels that `read` will give."""

    height: int
    width: int
    channels: int
    dtype: str


def read(path: str | Path) -> Picture:
    """Decodes a picture file, the first frame where it holds several.

    Palettes and single bits are widened to 8-bit RGB and grey, transparent colours to alpha. 16-bit
    grey is kept; 16-bit RGB comes as 8 bits, for Pillow decodes no more. TIFF of other bands or
    numbers, and .npy of [H, W] or [H, W, C], keep uint8 and uint16; all other real numbers become
    float32. Raises ValueError for what is not a picture, is damaged, holds a NaN or infinity, or
    has colours that are neither grey nor RGB.
    """
    from PIL import ImageOps

    with _reading(path) as image:
        if image is None:
            return Picture(arrays.read(path))
        mode = _target_mode(path, image)
        ImageOps.exif_transpose(image, in_place=True)
        icc, exif = image.info.get("icc_profile"), _exif(image)
        pixels = np.asarray(image if mode == "I;16" else image.convert(mode))
    pixels = pixels.astype(pixels.dtype.newbyteorder("="))
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if mode in _OPAQUE.values():
        return Picture(pixels, None, icc, exif)
    return Picture(pixels[..., :-1], pixels[..., -1:], icc, exif)


def write(path: str | Path, picture: Picture, *, quality: int = 95) -> None:
    """Encodes a picture in the format that the extension names, and replaces the file whole.

    `quality`, 1 to 100, serves JPEG (without chroma subsampling), WebP and AVIF. .npy and TIFF hold
    any channels and dtype, TIFF as plain bands where it is neither 8-bit grey or RGB nor 16-bit
    grey. ICC and EXIF are carried, except by BMP and .npy, which have no place for them, and EXIF
    by plain bands. Raises ValueError for what the format cannot hold; an existing file stays as it
    was when anything fails.
    """
    path = Path(path)
    kind = _writable_format(path, picture)
    if kind in _ARRAY_WRITERS:
        with replacing(path) as temporary:
            _ARRAY_WRITERS[kind](temporary, picture.pixels, picture.icc)
        return
    options: dict = {"quality": quality} if kind in ("JPEG", "WEBP", "AVIF") else {}
    if kind in ("JPEG", "AVIF"):
        options["subsampling"] = "4:4:4"
    metadata = {"icc_profile": picture.icc, "exif": picture.exif}
    options |= {name: value for name, value in metadata.items() if value and kind != "BMP"}
    with replacing(path) as temporary:
        _encodable(picture).save(temporary, kind, **options)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it becomes `path` if the block succeeds."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def header(path: str | Path) -> Header:
    """Reads only the header, and raises as `read` does for what can be seen there."""
    from PIL import Image

    with _reading(path) as image:
        if image is None:
            (height, width, channels), dtype = arrays.header(path)
            return Header(height, width, channels, dtype)
        mode = _target_mode(path, image)
        # The base class's method: that of PNG would decode all pixels to look for metadata behind.
        on_side = Image.Image.getexif(image).get(_ORIENTATION) in (5, 6, 7, 8)
        # Pillow itself turns TIFF, and states the size it will have.
        width, height = image.size[:: -1 if on_side and image.format != "TIFF" else 1]
    dtype = "uint16" if mode.startswith("I;16") else "uint8"
    return Header(height, width, 3 if mode.startswith("RGB") else 1, dtype)


def list_pictures(folder: str | Path) -> list[Path]:
    """Lists the picture files in a folder and all below it, by extension, sorted, none hidden."""
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is not a folder; name an existing folder of pictures")
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


@contextmanager
def _reading(path: str | Path) -> Iterator["Image.Image | None"]:
    """Opens a picture, or gives None for one of `arrays`; any error becomes one ValueError."""
    from PIL import UnidentifiedImageError

    try:
        # A stream, not the path: a mapped TIFF that lies on its side comes out of Pillow garbled.
        with open(path, "rb") as file, _identified(path, file) as image:
            yield image
    except arrays.Unsupported:
        raise
    except Exception as error:  # decoders of damaged files raise errors of every kind
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"its content is none of {', '.join(_PILLOW_FORMATS)}"
        raise ValueError(
            f"{path} is not a readable picture ({reason}); replace or remove it"
        ) from error


def _identified(path: str | Path, file: IO[bytes]) -> "AbstractContextManager[Image.Image | None]":
    from PIL import Image, UnidentifiedImageError

    if Path(path).suffix.lower() == ".npy":
        return nullcontext()
    try:
        image = Image.open(file, formats=_PILLOW_FORMATS)
    except UnidentifiedImageError:
        if not arrays.is_tiff(file):
            raise
        return nullcontext()
    return nullcontext() if arrays.beyond_pillow(image) else image


def _target_mode(path: str | Path, image: "Image.Image") -> str:
    modes = _TRANSPARENT if image.has_transparency_data else _OPAQUE
    if image.mode not in modes:
        transparent = " with a transparent colour" if image.mode in _OPAQUE else ""
        raise arrays.Unsupported(
            f"{path} has mode {image.mode}{transparent}, but only grey and RGB pictures are read; "
            "convert it to 8-bit RGB or 16-bit grey with an image editor"
        )
    return modes[image.mode]


def _exif(image: "Image.Image") -> bytes | None:
    exif = image.getexif()
    for tag in _STORAGE_TAGS & set(exif):
        del exif[tag]
    return exif.tobytes() if len(exif) else None


def _writable_format(path: Path, picture: Picture) -> str:
    """Names what writes a path; ValueError where its format cannot hold the picture."""
    kind = "NPY" if path.suffix.lower() == ".npy" else _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} has no known extension; use one of {', '.join(EXTENSIONS)}")
    if picture.alpha is not None and kind in ("JPEG", "BMP", "NPY"):
        raise ValueError(f"{path}: {kind} cannot hold the picture's alpha; write a PNG instead")
    dtype, channels = picture.pixels.dtype, picture.pixels.shape[-1]
    if dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(
            f"{path}: a picture of {dtype} cannot be written; "
            "convert it to uint8, uint16 or float32"
        )
    if kind == "NPY" or _pillow_holds(kind, picture):
        return kind
    if kind == "TIFF" and picture.alpha is None:
        return "BANDS"
    alpha = "" if picture.alpha is None else " and alpha"
    raise ValueError(
        f"{path}: {kind} cannot hold {channels} channels of {dtype}{alpha}; write .npy or .tif "
        "without alpha, or convert the pixels to grey or RGB of uint8"
    )


def _pillow_holds(kind: str, picture: Picture) -> bool:
    channels = picture.pixels.shape[-1]
    if picture.pixels.dtype == np.uint8:
        return channels in (1, 3)
    is_grey = channels == 1 and picture.alpha is None
    return picture.pixels.dtype == np.uint16 and is_grey and kind in ("PNG", "TIFF")


def _encodable(picture: Picture) -> "Image.Image":
    from PIL import Image

    layers = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
    pixels = np.concatenate(layers, axis=-1)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
