"""Which way through a network fits the memory and costs least: whole, overlapping tiles, stream."""

import math
import os
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.inference.windows import bucket
from jaxsr.networks.receptive import receptive_radius
from jaxsr.networks.rows import begin

MAX_WINDOW = 1024  # LR pixels of a side: larger ones gain little
MAX_STRIP = 64  # rows of a strip, likewise
WRITING = 1.1  # the work of a stream to that of the whole picture, for it copies rows
UNKNOWN = 2 << 30  # bytes, where neither the device nor the system tells


class Way(NamedTuple):
    """How a picture goes through a network, in LR pixels.

    `tile` is the side of a window without its halo (overlap) or the rows of a strip (stream), and
    `band` the columns that a stream keeps of its window at a time.
    """

    mode: str
    tile: int = 0
    halo: int = 0
    band: int = 0


class Cost(NamedTuple):
    """Bytes that a network holds: for each LR pixel, and for each column of a row stream."""

    pixel: float
    column: float
    radius: int
    lag: int


def memory() -> int:
    """Bytes that may be used on the device: what it says is free, or half of the host's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return int(0.8 * (stats["bytes_limit"] - stats.get("bytes_in_use", 0)))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError):  # no such question on Windows
        return UNKNOWN


@lru_cache(maxsize=64)
def cost(arch: Any) -> Cost:
    """Measure a network without running it.

    Three maps of the largest size are taken to live at once: what a layer reads, writes, and pads.
    """
    side = 8 * arch.multiple
    picture = jax.ShapeDtypeStruct((1, side, side, arch.channels), jnp.float32)

    def maps(picture):
        _, state = arch.init_with_output(
            jax.random.key(0), picture, capture_intermediates=True, mutable=True
        )
        return state["intermediates"]

    largest = max(
        leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(jax.eval_shape(maps, picture))
    )
    kept, lag = begin(arch, arch.multiple)
    column = sum(leaf.nbytes for leaf in jax.tree.leaves(kept)) / arch.multiple
    return Cost(3 * largest / side**2, column, receptive_radius(arch), lag)


def choose(
    arch: Any,
    shape: tuple[int, ...],
    *,
    mode: str,
    tile: int | None = None,
    halo: int | None = None,
    budget: int,
) -> Way:
    """How pictures [N, H, W, C] go through in `mode`, or "auto", within `budget` bytes.

    "auto" takes them whole where that fits and neither `tile` nor `halo` is given, else the way
    that does least work. A `halo` of one's own is not exact and rules the stream out.
    """
    if mode in ("whole", "sharded"):
        return Way(mode)
    needs = cost(arch)
    if mode == "overlap":
        return _overlap(arch, needs, shape, tile, halo, budget)[1]
    if mode == "stream":
        return _stream(arch, needs, shape, tile, budget)[1]
    fits = _held_whole(needs, shape) <= budget
    if fits and tile is None and halo is None:
        return Way("whole")
    ways = [_overlap(arch, needs, shape, tile, halo, budget)]
    if halo is None:
        ways.append(_stream(arch, needs, shape, tile, budget))
    return min(ways)[1]


def held(arch: Any, shape: tuple[int, ...]) -> dict[str, int]:
    """About how many bytes pictures [N, H, W, C] take in the modes "whole" and "stream"."""
    needs = cost(arch)
    count, _, width, _ = shape
    stream = count * width * _held_column(needs, aligned(MAX_STRIP, arch.multiple))
    return {"whole": int(_held_whole(needs, shape)), "stream": int(stream)}


def _held_whole(needs: Cost, shape: tuple[int, ...]) -> float:
    count, height, width, _ = shape
    return needs.pixel * count * bucket(height) * bucket(width)


def _held_column(needs: Cost, strip: int) -> float:
    # The new state is written beside the old.
    return 2 * needs.column + needs.pixel * strip


# Either gives its work, that of the whole picture being 1, and the way.


def _overlap(
    arch: Any, needs: Cost, shape: tuple[int, ...], tile: int | None, halo: int | None, budget: int
) -> tuple[float, Way]:
    margin = aligned(needs.radius if halo is None else halo, arch.multiple)
    window = int(min(MAX_WINDOW, math.sqrt(budget / (needs.pixel * shape[0]))))
    fitting = max(window - 2 * margin - arch.multiple + 1, 1)
    tile = aligned(fitting if tile is None else tile, arch.multiple)
    return (1 + 2 * margin / tile) ** 2, Way("overlap", tile, margin)


def _stream(
    arch: Any, needs: Cost, shape: tuple[int, ...], tile: int | None, budget: int
) -> tuple[float, Way]:
    count, height, width, _ = shape
    margin = aligned(needs.radius, arch.multiple)
    strip = min(MAX_STRIP, bucket(height)) if tile is None else tile
    strip = aligned(strip, arch.multiple)
    columns = int(budget / (count * _held_column(needs, strip)))
    work = WRITING + needs.lag / (arch.scale * height)
    if columns >= bucket(width, multiple=arch.multiple):
        return work, Way("stream", strip, margin, width)
    band = aligned(max(columns - 2 * margin - arch.multiple + 1, 1), arch.multiple)
    return work * (1 + 2 * margin / band), Way("stream", strip, margin, band)


def aligned(size: int, multiple: int) -> int:
    """The next multiple from `size` up."""
    return -(-size // multiple) * multiple
