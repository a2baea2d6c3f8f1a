"""TIFF by tifffile: the reading of what is beyond Pillow, and all writing."""

import logging
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxsr.imaging import arrays, exif, metadata, modes
from jaxsr.imaging.picture import Metadata, Mode, Picture, Unsupported

if TYPE_CHECKING:
    from PIL import Image

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
_BITS, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED = 0, 1, 2, 5
_PHOTOMETRIC = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _SEPARATED, 6)  # 6, YCbCr, decodes to RGB
_ASSOCIATED, _UNASSOCIATED = 1, 2
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_DEFLATE_RATIO = 1032  # as many bytes come out of one at most
_CLASSIC_BYTES = 2**32 - 2**25  # what 32-bit offsets reach, less something for directories

# What tifffile logs of a damaged file goes to those who log; nobody else is to see pages of it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class Layout(NamedTuple):
    """What the tags of a page say of its samples; the last may be alpha, of TIFF's kind 1 or 2."""

    height: int
    width: int
    samples: int
    alpha: int
    mode: Mode
    inverted: bool
    orientation: int

    def meant(self, pixels: np.ndarray) -> np.ndarray:
        """Gives samples as they are meant: 0 is black."""
        if self.mode == "bilevel":
            pixels = (pixels * 255).astype(np.uint8)
        if not self.inverted or pixels.dtype.kind == "f":
            return pixels
        return np.iinfo(pixels.dtype).max - pixels


def is_tiff(file: IO[bytes]) -> bool:
    """Looks at the first bytes."""
    file.seek(0)
    return file.read(4) in _STARTS


def beyond_pillow(image: "Image.Image") -> bool:
    """Says whether Pillow would lose bands, digits or signs of an opened picture, a TIFF."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2  # pyright: ignore[reportAttributeAccessIssue]
    deep = max(tags.get(_BITS, (1,))) > 8
    signed = set(tags.get(_SAMPLE_FORMAT, (1,))) != {1}
    return deep or signed or tags.get(_SAMPLES, 1) > len(image.getbands())


def read(path: str | Path, index: int) -> Picture:
    """Reads a page, its numbers as `arrays.kept` says. Damage raises whatever its decoder meets."""
    with opened(path, index) as (file, page, form):
        about = metadata.of_tiff(file, page)
        pixels = page.asarray()
    pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    pixels = pixels.reshape(form.height, form.width, form.samples)
    pixels = metadata.upright(form.meant(arrays.kept(pixels, path)), form.orientation)
    color, alpha = split(np.ascontiguousarray(pixels), form.alpha)
    return Picture(color, alpha, mode=form.mode, metadata=about)


def pages(path: str | Path) -> dict[int, int]:
    """Finds the pages that are neither smaller copies of others nor masks: index, decoded bytes."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        every: Any = list(file.pages)
        if _next_page(file, every[-1]):  # tifffile only logs that it could not follow
            raise ValueError("it ends before its pages do")
        sizes = {index: page.nbytes for index, page in enumerate(every)}
        copies = {index for index in sizes if every[index].subfiletype & (_REDUCED | _MASK)}
    return {index: size for index, size in sizes.items() if index not in copies} or {0: sizes[0]}


def _next_page(file: Any, page: Any) -> int:
    """Reads where the directory behind that of a page begins, 0 where there is none."""
    handle, form = file.filehandle, file.tiff
    handle.seek(page.offset)
    (count,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    handle.seek(page.offset + form.tagnosize + count * form.tagsize)
    return struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0]


def header(path: str | Path) -> tuple[tuple[int, int, int], str]:
    """Gives shape and dtype of the pixels of the first page, upright and without alpha."""
    with opened(path, 0) as (_, page, form):
        height, width = form.height, form.width
        if form.orientation in metadata.ON_SIDE:
            height, width = width, height
        dtype = "uint8" if form.mode == "bilevel" else arrays.kept_dtype(page.dtype, path)
        return (height, width, form.samples - bool(form.alpha)), dtype


