"""Colour conversion and ranges, on numpy and jax arrays alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxsr.imaging import color

BOTH = pytest.mark.parametrize("array", [np.asarray, jnp.asarray], ids=["numpy", "jax"])


def colours(*rgb):
    return np.array(rgb, np.float32).reshape(1, -1, 3)


@BOTH
def test_ycbcr_of_the_primaries(array):
    # The levels that ITU-R BT.601 gives black, white and the 100 % primaries.
    rgb = colours((0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    levels = [(16, 128, 128), (235, 128, 128), (81, 90, 240), (145, 54, 34), (41, 240, 110)]
    ycbcr = color.rgb_to_ycbcr(array(rgb))
    assert isinstance(ycbcr, type(array(rgb))) and ycbcr.dtype == np.float32
    np.testing.assert_array_equal(np.round(np.asarray(ycbcr)[0] * 255), levels)


@BOTH
def test_ycbcr_inverts(array):
    rgb = np.random.default_rng(0).random((2, 5, 4, 3)).astype(np.float32)
    back = color.ycbcr_to_rgb(color.rgb_to_ycbcr(array(rgb)))
    np.testing.assert_allclose(back, rgb, atol=2e-6)


@BOTH
def test_luma_is_matlabs(array):
    rgb = np.random.default_rng(1).random((2, 3, 4, 3))
    expected = (rgb @ [65.481, 128.553, 24.966] + 16) / 255
    result = color.luma(array(rgb.astype(np.float32)))
    np.testing.assert_allclose(result[..., 0], expected, atol=3e-7)
    assert result.shape == (2, 3, 4, 1)


def test_luma_difference_needs_no_offset():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 4, 4, 3))
    expected = (a - b) @ [65.481, 128.553, 24.966] / 255
    np.testing.assert_allclose(color.luma_difference(a - b)[..., 0], expected, atol=1e-15)


def test_grey_is_its_own_luma():
    grey = np.ones((2, 2, 1), np.float32)
    assert color.luma(grey) is grey and color.luma_difference(grey) is grey


@BOTH
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives(array, dtype):
    pixels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    floats = color.to_float(array(pixels))
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats, pixels / np.float64(pixels[-1]), rtol=2e-7)
    back = color.from_float(floats, dtype)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, pixels)


@BOTH
def test_from_float_rounds_and_clips(array):
    image = array(np.array([-0.3, 0.9 / 510, 1.1 / 510, 254.4 / 255, 1.7], np.float32))
    np.testing.assert_array_equal(color.from_float(image, np.uint8), [0, 0, 1, 254, 255])
    np.testing.assert_array_equal(color.from_float(image, np.float32), image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_is_that_of_pillow_in_either_depth(dtype):
    """White stays white, and 16 bits that repeat 8 give what 8 give, to half a level."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 7, 3), np.uint8)
    pixels[0, :2] = [[0] * 3, [255] * 3]
    pillow = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    unit = np.iinfo(dtype).max // 255
    grey = color.grey(pixels.astype(dtype) * dtype(unit))
    assert grey.dtype == dtype and grey[0, :2, 0].tolist() == [0, 255 * unit]
    assert np.abs(grey - pillow * float(unit)).max() <= unit // 2
    np.testing.assert_array_equal(color.grey(grey), grey)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_grey_and_rgb_stand_in_for_each_other(dtype):
    """Floats in [0, 1] by the weights of integers, unrounded."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (9, 7, 3), np.uint8)
    unit = 1 / 255 if dtype == np.float32 else np.iinfo(dtype).max // 255
    image = (pixels * np.float64(unit)).astype(dtype)
    wanted = pixels @ [0.299, 0.587, 0.114] * unit
    got = color.fit_channels(image, 1)
    assert got.shape == (9, 7, 1) and got.dtype == dtype
    np.testing.assert_allclose(got[..., 0], wanted, rtol=1e-3, atol=0.51 if unit >= 1 else 1e-5)
    assert color.fit_channels(image, 3) is image
    repeated = color.fit_channels(image[..., :1], 3)
    np.testing.assert_array_equal(repeated, np.stack([image[..., 0]] * 3, axis=-1))
    for bands, channels in ((2, 1), (1, 2), (4, 3), (3, 6)):
        with pytest.raises(ValueError, match=f"got {bands} channels, wanted {channels}; only grey"):
            color.fit_channels(np.zeros((4, 4, bands), dtype), channels)


def test_floats_that_are_no_colours_are_not_converted():
    hot = np.full((4, 4, 3), 0.5, np.float32)
    hot[1, 2, 0] = 300
    assert color.fit_channels(hot, 3) is hot
    for pixels, channels in ((hot, 1), (hot[..., :1], 3), (-hot, 1)):
        words = f"wanted {channels}, and floats from .*300.* are no colours .* give {channels} chan"
        with pytest.raises(ValueError, match=words):
            color.fit_channels(pixels, channels)


def test_jit_keeps_the_numbers():
    pixels = jnp.arange(256, dtype=jnp.uint8)
    there_and_back = jax.jit(lambda x: color.from_float(color.to_float(x), jnp.uint8))
    np.testing.assert_array_equal(there_and_back(pixels), pixels)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="three channels"):
        color.luma(np.zeros((4, 4, 2), np.float32))
    with pytest.raises(ValueError, match="to_float"):
        color.rgb_to_ycbcr(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="int32.*uint8"):
        color.to_float(np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="bool.*uint8"):
        color.from_float(np.zeros(3, np.float32), bool)
