"""TIFF and BigTIFF by rows, so that a picture of any height takes no more memory than a low one."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from jaxsr.imaging import arrays, exif, files, opening, tiff
from jaxsr.imaging.metadata import of_tiff
from jaxsr.imaging.picture import Metadata, Mode, Unsupported

_STRIP_BYTES = 2**20  # of pixels in a written strip
LARGE = 2**27  # bytes of pixels from which a TIFF is better not taken whole


class Strips:
    """An opened TIFF: the last of its `channels` is alpha where `alpha` says so.

    `pages` counts those of the file. `dtype` is what `rows` gives: uint8 and uint16 are kept, other
    real numbers become float32.
    """

    def __init__(self, path: Path, file: IO[bytes], page: Any, form: tiff.Layout):
        self.height, self.width, self.channels = form.height, form.width, form.samples
        self.alpha, self.mode = bool(form.alpha), form.mode
        name = "uint8" if form.mode == "bilevel" else arrays.kept_dtype(page.dtype, path)
        self.dtype = np.dtype(name)
        self.metadata = of_tiff(file, page)
        self.pages = len(page.parent.pages)
        self._path, self._file, self._page, self._form = path, file, page, form
        self._planes = 1 if page.planarconfig == 1 else form.samples
        self._decoded: dict[int, np.ndarray] = {}  # rows of segments, by number

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """Reads [bottom - top, W, C]; what lies above `top` is forgotten, so go downwards.

        Raises ValueError for rows outside the picture, and as `files.read` does.
        """
        if not 0 <= top < bottom <= self.height:
            raise ValueError(
                f"{self._path}: got rows {top} to {bottom}, wanted some of 0 to {self.height}"
            )
        with opening.errors_of(self._path):
            read = self._contiguous if _is_plain(self._page) else self._segmented
            pixels = self._form.meant(arrays.kept(read(top, bottom), self._path))
        color, alpha = tiff.split(pixels, self._form.alpha)
        return color if alpha is None else np.concatenate([color, alpha], axis=-1)

    def _contiguous(self, top: int, bottom: int) -> np.ndarray:
        dtype = self._page.dtype.newbyteorder(self._page.parent.byteorder)
        shape = (bottom - top, self.width, self.channels // self._planes)
        row = self.width * shape[-1] * dtype.itemsize
        planes = []
        for plane in range(self._planes):
            self._file.seek(self._page.dataoffsets[0] + (plane * self.height + top) * row)
            content = self._file.read((bottom - top) * row)
            if len(content) < (bottom - top) * row:
                raise ValueError("it ends before its pixels do")
            planes.append(np.frombuffer(content, dtype).reshape(shape))
        return np.concatenate(planes, axis=-1)

    def _segmented(self, top: int, bottom: int) -> np.ndarray:
        high = segment_rows(self._page)
        numbers = range(top // high, (bottom - 1) // high + 1)
        kept = {number: self._decoded[number] for number in numbers if number in self._decoded}
        self._decoded = kept  # before more are decoded, to hold no more than needed
        for number in numbers:
            if number not in kept:
                kept[number] = self._decode(number, high)
        together = np.concatenate([kept[number] for number in numbers])
        return together[top - numbers[0] * high : bottom - numbers[0] * high]

    def _decode(self, number: int, high: int) -> np.ndarray:
        """Decodes the segments that lie side by side, of all planes."""
        page = self._page
        across = -(-self.width // page.tilewidth) if page.is_tiled else 1
        rows = min(high, self.height - number * high)
        down = -(-self.height // high)
        pixels = np.zeros((rows, self.width, self.channels), page.dtype)
        for plane in range(self._planes):
            channels = slice(plane, plane + 1) if self._planes > 1 else slice(None)
            for column in range(across):
                index = (plane * down + number) * across + column
                segment, (*_, left, _), shape = page.decode(
                    self._segment(index), index, jpegtables=page.jpegtables
                )
                if segment is not None:  # a segment left out is black
                    tile = segment.reshape(shape)[0, :rows, : self.width - left]
                    right = left + tile.shape[1]
                    pixels[: len(tile), left:right, channels] = tile
        return pixels

    def _segment(self, index: int) -> bytes | None:
        size = self._page.databytecounts[index]
        self._file.seek(self._page.dataoffsets[index])
        return self._file.read(size) if size else None


@contextmanager
def open_strips(path: str | Path) -> Iterator[Strips]:
    """Opens the first page of a TIFF or BigTIFF, in tiles or strips, to be read by rows.

    Raises ValueError for what is no TIFF, lies on its side, or holds strips or tiles of which one
    row alone takes more than `opening.DECODED_LIMIT` bytes decoded.
    """
    with ExitStack() as stack:
        with opening.errors_of(Path(path)):
            file, page, form = stack.enter_context(tiff.opened(path, 0))
            _check_readable(path, page, form)
            strips = Strips(Path(path), file, page, form)
        yield strips


def is_large(path: str | Path) -> bool:
    """Tells whether a file is a TIFF of `LARGE` bytes or more, of one page that goes by strips.

    That is one of grey, RGB or bands, upright; False for every other file.
    """
    try:
        with open_strips(path) as strips:
            size = strips.height * strips.width * strips.channels * strips.dtype.itemsize
            plain = strips.mode == "plain" and not strips.alpha and strips.pages == 1
            return plain and size >= LARGE
    except ValueError:  # not by rows: whoever reads it whole says what is wrong, if anything is
        return False


def _check_readable(path: str | Path, page: Any, form: tiff.Layout) -> None:
    if form.orientation != 1:
        raise Unsupported(f"{path} is not stored upright, as reading by rows wants; turn it")
    high = segment_rows(page)
    size = high * form.width * form.samples * page.dtype.itemsize
    if size > opening.DECODED_LIMIT and not _is_plain(page):
        raise Unsupported(
            f"{path} is compressed {high} rows at a time, {size / 2**30:.3g} GiB decoded; "
            "write it with smaller strips or tiles"
        )


def segment_rows(page: Any) -> int:
    """Tells how many rows are decoded together."""
    return page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength)


def write_strips(
    path: str | Path,
    strips: Iterable[np.ndarray],
    *,
    shape: tuple[int, int, int],
    dtype: DTypeLike,
    alpha: bool = False,
    mode: Mode = "plain",
    metadata: Metadata | None = None,
    compression: Literal["none", "deflate"] = "deflate",
) -> None:
    """Writes a TIFF, or a BigTIFF where it is large, of strips [h, W, C] of any heights.

    `shape` is [H, W, C]; the last channel is alpha if so said, `mode` "plain" or "cmyk". Holds no
    more than one of its own strips of about a megabyte beside the given one. Raises ValueError for
    strips of another shape or dtype and for too few or too many rows, OSError where the file
    cannot be written; an existing file stays as it was when anything fails.
    """
    import tifffile

    path, dtype, metadata = Path(path), np.dtype(dtype), metadata or Metadata()
    _check(path, shape, dtype, mode)
    height, width, channels = shape
    high = max(1, min(height, _STRIP_BYTES // (width * channels * dtype.itemsize)))
    encode = _deflated if compression == "deflate" else np.ndarray.tobytes
    options = tiff.samples_options(channels - alpha, mode, alpha=alpha) | tiff.tags_of(metadata)
    if compression == "deflate":
        options |= {"compression": "zlib", "predictor": True}
    flat = shape if channels > 1 else shape[:2]
    with files.writing(path) as temporary:
        with tifffile.TiffWriter(temporary, bigtiff=tiff.is_big(_bytes(shape, dtype))) as file:
            pieces = _cut(path, strips, shape, dtype, high)
            content = (encode(piece) for piece in pieces)
            file.write(content, shape=flat, dtype=dtype, rowsperstrip=high, **options)
            next(pieces, None)  # which finds what is left over
        exif.append(temporary, [metadata.exif])


def _is_plain(page: Any) -> bool:
    return page.is_contiguous and not page.is_tiled


def _bytes(shape: tuple[int, int, int], dtype: np.dtype) -> int:
    return shape[0] * shape[1] * shape[2] * dtype.itemsize


def _check(path: Path, shape: tuple[int, int, int], dtype: np.dtype, mode: Mode) -> None:
    if min(shape) < 1 or dtype not in (np.uint8, np.uint16, np.float32):
        raise ValueError(
            f"{path}: got {dtype} of shape {shape}, wanted uint8, uint16 or float32 of [H, W, C]"
        )
    if mode not in ("plain", "cmyk"):
        raise ValueError(f"{path}: strips are plain or cmyk, not {mode}; widen the picture")


def _cut(
    path: Path,
    strips: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    dtype: np.dtype,
    high: int,
) -> Iterator[np.ndarray]:
    """Cuts strips anew, to `high` rows each, the last fewer."""
    held: list[np.ndarray] = []
    count = seen = 0
    for strip in strips:
        if strip.ndim != 3 or strip.shape[1:] != shape[1:] or strip.dtype != dtype:
            raise ValueError(
                f"{path}: got a strip of {strip.dtype} {strip.shape}, wanted {dtype} "
                f"[h, {shape[1]}, {shape[2]}]"
            )
        held, count, seen = [*held, strip], count + len(strip), seen + len(strip)
        if seen > shape[0]:
            raise ValueError(f"{path}: got {seen} rows or more, wanted {shape[0]}")
        if count < high:
            continue
        rows = np.concatenate(held)
        for top in range(0, count - high + 1, high):
            yield rows[top : top + high]
        held, count = [rows[count - count % high :].copy()], count % high
    if seen != shape[0]:
        raise ValueError(f"{path}: got {seen} rows, wanted {shape[0]}")
    if count:
        yield np.concatenate(held)


def _deflated(piece: np.ndarray) -> bytes:
    """Encodes a strip as differences from pixel to pixel (TIFF 6.0, section 14)."""
    import imagecodecs

    predict = imagecodecs.floatpred_encode if piece.dtype.kind == "f" else imagecodecs.delta_encode
    different: Any = predict(np.ascontiguousarray(piece), axis=-2)
    return bytes(imagecodecs.zlib_encode(different))