@contextmanager
def opened(path: str | Path, index: int) -> Iterator[tuple[Any, Any, Layout]]:
    """Opens a page whose tags make sense. Raises `Unsupported` for pixels of another kind."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[index]
        if page.axes not in ("YX", "YXS", "SYX"):
            raise Unsupported(
                f"{path} has axes {page.axes}, but only planes or samples are read; "
                "write it as [bands, height, width] or as .npy"
            )
        if not 0 < page.size * page.dtype.itemsize <= _DEFLATE_RATIO * os.path.getsize(path):
            raise ValueError(f"a shape of {page.shape} does not go with the length of the file")
        yield file.filehandle, page, _layout(page, path)


def split(pixels: np.ndarray, alpha: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Parts [H, W, S] into colours and alpha, if any, which may be multiplied into the colours."""
    if not alpha:
        return pixels, None
    color, alpha_ = pixels[..., :-1], pixels[..., -1:]
    if alpha == _ASSOCIATED:
        most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
        divided = color.astype(np.float64) * most / np.where(alpha_ > 0, alpha_, most)
        whole = divided if pixels.dtype.kind == "f" else divided.round().clip(0, most)
        color = whole.astype(pixels.dtype)
    return np.ascontiguousarray(color), np.ascontiguousarray(alpha_)


def write(path: Path, pictures: Sequence[Picture]) -> None:
    """Writes one page for each picture, not compressed; BigTIFF where 32 bits do not reach."""
    import tifffile

    stored = [_stored(picture) for picture in pictures]
    big = is_big(sum(pixels.nbytes for pixels, _ in stored))
    with tifffile.TiffWriter(path, bigtiff=big) as file:
        for picture, (pixels, options) in zip(pictures, stored, strict=True):
            file.write(pixels, **options, **tags_of(picture.metadata))
    exif.append(path, [picture.metadata.exif for picture in pictures])


def is_big(size: int) -> bool:
    """Says whether pixels of as many bytes need BigTIFF."""
    return size > _CLASSIC_BYTES


def samples_options(channels: int, mode: str, *, alpha: bool) -> dict[str, Any]:
    """Says to tifffile what the samples are: of `channels`, alpha not counted."""
    photometric = "separated" if mode == "cmyk" else "rgb" if channels == 3 else "minisblack"
    bands = channels - {"rgb": 3, "separated": 4, "minisblack": 1}[photometric]
    extras = (0,) * bands + (_UNASSOCIATED,) * alpha
    options = {"planarconfig": "contig", "extrasamples": extras} if channels + alpha > 1 else {}
    return {"photometric": photometric} | options


def tags_of(about: Metadata) -> dict[str, Any]:
    """Says to tifffile what it can write of metadata: all but EXIF."""
    xmp = [(metadata.XMP, "B", len(about.xmp), about.xmp, True)] if about.xmp else []
    options = {"metadata": None, "software": False, "iccprofile": about.icc, "extratags": xmp}
    return options | ({"resolution": about.dpi, "resolutionunit": 2} if about.dpi else {})


def _stored(picture: Picture) -> tuple[np.ndarray, dict[str, Any]]:
    """Gives the samples of a page and what they are."""
    pixels, alpha = picture.pixels, picture.alpha
    if picture.mode == "bilevel" and alpha is None:
        return modes.to_bits(pixels), {"photometric": "minisblack"}
    if picture.mode == "palette" and alpha is None:
        assert picture.palette is not None
        colours = np.zeros((3, modes.MOST_COLOURS), np.uint16)
        colours[:, : len(picture.palette)] = picture.palette[:, :3].T * np.uint16(257)
        indices = modes.to_indices(pixels, None, picture.palette)
        return indices, {"photometric": "palette", "colormap": colours}
    options = samples_options(pixels.shape[-1], picture.mode, alpha=alpha is not None)
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha], axis=-1)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels, options


def _layout(page: Any, path: str | Path) -> Layout:
    samples, extras = page.samplesperpixel, tuple(int(extra) for extra in page.extrasamples)
    if page.photometric not in _PHOTOMETRIC or page.bitspersample not in (1, 8, 16, 32, 64):
        raise Unsupported(
            f"{path} has {page.bitspersample} bits of photometric interpretation "
            f"{int(page.photometric)}, but only 8, 16, 32 and 64 bits of grey, RGB and CMYK are "
            "read; convert it with an image editor"
        )
    if page.photometric == _RGB and samples == 4 and not extras:
        extras = (_UNASSOCIATED,)  # old writers leave this out; Pillow too takes it for alpha
    colours = samples - len(extras)
    with_alpha = extras in ((_ASSOCIATED,), (_UNASSOCIATED,)) and colours in (1, 3, 4)
    inks = page.photometric == _SEPARATED and colours == 4
    return Layout(
        height=page.imagelength,
        width=page.imagewidth,
        samples=samples,
        alpha=extras[0] if with_alpha else 0,
        mode="bilevel" if page.bitspersample == 1 else "cmyk" if inks else "plain",
        inverted=page.photometric == _WHITE_IS_ZERO,
        orientation=page.tags.valueof(exif.ORIENTATION, 1),
    )
