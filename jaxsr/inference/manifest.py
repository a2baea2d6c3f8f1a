"""The manifest of a job: a line of JSON for each picture that was made or failed.

`jaxsr-manifest.jsonl` lies in the output folder, and beside it, or instead,
`jaxsr-manifest.2-of-8.jsonl` for each share of a job that was split. A job reads all of them and
appends to its own. A line holds output (its name in the folder), input (its full path), bytes and
modified (the input's size, and its time in nanoseconds), digest, status (done or failed), error,
seconds and time (of writing, since 1970). Of the lines about one output the latest counts.
"""

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_FIELDS = {"output": str, "input": str, "status": str, "time": float}


class Stamp(NamedTuple):
    """What tells that an input is still the one that was read."""

    input: str
    bytes: int | None
    modified: int | None


def stamp(source: Path) -> Stamp:
    """The stamp of a file as it is now, of None where there is none."""
    try:
        status = source.stat()
    except OSError:
        return Stamp(str(source.resolve()), None, None)
    return Stamp(str(source.resolve()), status.st_size, status.st_mtime_ns)


def manifest_path(folder: Path, *, shard: tuple[int, int] | None = None) -> Path:
    """The file that records a job into a folder, or one share of it."""
    share = "" if shard is None else f".{shard[0]}-of-{shard[1]}"
    return folder / f"jaxsr-manifest{share}.jsonl"


def made_here(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield output (its name in the folder) and input of all that was ever done."""
    for line in _lines(folder):
        if line["status"] == "done":
            yield line["output"], line["input"]


class Manifest:
    """What is done in the folder of a manifest, and the end of the file, to append to.

    Any thread may append. ValueError where the folder cannot be written to.
    """

    def __init__(self, path: Path, digest: str):
        self._digest, self._lock = digest, threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._latest = {line["output"]: line for line in _lines(path.parent)}
            # Unbuffered: a line is in the file, whatever kills the process, or it raises.
            self._file = open(path, "a+b", buffering=0)
        except OSError as error:
            raise ValueError(
                f"{path.parent} cannot be written to ({error.strerror}); name another output"
            ) from error
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(size - 1, 0))
        self._torn = self._file.read(1) not in (b"", b"\n")

    def holds(self, name: str, source: Stamp) -> bool:
        """Whether an output was done of this very input with the same digest."""
        line = self._latest.get(name, {})
        wanted = {"status": "done", "digest": self._digest} | source._asdict()
        return all(line.get(key) == value for key, value in wanted.items())

    def append(self, name: str, source: Stamp, **fields: Any) -> None:
        """Record one output; OSError where the disk is full."""
        line = {"output": name} | source._asdict() | {"digest": self._digest} | fields
        encoded = json.dumps(line | {"time": time.time()}).encode() + b"\n"
        with self._lock:
            encoded = b"\n" * self._torn + encoded
            self._torn = True
            if self._file.write(encoded) != len(encoded):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._torn = False

    def close(self) -> None:
        """Close the file; nothing can be appended after."""
        self._file.close()


def _lines(folder: Path) -> list[dict[str, Any]]:
    """All lines of all manifests of a folder in the order of their writing, the torn left out."""
    lines = []
    for path in folder.glob("jaxsr-manifest*.jsonl"):
        for text in path.read_bytes().splitlines():
            try:
                line = json.loads(text)
            except ValueError:  # cut off by the end of its process or of the disk
                continue
            if _is_line(line):
                lines.append(line)
    return sorted(lines, key=lambda line: line["time"])


def _is_line(line: Any) -> bool:
    return isinstance(line, dict) and all(
        isinstance(line.get(key), kind) for key, kind in _FIELDS.items()
    )
