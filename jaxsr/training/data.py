"""Training examples: a pure function from example number to crop, and its Grain pipeline."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator
from typing import Any, NamedTuple

import absl.flags
import grain
import jax
import numpy as np

from jaxsr.imaging.bands import check_unit
from jaxsr.imaging.degrade import is_eight_bit
from jaxsr.training.codecs import recode
from jaxsr.training.draws import draw, draw_codings, draw_place
from jaxsr.training.pictures import Pictures, decode
from jaxsr.training.schema import Codec
from jaxsr.training.store import Store

EXAMPLES = 2**32  # example numbers are uint32
CHUNK = 1024  # examples drawn at once: one numpy call on a scalar costs as much as on a thousand


class Place(NamedTuple):
    """A crop: the index of its picture, its corner in pixels of HR, and how it was turned.

    It is mirrored left to right if `flip`, and then turned by `turn` quarters, counter-clockwise.
    """

    picture: int
    y: int
    x: int
    flip: bool
    turn: int


class Source:
    """Random access to training examples by number, as Grain wants it.

    `source[n]` is a dict: `hr` [crop, crop, C] in the files' dtype; for paired pictures also `lr`
    [crop / scale, crop / scale, C]; `number`, uint32; `bad`, int32, the index in `pictures` of the
    drawn picture where that one cannot be decoded and the next whole one stands in, else -1. With
    `codecs`, for 8-bit grey and RGB alone, also `coded`: `hr` gone through those that are drawn.
    `memory` keeps every decoded picture, in each process; `store` reads from a filled store.
    """

    def __init__(
        self,
        pictures: Pictures,
        *,
        seed: int,
        memory: bool = False,
        store: Store | None = None,
        codecs: tuple[Codec, ...] = (),
    ):
        if codecs and not is_eight_bit(pictures.dtype, pictures.channels, pictures.ranges):
            raise ValueError(
                f"data.codecs: got pictures of {pictures.dtype}, wanted 8-bit grey or RGB, which "
                "alone these files hold; remove it, or convert the pictures"
            )
        self.pictures, self.seed, self.memory, self.store = pictures, seed, memory, store
        self.codecs = codecs
        self._prepare()

    def _prepare(self) -> None:
        self._draws = functools.lru_cache(maxsize=4)(self._draw_chunk)
        self._decoded: dict[int, tuple[np.ndarray, ...]] = {}
        self._faults: dict[int, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        kept = ("pictures", "seed", "memory", "store", "codecs")
        return {name: self.__dict__[name] for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def __len__(self) -> int:
        return EXAMPLES

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        drawn, picture, place, images = self._find(int(index))
        example = self._cut(images, *place)
        self._check_range(example, picture)
        if self.codecs:
            example["coded"] = self._coded(index, example["hr"])
        example["number"] = np.asarray(index, np.uint32)
        example["bad"] = np.asarray(-1 if picture == drawn else drawn, np.int32)
        return example

    def place(self, index: int) -> Place:
        """Say where example `index` is cut, of the picture that stands in if there is a bad one."""
        _, picture, (y, x, flip, turn), _ = self._find(int(index))
        unit, flips, turns = self.pictures.unit, self.pictures.flip, self.pictures.turn
        return Place(picture, y * unit, x * unit, bool(flip and flips), turn if turns else 0)

    def _find(self, index: int) -> tuple[int, int, list[int], tuple[np.ndarray, ...]]:
        """Return the picture drawn, the one taken, (y, x, flip, turn) in it, and its pixels."""
        chunk, row = divmod(index, CHUNK)
        picture, *place = (int(column[row]) for column in self._draws(chunk))
        drawn = picture
        while (images := self._read(picture)) is None:
            picture = (picture + 1) % len(self.pictures.paths)
            if picture == drawn:
                path = self.pictures.paths[drawn]
                raise ValueError(
                    f"none of the {len(self.pictures.paths)} training pictures can be decoded; "
                    f"the first tried, {path}: it {self._faults[drawn]}"
                )
            place = self._place_in(index, picture)
        return drawn, picture, place, images

    def fault(self, picture: int) -> str:
        """Say why `pictures.paths[picture]`, reported as bad, cannot be decoded."""
        return "" if self._read(picture) is not None else self._faults[picture]

    def _coded(self, index: int, pixels: np.ndarray) -> np.ndarray:
        codings = draw_codings(self.seed, int(index), self.codecs)
        for codec, (happens, quality) in zip(self.codecs, codings, strict=True):
            if happens:
                pixels = recode(pixels, codec.codec, quality=int(quality))
        return pixels

    def _check_range(self, example: dict[str, np.ndarray], picture: int) -> None:
        """Refuse float crops outside [0, 1] where no ranges are stated."""
        if self.pictures.ranges:
            return
        for part, member in zip(example.values(), self.pictures.members(picture), strict=True):
            try:
                check_unit(part)
            except ValueError as error:
                raise ValueError(f"{self.pictures.files[member]}: {error}") from error

    def _read(self, picture: int) -> tuple[np.ndarray, ...] | None:
        """Return the HR picture, and the LR one of a pair; None where one cannot be decoded."""
        if picture in self._faults:
            return None
        if picture in self._decoded:
            return self._decoded[picture]
        try:
            read = self.store.read if self.store else decode
            images = tuple(read(self.pictures, member) for member in self.pictures.members(picture))
        except ValueError as error:
            self._faults[picture] = str(error)
            return None
        if self.memory:
            self._decoded[picture] = images
        return images

    def _draw_chunk(self, chunk: int) -> tuple[np.ndarray, ...]:
        n = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK).astype(np.uint32)
        heights, widths = self.pictures.sizes.T.astype(np.uint32) // self.pictures.unit
        crop = self.pictures.crop // self.pictures.unit
        return draw(self.seed, n, heights=heights, widths=widths, crop=crop)

    def _place_in(self, n: int, picture: int) -> list[int]:
        height, width = self.pictures.sizes[picture].astype(np.uint32) // self.pictures.unit
        crop = self.pictures.crop // self.pictures.unit
        place = draw_place(
            np.uint32(self.seed), np.uint32(n), height=height, width=width, crop=crop
        )
        return [int(value) for value in place]

    def _cut(self, images: tuple[np.ndarray, ...], y: int, x: int, flip: int, turn: int) -> dict:
        """Crop, mirror left to right, then turn counter-clockwise; corners are in LR pixels."""
        example = {}
        unit, crop = self.pictures.unit, self.pictures.crop
        for name, image, ratio in zip(("hr", "lr"), images, (unit, 1), strict=False):
            side = crop // unit * ratio
            part = image[y * ratio : y * ratio + side, x * ratio : x * ratio + side]
            part = part[:, ::-1] if flip and self.pictures.flip else part
            # A copy: a view would keep the whole picture, or its map, alive in every batch.
            example[name] = np.array(np.rot90(part, turn if self.pictures.turn else 0), order="C")
        return example


def batches(
    source: Source,
    *,
    position: int,
    batch_size: int,
    workers: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Generator[dict[str, np.ndarray], None, None]:
    """Iterate over batches from example `position` on; `close()` ends the workers.

    Batch k of all hosts together is examples position + [k, k + 1) * batch_size, of which a host
    gets every `process_count`-th, whatever the workers. It ends at example 2^32.
    """
    if batch_size % process_count:
        raise ValueError(
            f"train.batch_size {batch_size} does not divide over {process_count} processes; "
            f"choose a multiple of {process_count}"
        )
    examples = grain.MapDataset.source(source)[position + process_index :: process_count]
    dataset = examples.batch(batch_size // process_count, drop_remainder=True)
    if not workers:  # two threads decode while the device works: Pillow releases the GIL
        return _closed_at_end(dataset.to_iter_dataset(grain.ReadOptions(2, 4)))
    if not absl.flags.FLAGS.is_parsed():
        absl.flags.FLAGS.mark_as_parsed()  # Grain asks for flags that only an absl app parses
    options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=2)
    dataset = dataset.to_iter_dataset(grain.ReadOptions(1, 2))
    return _closed_at_end(dataset.mp_prefetch(options, worker_init_fn=_begin_worker))


def _closed_at_end(dataset: grain.IterDataset) -> Generator[dict[str, np.ndarray], None, None]:
    """Iterate, and let go of Grain's iterator then: at interpreter exit its `__del__` fails."""
    iterator = iter(dataset)
    try:
        yield from iterator
    finally:
        iterator.close()


def _begin_worker(index: int, count: int) -> None:
    """Keep a worker, which imports jax, off its parent's accelerator; let it end with its parent.

    A terminal and a scheduler signal the whole group, but the parent still needs batches until it
    has saved, and closes its workers then. A parent that was killed closes nothing.
    """
    jax.config.update("jax_platforms", "cpu")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(1)
