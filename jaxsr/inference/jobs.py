"""Folders of pictures through a network: a generator of records, one for each picture."""

import os
import re
import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxsr.imaging import files
from jaxsr.imaging.frames import open_frames, write_frames
from jaxsr.imaging.modes import convert
from jaxsr.imaging.picture import Picture
from jaxsr.imaging.strips import is_large
from jaxsr.inference.manifest import Manifest, Stamp, stamp
from jaxsr.inference.picture import upscale_frames
from jaxsr.inference.pipeline import FAILURES, Ask, Enlarge, Task, overlap, sentence
from jaxsr.inference.plan import Item, Plan

# Makes a file of another by itself, calling `pulse` now and then; returns pixels read, pixels
# written and notes.
ByStrips = Callable[..., tuple[int, int, Sequence[str]]]


class Asked:
    """What enlarges for one picture, with the figures of its record."""

    def __init__(self, ask: Ask):
        self._ask, self.device = ask, ask.device
        self.input_pixels = self.output_pixels = 0
        self.idle, self.notes = 0.0, []

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        start = time.monotonic()
        made = self._ask(pixels)
        self.idle += time.monotonic() - start - made.seconds
        self.count(pixels[..., 0].size, made.pixels[..., 0].size, made.notes)
        return made.pixels

    def count(self, read: int, written: int, notes: Sequence[str]) -> None:
        """Add to the figures."""
        self.input_pixels += read
        self.output_pixels += written
        self.notes += [note for note in notes if note not in self.notes]


# How one file is made of another, given what enlarges [H, W, C].
Make = Callable[[Path, Path, Asked], object]


def upscale_file(
    source: Path,
    target: Path,
    enlarge: Asked,
    *,
    channels: int | None = None,
    prepare: Callable[[Picture], Picture] = convert,
    quality: int = 95,
    by_strips: ByStrips | None = None,
) -> None:
    """Read, enlarge and write one picture with all its frames.

    `channels` are those that `enlarge` takes, any where None. `prepare` goes before: `convert` with
    what is asked for. A TIFF too large to be taken whole goes `by_strips`, where that is given.
    """
    if by_strips and target.suffix.lower() in (".tif", ".tiff") and is_large(source):
        with enlarge.device() as pulse:
            enlarge.count(*by_strips(source, target, pulse=pulse))
        return
    with open_frames(source) as frames:
        prepared = (frame._replace(picture=prepare(frame.picture)) for frame in frames)
        upscaled = upscale_frames(enlarge, prepared, channels=channels)
        write_frames(target, upscaled, plays=frames.plays, quality=quality)


def run_job(
    enlarge: Enlarge,
    job: Plan,
    *,
    make: Make = upscale_file,
    digest: str = "",
    fresh: bool = False,
    batch: int = 1,
) -> Generator[dict[str, Any], None, None]:
    """Upscale each picture of a plan and yield a record of it, in their order.

    A record holds `input` and `output` (paths), `status` ("done", "skipped" or "failed"), `error`
    (a sentence that names the files, else None), `seconds` (of its own work, without waiting for
    other pictures), `input_pixels` and `output_pixels` (what was enlarged, all frames together) and
    `notes` (what `enlarge` had to say).

    `make` reads and writes, in threads; `enlarge` runs in the calling thread, for pictures of equal
    shape in batches of up to `batch`, which pays on accelerators. What the plan's manifest holds as
    done of the same input with the same `digest` (of weights and options) is skipped, unless
    `fresh`. A picture that fails does not stop the others. Closing the generator leaves nothing
    half-written: the same job goes on from there. ValueError where the manifest cannot be written.
    """
    manifest = Manifest(job.manifest, digest) if job.manifest else None
    try:
        _sweep(job.items)
        tasks = (_task(item, make, manifest, fresh=fresh) for item in job.items)
        yield from overlap(tasks, enlarge, batch=batch)
    finally:
        if manifest:
            manifest.close()


def _task(item: Item, make: Make, manifest: Manifest | None, *, fresh: bool) -> Task:
    before = stamp(item.source)
    if manifest and not fresh and item.target.exists() and manifest.holds(item.name, before):
        return Task(0, lambda _: _record(item, "skipped"))
    try:
        pixels = _pixels(item.source)
    except FAILURES:
        pixels = 0  # reading it will say what is wrong
    return Task(pixels, partial(_upscale, item, make, manifest, before))


def _pixels(path: Path) -> int:
    """How many a file holds, all frames together, by what stands before them."""
    header = files.header(path)
    with open_frames(path) as frames:
        return frames.count * header.height * header.width


def _upscale(
    item: Item, make: Make, manifest: Manifest | None, before: Stamp, ask: Ask
) -> dict[str, Any]:
    """Make one picture, record it, and return its record."""
    start, asked = time.monotonic(), Asked(ask)
    status, error = "done", None
    try:
        item.target.parent.mkdir(parents=True, exist_ok=True)
        make(item.source, item.target, asked)
    except FAILURES as problem:
        status, error = "failed", _blame(item, problem)
    seconds = time.monotonic() - start - asked.idle
    if manifest:
        try:
            manifest.append(item.name, before, status=status, error=error, seconds=seconds)
        except OSError as problem:
            status, error = "failed", error or _blame(item, problem)
    return _record(item, status, error=error, seconds=seconds, asked=asked)


def _record(
    item: Item,
    status: str,
    *,
    error: str | None = None,
    seconds: float = 0.0,
    asked: Asked | None = None,
) -> dict[str, Any]:
    return {
        "input": str(item.source),
        "output": str(item.target),
        "status": status,
        "error": error,
        "seconds": seconds,
        "input_pixels": asked.input_pixels if asked else 0,
        "output_pixels": asked.output_pixels if asked else 0,
        "notes": asked.notes if asked else [],
    }


def _blame(item: Item, error: BaseException) -> str:
    return f"{item.source} -> {item.target}: {sentence(error)}"


def _sweep(items: Sequence[Item]) -> None:
    """Remove what killed jobs have left half-written of these outputs."""
    targets = {item.target.parent / files.stand_in(item.target.name) for item in items}
    for folder in {target.parent for target in targets}:
        if folder.is_dir():
            for entry in os.scandir(folder):
                part = re.fullmatch(r"\.(.+)\.\d+\.part", entry.name)
                if part and folder / part[1] in targets:
                    os.unlink(entry.path)
