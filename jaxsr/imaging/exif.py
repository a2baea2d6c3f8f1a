"""EXIF blocks: a small TIFF of tags, begun by the six bytes `Exif\\0\\0`."""

import os
import struct
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

_START = b"Exif\0\0"
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# How many bytes a value of each of TIFF's types takes; of others nothing is known.
_LENGTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
ORIENTATION = 274
_X_RESOLUTION, _Y_RESOLUTION, _UNIT = 282, 283, 296
_INCH = {2: 1.0, 3: 2.54}  # how many of the unit that the tag names make an inch
_MOST_DPI = 2e7  # damage lies beyond: every format but JPEG has room for this, in either unit
_EXIF_IFD, _GPS_IFD = 34665, 34853
_SIZES = (40962, 40963)  # the picture's width and height, once more

# Tags of a TIFF that say what the picture is, not how or where on earth its pixels lie.
_DESCRIPTIVE = frozenset(
    (*range(269, 273), 285, 305, 306, 315, 316, 18246, 33432, _EXIF_IFD, _GPS_IFD)
    + tuple(range(40091, 40096))
)
_DESCRIPTION = 270
_STATES_SHAPE = ("{", "ImageJ=", "<?xml")  # descriptions that programs write for themselves


class _Form(NamedTuple):
    """How a directory is laid out, in classic TIFF or in BigTIFF."""

    number: str
    entry: str
    pointer: int


_HEAD = b"II*\0\x08\0\0\0"
_BIG_HEAD = b"II+\0\x08\0\0\0\x10" + bytes(7)
_CLASSIC, _BIG = _Form("H", "<HHI4s", 4), _Form("Q", "<HHQ8s", 8)


def mended(block: bytes | None) -> bytes | None:
    """Takes out of a block what points outside it, and leaves every other byte in place.

    None where no tag remains, or the block is not one.
    """
    tiff = bytearray((block or b"").removeprefix(_START))
    order = _ORDERS.get(bytes(tiff[:4]))
    if order is None or len(tiff) < 8:
        return None
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    left = _remove(tiff, order, first, ())
    below = [tag for tag in (_EXIF_IFD, _GPS_IFD) if tag in left]
    dangling = [tag for tag in below if not _remove(tiff, order, left[tag], ())]
    return _START + bytes(tiff) if _remove(tiff, order, first, dangling) else None


def clean(block: bytes | None) -> bytes | None:
    """Takes also orientation, sizes and thumbnail out of a block; otherwise as `mended`."""
    sound = mended(block)
    if sound is None:
        return None
    tiff = bytearray(sound.removeprefix(_START))
    order = _ORDERS[bytes(tiff[:4])]
    (first,) = struct.unpack_from(order + "I", tiff, 4)
    left = _remove(tiff, order, first, (ORIENTATION,))
    if _EXIF_IFD in left:
        _remove(tiff, order, left[_EXIF_IFD], _SIZES)
    if left:
        struct.pack_into(order + "I", tiff, first + 2 + 12 * len(left), 0)  # no second directory
    return _START + bytes(tiff) if left else None


def of_tags(tags: "Image.Exif") -> bytes | None:
    """Makes a block of the descriptive tags of a TIFF."""
    directory = _directory(tags, _CLASSIC)
    return _START + _HEAD + directory.tobytes(len(_HEAD)) if len(directory) else None


def with_resolution(block: bytes | None, dpi: tuple[float, float] | None) -> bytes | None:
    """States the dots per inch in a block that does not yet, for formats with no other place."""
    tags = _parsed(block)
    if not dpi or resolution(tags):
        return block
    directory = _directory(tags, _CLASSIC)
    directory[_X_RESOLUTION], directory[_Y_RESOLUTION] = dpi
    directory[_UNIT] = 2
    return _START + _HEAD + directory.tobytes(len(_HEAD))


def resolution(tags: "Image.Exif") -> tuple[float, float] | None:
    """Gives the dots per inch, horizontal and vertical, where the tags state them."""
    inch = _INCH.get(tags.get(_UNIT, 2))
    try:
        x, y = float(tags.get(_X_RESOLUTION, 0)), float(tags.get(_Y_RESOLUTION, 0))
    except (TypeError, ValueError):  # of tags that hold text, or several numbers
        return None
    return (x * inch, y * inch) if inch and 0 < x < _MOST_DPI and 0 < y < _MOST_DPI else None


