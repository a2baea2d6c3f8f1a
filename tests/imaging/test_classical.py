"""Classical enlargement: against other libraries, the frequency domain, and what it gains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import fft

from jaxsr.imaging.classical import CLASSICAL, NOISE_TO_SIGNAL, enlarge
from jaxsr.imaging.resize import resize


def noise(*shape):
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize(
    "method, resampling",
    [
        ("nearest", Image.Resampling.NEAREST),
        ("bilinear", Image.Resampling.BILINEAR),
        ("bicubic", Image.Resampling.BICUBIC),
        ("lanczos", Image.Resampling.LANCZOS),
    ],
)
def test_interpolation_is_that_of_pillow_inside_the_border(method, resampling):
    image = noise(12, 10, 1)
    pillow = Image.fromarray(image[..., 0]).resize((30, 36), resampling)
    inner = slice(9, -9), slice(9, -9)
    ours = enlarge(image, 3, method=method)[..., 0]
    np.testing.assert_allclose(ours[inner], np.asarray(pillow)[inner], atol=1e-5)


@pytest.mark.parametrize("method", CLASSICAL)
def test_shapes_batches_libraries_and_types(method):
    image = noise(2, 3, 7, 6, 5)
    ours = enlarge(image, 2, method=method)
    assert ours.shape == (2, 3, 14, 12, 5) and ours.dtype == np.float32
    np.testing.assert_array_equal(ours[1, 2], enlarge(image[1, 2], 2, method=method))
    jitted = jax.jit(enlarge, static_argnums=1, static_argnames="method")
    on_device = jitted(jnp.asarray(image), 2, method=method)
    assert on_device.dtype == np.float32
    np.testing.assert_allclose(on_device, ours, atol=2e-6)
    double = enlarge(image.astype(np.float64), 2, method=method)
    assert double.dtype == np.float64
    np.testing.assert_allclose(double, ours, atol=2e-6)
    flat = np.full((5, 6, 2), 0.3, np.float32)
    np.testing.assert_allclose(enlarge(flat, 3, method=method), 0.3, atol=1e-6)
    np.testing.assert_allclose(enlarge(image, 1, method=method), image, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_wiener_is_the_equation_in_the_cosine_domain(scale):
    image = noise(9, 8, 1).astype(np.float64)
    blurred = fft.dctn(enlarge(image, scale, method="bicubic")[..., 0], norm="ortho")
    sharp = fft.dctn(enlarge(image, scale, method="wiener")[..., 0], norm="ortho")
    gains = [gain(length * scale, scale) for length in (9, 8)]
    np.testing.assert_allclose(sharp, blurred * gains[0][:, None] * gains[1], atol=1e-9)


def gain(length, scale):
    """(1 + K) H / (H^2 + K), H measured on single pixels of a long line."""
    middle, whole, reduced = 16 * scale, (1, 32 * scale), (1, 32)
    spreads = []
    for place in range(scale):  # one pixel at each place of an LR pixel
        line = np.zeros((*whole, 1))
        line[0, middle + place] = 1
        spread = resize(resize(line, reduced), whole)[0, :, 0]
        spreads.append(np.roll(spread, -place))
    frequency = np.pi * np.arange(length) / length
    waves = np.exp(-1j * frequency[:, None] * (np.arange(whole[1]) - middle))
    transfer = (waves @ np.mean(spreads, axis=0)).real
    return (1 + NOISE_TO_SIGNAL) * transfer / (transfer**2 + NOISE_TO_SIGNAL)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_wiener_beats_bicubic(leaves, scale):
    hr = leaves(96)
    lr = resize(hr, (96 // scale, 96 // scale)).clip(0, 1)
    errors = {
        method: np.square(enlarge(lr, scale, method=method) - hr).mean()
        for method in ("bicubic", "wiener")
    }
    assert 10 * np.log10(errors["bicubic"] / errors["wiener"]) > 0.3


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="no method is called 'cubic'; choose from nearest, .*wie"):
        enlarge(noise(4, 4, 1), 2, method="cubic")
    with pytest.raises(ValueError, match="cannot enlarge 0 times"):
        enlarge(noise(4, 4, 1), 0, method="bicubic")
