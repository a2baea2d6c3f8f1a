"""Metadata of picture files: the same four things, whichever way a format stores them."""

import re
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from jaxsr.imaging import exif
from jaxsr.imaging.picture import Metadata

if TYPE_CHECKING:
    from PIL import Image

XMP = 700
_RAW_EXIF = "Raw profile type exif"  # how ImageMagick wrote it to PNG: three lines, and digits
ON_SIDE = (5, 6, 7, 8)  # orientations that swap height and width
_XMP_ORIENTATION = re.compile(
    rb"""\s*tiff:Orientation\s*=\s*["'][0-9]["']"""
    rb"""|<tiff:Orientation>\s*[0-9]\s*</tiff:Orientation>"""
)


def of_image(image: "Image.Image") -> Metadata:
    """Takes what Pillow has read so far of an opened file; decodes no pixels.

    Of WebP, `opening` has put `lossless` beside what Pillow found.
    """
    tags = exif_of(image)
    if image.format == "TIFF":
        block, dpi = exif.of_tags(tags), exif.resolution(tags)
    else:
        block = exif.clean(image.info.get("exif"))
        dpi = exif.resolution(tags) or _dpi(image)
    lossless = image.format == "WEBP" and image.info["lossless"]
    return Metadata(image.info.get("icc_profile"), block, _upright_xmp(image), dpi, lossless)


def of_tiff(file: IO[bytes], page: Any) -> Metadata:
    """Takes what a page of a TIFF holds, as tifffile has opened it."""
    from PIL import Image

    tags = Image.Exif()
    tags.endian, tags.bigtiff = page.parent.byteorder, page.parent.is_bigtiff
    if page.parent.byteorder == "<" or not page.parent.is_bigtiff:  # the rest Pillow cannot read
        tags.load_from_fp(file, page.offset)
    xmp = page.tags.valueof(XMP)
    upright_xmp = _XMP_ORIENTATION.sub(b"", xmp) if isinstance(xmp, bytes) else None
    return Metadata(page.iccprofile, exif.of_tags(tags), upright_xmp, exif.resolution(tags))


def mend_exif(image: "Image.Image") -> None:
    """Puts a sound EXIF block, or an empty one, in the place of that of an opened file."""
    block, raw = image.info.get("exif"), image.info.get(_RAW_EXIF)
    if block is None and raw is not None:
        try:
            block = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            block = b""
    if block is not None:
        image.info["exif"] = exif.mended(block) or b""


def exif_of(image: "Image.Image") -> "Image.Exif":
    """Gives the tags before the pixels: PNG's own method would decode all to look behind."""
    from PIL import Image

    if image.format == "TIFF":
        return Image.Image.getexif(image)
    bare = Image.new("1", (1, 1))  # the image may remember tags of a block since mended
    bare.info = image.info
    return bare.getexif()


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns [H, W, C] as EXIF's orientation, 1 to 8, says (EXIF 2.32, 4.6.4)."""
    if orientation in ON_SIDE:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _upright_xmp(image: "Image.Image") -> bytes | None:
    xmp = image.info.get("xmp")
    return _XMP_ORIENTATION.sub(b"", xmp) if xmp else None


def _dpi(image: "Image.Image") -> tuple[float, float] | None:
    # Pillow makes up 72 for a JPEG that states none.
    if image.format in ("JPEG", "MPO") and image.info.get("jfif_unit") not in (1, 2):
        return None
    x, y = image.info.get("dpi", (0, 0))
    return (float(x), float(y)) if x and y else None
