"""The blocks of a GIF, which Pillow takes as they come, saying nothing of an end too soon."""

import os
from typing import IO

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def is_whole(file: IO[bytes]) -> bool:
    """Says whether the blocks run up to the trailer (GIF89a, 27)."""
    file.seek(10)
    _skip_table(file.read(1), file, behind=2)
    while start := file.read(1):
        if start[0] == _TRAILER:
            return True
        if start[0] == _IMAGE:
            _skip_table(file.read(9)[8:], file, behind=0)
            file.seek(1, os.SEEK_CUR)  # the code size
        elif start[0] == _EXTENSION:
            file.seek(1, os.SEEK_CUR)  # its kind
        else:
            return False
        while (length := file.read(1)) and length[0]:
            file.seek(length[0], os.SEEK_CUR)
    return False


def _skip_table(flags: bytes, file: IO[bytes], *, behind: int) -> None:
    """Passes what lies behind the flags, and the table of colours that they announce."""
    announced = flags and flags[0] & 0x80
    size = 3 * 2 ** ((flags[0] & 7) + 1) if announced else 0
    file.seek(behind + size, os.SEEK_CUR)
