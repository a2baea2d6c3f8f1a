"""The chunks of a WebP, which Pillow does not tell apart."""

import os
import struct
from collections.abc import Iterator
from typing import IO

_LOSSY, _LOSSLESS, _FRAME = b"VP8 ", b"VP8L", b"ANMF"
_FRAME_HEAD = 16  # bytes: place, size and time of a frame


def is_lossless(file: IO[bytes]) -> bool:
    """Says whether the picture, or every frame, is stored without loss."""
    kinds = set(_kinds(file, 12, file.seek(0, os.SEEK_END)))
    return _LOSSLESS in kinds and _LOSSY not in kinds


def _kinds(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    while start + 8 <= end:
        file.seek(start)
        kind, size = struct.unpack("<4sI", file.read(8))
        yield kind
        inside, behind = start + 8, start + 8 + size
        if kind == _FRAME:
            yield from _kinds(file, inside + _FRAME_HEAD, min(behind, end))
        start = behind + size % 2
