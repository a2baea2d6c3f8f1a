"""What makes each training example, drawn from its number in integer arithmetic."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxsr.training.schema import Codec

ROUNDS = 32  # each round leaves a picture in place with probability 1/2
GOLDEN = np.uint32(0x9E3779B9)  # a nothing-up-my-sleeve start: 2^32 over the golden ratio
# Streams of words of one example; the last two have one for each codec.
ROW, COLUMN, POSE, GATE, QUALITY = np.arange(1, 6, dtype=np.uint32)


def draw(seed: Any, n: Any, *, heights: Any, widths: Any, crop: int) -> tuple[Any, ...]:
    """Say what makes example `n`: (picture, y, x, flip, turn), the crop's corner being (y, x).

    Integer arithmetic modulo 2^32 alone, so numpy and jax.numpy, jitted or not, give the same bits.
    Each epoch of P examples holds every picture once, in an order of its own. `seed` and `n` are
    ints or uint32 arrays below 2^32; `heights` and `widths` [P] are uint32 arrays of the same
    library as `n`, in pixels, none below `crop`. Each result is uint32 of the shape of `n`: y and x
    uniform over the corners at which a crop fits, flip in {0, 1}, turn in {0, 1, 2, 3}.
    """
    seed, n = _uint32(seed), _uint32(n)
    count = np.uint32(len(heights))
    with np.errstate(over="ignore"):  # numpy scalars warn when they wrap; arrays do not
        picture = _shuffled(seed, n // count, n % count, count)
    place = draw_place(seed, n, height=heights[picture], width=widths[picture], crop=crop)
    return picture, *place


def _shuffled(seed: Any, epoch: Any, index: Any, count: np.uint32) -> Any:
    """Permute `index` in [0, count): swap-or-not (Hoang, Morris and Rogaway, CRYPTO 2012, fig. 1).

    In each round a keyed involution pairs the indices, and a hash of the pair swaps it or not: a
    permutation of any count without rejection.
    """
    key = _hash(seed, epoch)
    for number in range(ROUNDS):
        round_key = _hash(key, np.uint32(number))
        partner = (round_key % count + count - index) % count
        larger = index ^ ((index ^ partner) * (partner > index).astype(np.uint32))
        swap = _hash(round_key, larger) >> np.uint32(31)
        index = index ^ ((index ^ partner) * swap)
    return index


def draw_place(seed: Any, n: Any, *, height: Any, width: Any, crop: int) -> tuple[Any, ...]:
    """Return y, x, flip and turn of example `n` in a picture of the given size."""
    with np.errstate(over="ignore"):
        y = _hash(seed, n, ROW) % (height - np.uint32(crop - 1))
        x = _hash(seed, n, COLUMN) % (width - np.uint32(crop - 1))
        pose = _hash(seed, n, POSE)
    return y, x, pose >> np.uint32(31), (pose >> np.uint32(29)) & np.uint32(3)


def draw_codings(seed: int, n: Any, codecs: Sequence[Codec]) -> list[tuple[Any, Any]]:
    """Say of each of `codecs` whether it codes example `n`, and with which quality.

    `n` is as in `draw`, and the results have its shape; the quality is uint32, uniform over the
    whole numbers of the codec's range.
    """
    seed, n = _uint32(seed), _uint32(n)
    codings = []
    for position, codec in enumerate(codecs):
        worst, best = codec.quality
        with np.errstate(over="ignore"):
            gate, word = (_hash(seed, n, stream, np.uint32(position)) for stream in (GATE, QUALITY))
        quality = np.uint32(worst) + word % np.uint32(best - worst + 1)
        codings.append((gate / 2**32 < codec.probability, quality))
    return codings


def _hash(*words: Any) -> Any:
    """Mix words into one: a chain of Wellons' `lowbias32`, whose every step is a bijection."""
    state = GOLDEN
    for word in words:
        state = (state * np.uint32(5) + GOLDEN) ^ word
        state = (state ^ (state >> np.uint32(16))) * np.uint32(0x7FEB352D)
        state = (state ^ (state >> np.uint32(15))) * np.uint32(0x846CA68B)
        state = state ^ (state >> np.uint32(16))
    return state


def _uint32(value: Any) -> Any:
    return np.uint32(value) if isinstance(value, int) else value.astype(np.uint32)