def append(path: str | Path, blocks: Iterable[bytes | None]) -> None:
    """Writes EXIF blocks into the pages of a little-endian TIFF; a page's own tags come first.

    The directory of such a page is written anew behind everything, with the tags of both.
    """
    with open(path, "r+b") as file:
        form = _BIG if file.read(4) == b"II+\0" else _CLASSIC
        link = 8 if form.pointer == 8 else 4
        for block in blocks:
            start = int.from_bytes(_at(file, link, form.pointer), "little")
            entries, behind = _entries(file, start, form)
            if block:
                added = _directory(_parsed(block), form).tobytes(_end(file))
                extra, _ = _entries(file, _write(file, added), form)
                entries = extra | entries
                start = _write(file, _packed(entries, behind, form))
                file.seek(link)
                file.write(start.to_bytes(form.pointer, "little"))
            link = start + struct.calcsize(form.number) + len(entries) * struct.calcsize(form.entry)


def _entries(file: IO[bytes], start: int, form: _Form) -> tuple[dict[int, bytes], bytes]:
    """Reads a directory: the bytes of each entry by tag, and the pointer to the next one."""
    number, size = struct.calcsize(form.number), struct.calcsize(form.entry)
    count = int.from_bytes(_at(file, start, number), "little")
    raw = [file.read(size) for _ in range(count)]
    return {int.from_bytes(entry[:2], "little"): entry for entry in raw}, file.read(form.pointer)


def _packed(entries: dict[int, bytes], behind: bytes, form: _Form) -> bytes:
    in_order = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack("<" + form.number, len(entries)) + in_order + behind


def _at(file: IO[bytes], position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


def _end(file: IO[bytes]) -> int:
    return (file.seek(0, os.SEEK_END) + 7) // 8 * 8


def _write(file: IO[bytes], content: bytes) -> int:
    """Writes behind everything, and says where."""
    end = _end(file)
    file.seek(end)
    file.write(content)
    return end


def _remove(tiff: bytearray, order: str, start: int, tags: Collection[int]) -> dict[int, int]:
    """Takes entries out of a directory in place, also those whose values lie outside.

    Gives the others: tag and value or offset. None are of a directory that itself lies outside.
    """
    if start + 2 > len(tiff):
        return {}
    (count,) = struct.unpack_from(order + "H", tiff, start)
    first, size = start + 2, 12
    behind = first + count * size
    if behind > len(tiff):
        return {}
    tiff.extend(bytes(max(0, behind + 4 - len(tiff))))  # a pointer to the next one left out
    raw = [bytes(tiff[at : at + size]) for at in range(first, behind, size)]
    left = {}
    for entry in raw:
        tag, kind, values, offset = struct.unpack(order + "HHII", entry)
        length = values * _LENGTHS.get(kind, 0)
        if tag not in tags and (length <= 4 or offset + length <= len(tiff)):
            left[tag] = entry
    table = b"".join(left.values()) + tiff[behind : behind + 4]
    struct.pack_into(order + "H", tiff, start, len(left))
    tiff[first : first + len(table)] = table
    return {tag: struct.unpack_from(order + "I", entry, 8)[0] for tag, entry in left.items()}


def _parsed(block: bytes | None) -> "Image.Exif":
    from PIL import Image

    tags, sound = Image.Exif(), mended(block)
    if sound:
        tags.load(sound)
    return tags


def _directory(tags: "Image.Exif", form: _Form) -> "ImageFileDirectory_v2":
    """Gives the descriptive tags as far as they can be written."""
    directory = _empty(form)
    for tag in set(tags) & _DESCRIPTIVE:
        if tag in (_EXIF_IFD, _GPS_IFD):
            below = {key: item for key, item in tags.get_ifd(tag).items() if key not in _SIZES}
            value = {key: item for key, item in below.items() if _writable(key, item, form, tag)}
        else:
            value = tags[tag]
        states_shape = tag == _DESCRIPTION and str(value).startswith(_STATES_SHAPE)
        if not states_shape and _writable(tag, value, form):
            _put(directory, tag, value)
    return directory


def _empty(form: _Form, group: int | None = None) -> "ImageFileDirectory_v2":
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    return ImageFileDirectory_v2(_HEAD if form is _CLASSIC else _BIG_HEAD, group=group)


def _writable(tag: int, value: Any, form: _Form, group: int | None = None) -> bool:
    """Tries it, for a tag may hold a value of a kind that goes with another name."""
    alone = _empty(form, group)
    try:
        _put(alone, tag, value)
        alone.tobytes()
    except Exception:  # Pillow raises errors of every kind
        return False
    return True


def _put(directory: "ImageFileDirectory_v2", tag: int, value: Any) -> None:
    if isinstance(value, str) and directory.group is None:
        # As bytes, for Pillow would make question marks of all but ASCII.
        directory.tagtype[tag], value = 2, value.encode("latin-1")
    directory[tag] = value
