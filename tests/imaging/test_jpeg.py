"""JPEG on the device against Pillow's files."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, features

from jaxsr.imaging.jpeg import jpeg

QUALITIES = np.array([1, 30, 50, 75, 90, 95, 100])
JPEG = jax.jit(jpeg, static_argnames="subsampling")


def smooth(height, width, channels):
    y, x, c = np.ogrid[:height, :width, :channels]
    wave = np.sin(x / (5 + c) + c) * np.cos(y / (7 - c))
    return np.round(127.5 + 127.5 * wave).astype(np.uint8)


def noisy(height, width, channels):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def pillow(pixels, quality, subsampling):
    """The levels of the file; Pillow wants grey without its axis."""
    grey = pixels.shape[-1] == 1
    options = {} if grey else {"subsampling": subsampling}
    with io.BytesIO() as file:
        picture = Image.fromarray(pixels[..., 0] if grey else pixels)
        picture.save(file, "JPEG", quality=int(quality), **options)
        return np.asarray(Image.open(file)).reshape(pixels.shape)


def levels(image):
    result = np.asarray(image, np.float64) * 255
    np.testing.assert_allclose(result, np.round(result), atol=1e-4)
    return np.round(result)


# Whole blocks; none in either direction; narrower than libjpeg's interpolation; one pixel.
@pytest.mark.parametrize("height, width", [(32, 48), (37, 21), (18, 4), (1, 1)])
@pytest.mark.parametrize("channels, subsampling", [(3, "4:2:0"), (3, "4:4:4"), (1, "4:2:0")])
def test_equals_pillow(height, width, channels, subsampling):
    for picture in (smooth, noisy):
        pixels = picture(height, width, channels)
        batch = jnp.asarray(np.stack([pixels] * len(QUALITIES)) / np.float32(255))
        results = levels(JPEG(batch, QUALITIES, subsampling=subsampling))
        for result, quality in zip(results, QUALITIES, strict=True):
            difference = result - pillow(pixels, quality, subsampling)
            assert np.abs(difference).mean() <= 0.5
            assert np.mean(difference**2) <= 255**2 / 10**4.5  # 45 dB
            if features.check_feature("libjpeg_turbo"):  # others may compute the DCT otherwise
                assert not difference.any()


def test_six_bands_are_six_grey_pictures():
    bands = noisy(9, 20, 6)
    image = jnp.asarray(bands / np.float32(255))
    results = levels(JPEG(image, 40))
    for c in range(6):
        expected = pillow(bands[..., c : c + 1], 40, None)[..., 0]
        np.testing.assert_allclose(results[..., c], expected, atol=0.5)


def test_any_leading_axes():
    pictures = np.stack([smooth(16, 16, 3), noisy(16, 16, 3)])[:, None]
    image = jnp.asarray(pictures / np.float32(255))
    result = JPEG(image, np.array([[20], [80]]))
    assert result.shape == (2, 1, 16, 16, 3) and result.dtype == jnp.float32
    for i, quality in enumerate((20, 80)):
        expected = pillow(pictures[i, 0], quality, "4:2:0")
        assert np.abs(levels(result[i, 0]) - expected).mean() <= 0.5
    np.testing.assert_array_equal(JPEG(image, 80)[1], result[1])  # one quality for all


def test_what_is_no_level_is_rounded_and_clipped():
    pixels = noisy(8, 8, 1).astype(np.float32)
    pixels[:2], pixels[6:] = 0, 255
    off = np.random.default_rng(1).uniform(-0.45, 0.45, pixels.shape).astype(np.float32)
    off += 50.0 * ((pixels == 255).astype(np.float32) - (pixels == 0))
    expected = JPEG(jnp.asarray(pixels / 255), 90)
    np.testing.assert_array_equal(JPEG(jnp.asarray((pixels + off) / 255), 90), expected)


def test_another_quality_compiles_nothing():
    traced = []

    @jax.jit
    def code(image, quality):
        traced.append(quality)
        return jpeg(image, quality)

    image = jnp.asarray(noisy(8, 8, 3) / np.float32(255))
    assert (code(image, 10) != code(image, 90)).any() and len(traced) == 1


def test_the_gradient_is_that_of_the_identity():
    image, weights = (jnp.asarray(noisy(8, 8, 3) / np.float32(n)) for n in (255, 77))
    gradient = jax.jit(jax.grad(lambda image: jnp.vdot(jpeg(image, 50), weights)))(image)
    np.testing.assert_array_equal(gradient, weights)


def test_an_unknown_subsampling_is_refused():
    with pytest.raises(ValueError, match="got subsampling '4:2:2', wanted one of 4:2:0, 4:4:4"):
        jpeg(jnp.zeros((8, 8, 3)), 90, subsampling="4:2:2")
