"""Ranges of bands: the rule, its inverse, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.bands import check_ranges, from_unit, measure, to_unit
from jaxsr.imaging.color import from_float, to_float

RANGES = ((0.0, 4000.0), (-50.0, 150.0), (100.0, 101.0))


@pytest.mark.parametrize("library", [np, jnp])
def test_low_becomes_0_and_high_1_in_each_band(library):
    pixels = library.asarray([[[0, -50, 100], [4000, 150, 101], [1000, 0, 102]]], jnp.float32)
    unit = to_unit(pixels, RANGES)
    assert isinstance(unit, type(pixels)) and unit.dtype == np.float32
    np.testing.assert_allclose(unit, [[[0, 0, 0], [1, 1, 1], [0.25, 0.25, 2]]], rtol=1e-6)
    np.testing.assert_allclose(from_unit(unit, RANGES, np.float32), pixels, rtol=1e-6)
    np.testing.assert_allclose(to_unit(pixels, ((-50, 150),)), (np.asarray(pixels) + 50) / 200)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_integers_come_back_exactly_and_are_clipped_and_rounded(dtype):
    limits = np.iinfo(dtype)
    values = np.linspace(limits.min, limits.max, 3000).astype(dtype).reshape(10, 100, 3)
    ranges = ((-300.0, 1000.0), (0.0, 1.0), (5.0, 70000.0))
    round_trip = jax.jit(lambda pixels: from_unit(to_unit(pixels, ranges), ranges, dtype))
    np.testing.assert_array_equal(round_trip(values), values)
    np.testing.assert_array_equal(from_unit(to_unit(values, ranges), ranges, dtype), values)
    unit = np.array([[-9e9, 9e9, 0.501, 0.499]], np.float32).T
    back = from_unit(unit, ((10, 11),), dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.ravel(), [limits.min, limits.max, 11, 10])


def test_without_ranges_the_dtype_says_it():
    pixels = np.arange(12, dtype=np.uint16).reshape(1, 2, 6) * 5000
    np.testing.assert_array_equal(to_unit(pixels, ()), to_float(pixels))
    image = to_float(pixels) * np.float32(1.1)
    np.testing.assert_array_equal(from_unit(image, (), np.uint8), from_float(image, np.uint8))
    ends = np.array([[[0.0, 1.0]]], np.float32)
    np.testing.assert_array_equal(to_unit(ends, ()), ends)


def test_measured_ranges_take_the_extremes_to_0_and_1():
    pixels = np.random.default_rng(0).normal(7, 300, (9, 8, 4)).astype(np.float32)
    pixels[..., 2] = 5
    ranges = measure(pixels)
    assert ranges[2] == (5, 6) and all(type(end) is float for pair in ranges for end in pair)
    unit = to_unit(pixels, ranges)
    np.testing.assert_array_equal(unit.min(axis=(0, 1)), 0)
    np.testing.assert_array_equal(unit.max(axis=(0, 1)), [1, 1, 0, 1])


def test_what_does_not_fit_is_refused():
    pixels = np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="got 2 ranges for 3 bands"):
        to_unit(pixels, ((0, 1), (0, 1)))
    infinity, nan = float("inf"), float("nan")
    unfit = [
        (1, 1),
        (2, 1),
        (0, nan),
        (nan, 1),
        (0, infinity),
        (-infinity, 0),
        (infinity, infinity),
    ]
    unfit += [(0, 1e39), (-3e38, 3e38), (0, 1e-50), (0, 1e-40), (1.0, 1.0 + 1e-60)]  # in float32
    for pair in unfit:
        with pytest.raises(ValueError, match=r"got the range \[.*\]; state .* both finite"):
            check_ranges((pair,), 3)
        with pytest.raises(ValueError, match=r"got the range \[.*\]; state .* both finite"):
            from_unit(pixels, (pair,), np.uint8)
    check_ranges((), 3)
    check_ranges(((0, 1e-30), (0, 3e38), (1e6, 1e6 + 1)), 3)
    for value in (-0.01, 1.5):
        pixels[1, 2, 1] = value
        ends = r"\[-0.01, 0\]" if value < 0 else r"\[0, 1.5\]"
        with pytest.raises(ValueError, match=rf"data.ranges = \[\[0, 1\], {ends}, \[0, 1\]\]"):
            to_unit(pixels, ())
