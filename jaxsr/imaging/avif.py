"""The boxes of an AVIF, of whose samples Pillow gives but 8 bits, saying nothing of others."""

import os
import struct
from typing import IO

# The boxes on the way to av1C, and how many bytes of its own each has before those inside.
_AROUND = {b"meta": 4, b"stsd": 8, b"av01": 78} | dict.fromkeys(
    (b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl"), 0
)
_HIGH_BITDEPTH = 0x40  # in the third byte of av1C (AV1 in ISOBMFF, 2.3.3)


def is_deep(file: IO[bytes]) -> bool:
    """Says whether a picture, or the alpha of it, is stored in 10 or 12 bits."""
    return _is_deep(file, 0, file.seek(0, os.SEEK_END))


def _is_deep(file: IO[bytes], start: int, end: int) -> bool:
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        inside = start + 8
        if size == 1:  # it follows, in 64 bits
            size, inside = int.from_bytes(file.read(8), "big"), start + 16
        behind = start + size if size else end
        if behind < inside:
            return False
        if kind == b"av1C":
            flags = file.read(3)[2:]
            if flags and flags[0] & _HIGH_BITDEPTH:
                return True
        elif kind in _AROUND and _is_deep(file, inside + _AROUND[kind], min(behind, end)):
            return True
        start = behind
    return False
