"""Picture files: pixels, alpha and metadata of PNG, JPEG, WebP, AVIF, GIF, BMP, TIFF and .npy."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxsr.imaging import arrays, opening, pillow, png, tiff
from jaxsr.imaging.opening import DECODED_LIMIT
from jaxsr.imaging.picture import Header, Metadata, Picture

__all__ = ["Header", "Metadata", "Picture", "header", "list_pictures", "read", "replacing", "write"]

# The format that an extension, and the option `format`, stand for.
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".gif": "GIF",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".npy": "NPY",
}
EXTENSIONS = tuple(_FORMATS)

# What each format holds: the most pixels of a side, and the dtypes.
_MOST_PIXELS = {"JPEG": 65500, "WEBP": 16383, "GIF": 65535, "AVIF": 65536}
_DEPTHS = {"PNG": ("uint8", "uint16")} | dict.fromkeys(
    ("TIFF", "NPY"), ("uint8", "uint16", "float32")
)
_NO_ALPHA = ("JPEG", "BMP", "NPY")
_INKS = {"JPEG": ("uint8",), "TIFF": ("uint8", "uint16", "float32")}

_LONGEST_NAME = 240  # bytes; file systems take 255, of which `replacing` adds up to 14


def read(path: str | Path, *, limit: int = DECODED_LIMIT) -> Picture:
    """Decodes a picture file, the first frame where it holds several (of MPO the first JPEG).

    The depth is the file's: 8 bits, 16, or float32. Palettes come as RGB and single bits as 8-bit
    grey, and `Picture.mode` remembers them; transparent colours become alpha. TIFF of other bands
    or numbers, and .npy of [H, W] or [H, W, C], keep uint8 and uint16; all other real numbers
    become float32. Raises ValueError for what is not a picture, is damaged, holds a NaN or
    infinity, has colours that are neither grey, RGB nor CMYK, or takes more than `limit` bytes
    decoded (TIFF beyond Pillow and .npy are as large as their files are long). AVIF of 10 and 12
    bits is refused too.
    """
    with opening.opened(path, limit=limit) as source:
        return opening.decode(source)


def write(
    path: str | Path, picture: Picture, *, quality: int = 95, format: str | None = None
) -> None:
    """Encodes a picture in a format, that which the extension names where None is given.

    `quality`, 1 to 100, serves JPEG (without chroma subsampling), WebP and AVIF; what was read
    from a lossless WebP goes to WebP without loss. `format` is an extension without its dot. .npy
    and TIFF hold any channels and dtype, PNG 16 bits. A palette goes to PNG, GIF, BMP and TIFF,
    single bits also; elsewhere they are RGB and grey. GIF takes the nearest of 256 colours, and
    transparency wholly or not. Metadata is carried as far as the format has room: none in GIF and
    .npy, the resolution alone in BMP; tags that cannot be written are left out. Raises ValueError
    for what the format cannot hold (`modes.convert` changes it) and what its encoder refuses,
    OSError where the file cannot be written; an existing file stays as it was when anything fails.
    """
    path = Path(path)
    kind = format_of(path, format)
    check_holds(path, kind, picture)
    with writing(path) as temporary, encoding(path):
        if kind == "NPY":
            arrays.write(temporary, picture.pixels)
        elif kind == "TIFF":
            tiff.write(temporary, [picture])
        elif picture.pixels.dtype == np.uint16:
            layers = [picture.pixels] if picture.alpha is None else [picture.pixels, picture.alpha]
            content = png.encode(np.concatenate(layers, axis=-1), picture.metadata)
            temporary.write_bytes(content)
        else:
            options = pillow.options(picture, kind, quality=quality)
            temporary.write_bytes(pillow.encode([pillow.encodable(picture, kind)], kind, options))


def header(path: str | Path) -> Header:
    """Reads only the header, and raises as `read` does for what can be seen there."""
    with opening.opened(path) as source:
        return opening.header(source)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it becomes `path` if the block succeeds."""
    path = Path(path)
    temporary = path.with_name(f".{stand_in(path.name)}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def stand_in(name: str) -> str:
    """Gives what stands for a file's name in that of its temporary one: a hash if it is long."""
    content = os.fsencode(name)
    return name if len(content) <= _LONGEST_NAME else hashlib.sha256(content).hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Does what `replacing` does, and names the file in what goes wrong."""
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise type(error)(
            f"{path} cannot be written ({opening.reason(error)}); make room or choose another place"
        ) from error


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """Makes one ValueError, which names the file, of what an encoder meets in the block.

    OSErrors, those of the system, stay.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # encoders of odd metadata raise errors of every kind
        raise ValueError(
            f"{path} cannot be encoded ({opening.reason(error)}); write another format, or the "
            "picture without its metadata"
        ) from error


def list_pictures(folder: str | Path) -> list[Path]:
    """Lists the picture files in a folder and all below it, by extension, sorted, none hidden."""
    if not Path(folder).is_dir():
        raise ValueError(f"{folder} is not a folder; name an existing folder of pictures")
    return sorted(
        path
        for path in Path(folder).rglob("*")
        if path.suffix.lower() in EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )


def format_of(path: Path, format: str | None) -> str:
    """Names the format to write a path in."""
    extension = path.suffix.lower() if format is None else f".{format.lower()}"
    if extension not in _FORMATS:
        got = f"{path} has no known extension" if format is None else f"format: got {format}"
        raise ValueError(f"{got}; use one of {', '.join(EXTENSIONS)}")
    return _FORMATS[extension]


def check_holds(path: Path, kind: str, picture: Picture) -> None:
    """Raises ValueError where a format cannot hold a picture; says what to do."""
    dtype, (height, width, channels) = picture.pixels.dtype.name, picture.pixels.shape
    has_alpha, ink = picture.alpha is not None, picture.mode == "cmyk"
    plain = channels in (1, 3)
    if dtype not in _DEPTHS["TIFF"]:
        trouble, mend = f"{channels} channels of {dtype}", "convert to uint8, uint16 or float32"
    elif has_alpha and kind in _NO_ALPHA:
        trouble, mend = "the picture's alpha", "write a PNG instead, or lay a background under it"
    elif ink and kind not in _INKS:
        trouble, mend = "CMYK", "write .jpg or .tif, or widen it to RGB"
    elif dtype not in (_INKS if ink else _DEPTHS).get(kind, ("uint8",)):
        trouble, mend = f"{dtype}", "write .tif, 16 bits also .png, or ask for a depth of 8"
    elif max(height, width) > _MOST_PIXELS.get(kind, 2**31 - 1):
        trouble, mend = f"{height}x{width} pixels (HxW)", "write a PNG or TIFF instead"
    elif kind == "JPEG" and _is_too_long(picture.metadata):
        trouble, mend = "EXIF or XMP of more than 64 KB", "write a PNG or TIFF instead"
    elif not (plain or ink or (kind in ("TIFF", "NPY") and not has_alpha)):
        bands = f"{channels} channels{' and alpha' if has_alpha else ''}"
        trouble, mend = bands, "write .npy, or .tif without alpha, or take grey or RGB"
    else:
        return
    raise ValueError(f"{path}: {kind} cannot hold {trouble}; {mend}")


def _is_too_long(metadata: Metadata) -> bool:
    # Segments of 65535 bytes, less their length and, of XMP, a name.
    return len(metadata.exif or b"") > 65533 or len(metadata.xmp or b"") > 65504
