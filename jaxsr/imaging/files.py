"""Picture files: pixels, alpha and metadata in and out of PNG, JPEG, WebP, AVIF, BMP and TIFF."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
EXTENSIONS = tuple(_FORMATS)

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
    """A decoded picture, upright: pixels [H, W, C], C being 1 or 3, uint8 or uint16.

    alpha is [H, W, 1] of the same dtype. exif holds no orientation: the pixels are turned already.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None


def read(path: str | Path) -> Picture:
    """Decodes a picture file, the first frame where it holds several.

    Palettes and single bits are widened to 8-bit RGB and grey, transparent colours to alpha. 16-bit
    grey is kept; 16-bit colour comes as 8 bits, for Pillow decodes no more. Raises ValueError for
    what is not a picture, is damaged, or is neither grey nor RGB.
    """
    from PIL import ImageOps

    with _reading(path) as image:
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

    `quality`, 1 to 100, serves JPEG (without chroma subsampling), WebP and AVIF. ICC and EXIF are
    carried, except by BMP, which has no place for them. Raises ValueError for what the format
    cannot hold; an existing file stays as it was when anything fails.
    """
    path = Path(path)
    kind = _writable_format(path, picture)
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


def size(path: str | Path) -> tuple[int, int, str]:
    """Reads only the header: (height, width, Pillow's mode) of the picture upright."""
    from PIL import Image

    with _reading(path) as image:
        # The base class's method: that of PNG would decode all pixels to look for metadata behind.
        on_side = Image.Image.getexif(image).get(_ORIENTATION) in (5, 6, 7, 8)
        # Pillow itself turns TIFF, and states the size it will have.
        width, height = image.size[:: -1 if on_side and image.format != "TIFF" else 1]
        return height, width, image.mode


def list_pictures(folder: str | Path) -> list[Path]:
    """Lists the picture files in a folder and all below it, by extension, sorted, none hidden."""
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is not a folder; name an existing folder of pictures")
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


class _Unsupported(ValueError):
    """A sound picture of a kind that is not taken."""


@contextmanager
def _reading(path: str | Path) -> Iterator["Image.Image"]:
    """Opens a picture; whatever the decoder meets in the block becomes one ValueError."""
    from PIL import Image, UnidentifiedImageError

    formats = sorted(set(_FORMATS.values()))
    try:
        # A stream, not the path: a mapped TIFF that lies on its side comes out of Pillow garbled.
        with open(path, "rb") as file, Image.open(file, formats=formats) as image:
            yield image
    except _Unsupported:
        raise
    except Exception as error:  # decoders of damaged files raise errors of every kind
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"its content is none of {', '.join(formats)}"
        raise ValueError(
            f"{path} is not a readable picture ({reason}); replace or remove it"
        ) from error


def _target_mode(path: str | Path, image: "Image.Image") -> str:
    modes = _TRANSPARENT if image.has_transparency_data else _OPAQUE
    if image.mode not in modes:
        transparent = " with a transparent colour" if image.mode in _OPAQUE else ""
        raise _Unsupported(
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
    """Names Pillow's format for a path; ValueError where it cannot hold the picture."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path} has no known extension; use one of {', '.join(EXTENSIONS)}")
    if picture.alpha is not None and kind in ("JPEG", "BMP"):
        raise ValueError(f"{path}: {kind} cannot hold the picture's alpha; write a PNG instead")
    if picture.pixels.dtype == np.uint8:
        return kind
    if picture.pixels.dtype != np.uint16:
        raise ValueError(
            f"{path}: a picture of {picture.pixels.dtype} cannot be written; "
            "apply color.from_float to get uint8 or uint16"
        )
    if kind not in ("PNG", "TIFF") or picture.pixels.shape[-1] != 1 or picture.alpha is not None:
        raise ValueError(
            f"{path}: 16 bits are written only as grey PNG or TIFF without alpha; "
            "convert the pixels to uint8"
        )
    return kind


def _encodable(picture: Picture) -> "Image.Image":
    from PIL import Image

    layers = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
    pixels = np.concatenate(layers, axis=-1)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
