"""Decoded pictures in one memory-mapped file, shared by all workers and by later runs."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import platformdirs

from jaxsr.training.pictures import Pictures, decode

VERSION = 1  # part of the key: raise it when the layout or `decode` changes
ABANDONED = 600  # seconds: a temporary folder untouched for so long belongs to a dead process


def location(pictures: Pictures) -> Path:
    """Return the folder of the store of these files at these sizes and times."""
    stats = [(os.path.abspath(path), os.stat(path)) for path in pictures.files]
    files = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    shapes = [pictures.shape(file) for file in range(len(files))]
    text = json.dumps([VERSION, files, shapes, pictures.dtype])
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    return platformdirs.user_cache_path("jaxsr", appauthor=False) / "data" / name


def fill(pictures: Pictures) -> Iterator[tuple[int, int]]:
    """Decode every file into the store, yielding (files done, files) after each; nothing if filled.

    The store appears whole or not at all: it grows in a temporary folder beside its place and is
    renamed. Where two runs fill it at once, the first to finish wins. ValueError where the disk
    lacks the room.
    """
    folder = location(pictures)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _clean(folder.parent)
    if folder.is_dir():
        return
    _check_room(pictures, folder.parent)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        bad = yield from _decode_all(pictures, temporary)
        (temporary / "bad.json").write_text(json.dumps(bad))
        _rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # renamed, or stopped half-way


class Store:
    """Read access to a filled store; `bad` maps the index of a file to why it was not decoded."""

    def __init__(self, pictures: Pictures):
        self.folder = location(pictures)
        if not self.folder.is_dir():
            raise ValueError(f"the store {self.folder} is not filled; run `fill` first")
        reasons = json.loads((self.folder / "bad.json").read_text())
        self.bad = {int(file): reason for file, reason in reasons.items()}

    def __getstate__(self) -> dict:
        return {"folder": self.folder, "bad": self.bad}  # each process maps the file for itself

    def read(self, pictures: Pictures, file: int) -> np.ndarray:
        """Return `pictures.files[file]` [H, W, C], read-only, as `decode` does."""
        if file in self.bad:
            raise ValueError(self.bad[file])
        pixels, offsets = self._mapped(pictures)
        return pixels[offsets[file] : offsets[file + 1]].reshape(pictures.shape(file))

    def _mapped(self, pictures: Pictures) -> tuple[np.ndarray, list[int]]:
        if "_map" not in self.__dict__:
            pixels = np.memmap(self.folder / "pixels", pictures.dtype, mode="r")
            self._map = pixels.view(np.ndarray), _offsets(pictures)
        return self._map


def _offsets(pictures: Pictures) -> list[int]:
    """Return where each file begins, in elements, and the length of all."""
    lengths = [math.prod(pictures.shape(file)) for file in range(len(pictures.files))]
    return [0, *np.cumsum(lengths, dtype=np.int64).tolist()]


def _decode_all(pictures: Pictures, folder: Path) -> Iterator[tuple[int, int]]:
    """Decode into `folder`, yielding progress; return the reason for each file left out."""
    offsets, bad, total = _offsets(pictures), {}, len(pictures.files)
    path = folder / "pixels"
    size = offsets[-1] * np.dtype(pictures.dtype).itemsize
    with path.open("wb") as file:
        file.truncate(size)
    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        write = functools.partial(_write, pictures, path, offsets)
        for file, reason in enumerate(threads.map(write, range(total))):
            bad |= {file: reason} if reason else {}
            os.utime(folder)  # alive: see ABANDONED
            yield file + 1, total
    finally:
        threads.shutdown(cancel_futures=True)
    with path.open("rb+") as file:
        os.fsync(file.fileno())  # a name must not outlive its bytes when the power fails
    return bad


def _write(pictures: Pictures, path: Path, offsets: list[int], file: int) -> str:
    """Decode one file to its place; return why it could not be decoded, or nothing."""
    try:
        pixels = decode(pictures, file)
    except ValueError as error:
        return str(error)
    with path.open("rb+") as stream:
        stream.seek(offsets[file] * pixels.itemsize)
        stream.write(np.ascontiguousarray(pixels).data)
    return ""


def _rename(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another run was first, with the same bytes
            raise


def _clean(parent: Path) -> None:
    """Remove what killed runs left."""
    for temporary in parent.glob("*.tmp"):
        if time.time() - temporary.stat().st_mtime > ABANDONED:
            shutil.rmtree(temporary, ignore_errors=True)


def _check_room(pictures: Pictures, parent: Path) -> None:
    size, free = (
        _offsets(pictures)[-1] * np.dtype(pictures.dtype).itemsize,
        shutil.disk_usage(parent).free,
    )
    if size > free:
        raise ValueError(
            f'data.cache = "disk" needs {size / 2**30:.1f} GiB in {parent}, which has '
            f'{free / 2**30:.1f} GiB left; make room or choose data.cache = "none"'
        )
