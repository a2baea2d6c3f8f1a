"""What is drawn for each example: pictures, crops and poses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.training.draws import draw

MASK = 0xFFFFFFFF


def hash_of(*words):
    """The hash of `draw`, in Python's unbounded integers."""
    state = 0x9E3779B9
    for word in words:
        state = (state * 5 + 0x9E3779B9 & MASK) ^ word
        state = (state ^ state >> 16) * 0x7FEB352D & MASK
        state = (state ^ state >> 15) * 0x846CA68B & MASK
        state ^= state >> 16
    return state


def drawn_slowly(seed, n, sizes, crop):
    """`draw` of one example as its paper and docstring put it."""
    epoch, x = divmod(n, len(sizes))
    for number in range(32):
        key = hash_of(hash_of(seed, epoch), number)
        partner = (key - x) % len(sizes)
        if hash_of(key, max(x, partner)) >> 31:
            x = partner
    height, width = sizes[x]
    pose = hash_of(seed, n, 3)
    corner = hash_of(seed, n, 1) % (height - crop + 1), hash_of(seed, n, 2) % (width - crop + 1)
    return x, *corner, pose >> 31, (pose >> 29) & 3


def drawn(n, *, seed=0, heights=(40,) * 7, widths=(40,) * 7, crop=8):
    sizes = {"heights": np.asarray(heights, np.uint32), "widths": np.asarray(widths, np.uint32)}
    return draw(seed, n, **sizes, crop=crop)


@pytest.fixture(scope="module")
def jitted_draw():
    return jax.jit(functools.partial(draw, crop=32))


def test_draw_has_the_same_bits_in_numpy_jax_and_unbounded_integers(jitted_draw):
    sizes = [(32 + 5 * i, 90 - 9 * i) for i in range(7)]
    heights, widths = np.array(sizes, np.uint32).T
    n = np.array([0, 1, 6, 7, 8, 1000, 123456789, 2**31, 2**32 - 1], np.uint32)
    for seed in (0, 7, 2**32 - 1):
        ours = draw(seed, n, heights=heights, widths=widths, crop=32)
        on_device = jitted_draw(
            jnp.uint32(seed), jnp.asarray(n), heights=jnp.asarray(heights), widths=widths
        )
        for one, other in zip(ours, on_device, strict=True):
            assert one.dtype == np.uint32 and other.dtype == jnp.uint32
            np.testing.assert_array_equal(one, other)
        expected = [drawn_slowly(seed, int(i), sizes, 32) for i in n]
        assert list(zip(*ours, strict=True)) == expected
        assert draw(seed, int(n[-1]), heights=heights, widths=widths, crop=32) == expected[-1]


@pytest.mark.parametrize("count", [1, 2, 7, 64, 1000])
def test_every_picture_comes_once_an_epoch_in_an_order_of_its_own(count):
    n = np.arange(4 * count, dtype=np.uint32)
    epochs, other = (
        drawn(n, seed=seed, heights=(8,) * count, widths=(8,) * count)[0].reshape(4, count)
        for seed in (0, 1)
    )
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(count))
    if count > 2:
        orders = {tuple(epoch) for epoch in [*epochs, *other]}
        assert len(orders) == 8 and tuple(range(count)) not in orders


def chi_square(values, cells):
    """Deviation from uniform in standard deviations of the chi-square statistic."""
    counts = np.bincount(values, minlength=cells)
    assert len(counts) == cells
    expected = len(values) / cells
    statistic = ((counts - expected) ** 2).sum() / expected
    return (statistic - (cells - 1)) / np.sqrt(2 * (cells - 1))


def test_orders_corners_and_poses_are_uniform_and_independent():
    n = np.arange(42000, dtype=np.uint32)
    picture, y, x, flip, turn = (part.astype(np.int64) for part in drawn(n, crop=31))
    order = picture.reshape(-1, 7)
    assert chi_square(order[:, 0], 7) < 5 and chi_square(order[:, 3], 7) < 5
    pairs = order[:, 0] * 7 + order[:, 1]  # of 49, the 7 equal ones cannot come
    different = np.flatnonzero(~np.eye(7, dtype=bool).ravel())
    assert chi_square(np.searchsorted(different, pairs), 42) < 5
    followed = order[:-1, 0] * 7 + order[1:, 0]  # the same place of successive epochs
    assert chi_square(followed, 49) < 5
    cells = ((y * 10 + x) * 2 + flip) * 4 + turn
    assert chi_square(cells, 10 * 10 * 8) < 5
    assert chi_square(picture * 10 + y, 70) < 5
    assert chi_square(y[:-1] * 10 + y[1:], 100) < 5


def test_crops_lie_inside_and_reach_every_border():
    heights, widths = (8, 9, 40), (40, 8, 9)
    picture, y, x, _, _ = drawn(np.arange(3000, dtype=np.uint32), heights=heights, widths=widths)
    for i, (height, width) in enumerate(zip(heights, widths, strict=True)):
        assert set(y[picture == i]) == set(range(height - 7))
        assert set(x[picture == i]) == set(range(width - 7))
