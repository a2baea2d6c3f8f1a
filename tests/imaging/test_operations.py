"""What the operations draw, against the moments and shares that are stated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.blur import blur
from jaxsr.imaging.jpeg import jpeg
from jaxsr.imaging.kernels import gaussian
from jaxsr.imaging.operations import DRAWS, OPS, Blur, DownUp, Jpeg, Noise, Poisson
from jaxsr.imaging.rescale import down_up


def applied(op, image, n, seed=0):
    """The same picture by n keys, [n, H, W, C] in float64."""
    keys = jax.random.split(jax.random.key(seed), n)
    image = jnp.asarray(image, jnp.float32)
    results = jax.jit(jax.vmap(op.apply, in_axes=(0, None)))(keys, image)
    assert results.shape == (n, *image.shape) and results.dtype == jnp.float32
    return np.asarray(results, np.float64)


def assert_mean(values, expected):
    """Within three standard errors, which the values themselves tell."""
    error = np.std(values) / np.sqrt(np.size(values))
    assert abs(np.mean(values) - expected) < 3 * error, (np.mean(values), expected, error)


def assert_uniform(values, low, high):
    """Within the range, and of the mean and mean square of a uniform draw."""
    assert low - 1e-3 < values.min() and values.max() < high + 1e-3
    assert_mean(values, (low + high) / 2)
    assert_mean((values - (low + high) / 2) ** 2, (high - low) ** 2 / 12)


def random(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_noise_has_its_moments(channels):
    image = np.full((64, 96, channels), 0.25)  # levels beyond [0, 1] are not clipped
    noise = (applied(Noise(sigma=(51, 51)), image, 64) - 0.25) * 5
    assert_mean(noise, 0)
    assert_mean(noise**2, 1)
    assert_mean(noise**4, 3)
    # Neighbours, channels and pictures draw on their own.
    assert_mean(noise[:, 1:] * noise[:, :-1], 0)
    assert_mean(noise[1:] * noise[:-1], 0)
    if channels > 1:
        assert_mean(noise[..., 1:] * noise[..., :-1], 0)


def test_noise_draws_its_deviation():
    # Of 1,800 values the deviation is known to 2 %; over 400 pictures the rest is the draw's.
    noise = applied(Noise(sigma=(10, 50)), np.zeros((30, 30, 2)), 400) * 255
    variance = (noise**2).mean(axis=(1, 2, 3))
    assert_mean(variance, (50**3 - 10**3) / 3 / 40)
    assert 10 * 0.9 < np.sqrt(variance.min()) < 12 and 48 < np.sqrt(variance.max()) < 50 * 1.1


def test_the_share_of_grey_noise():
    noise = applied(Noise(grey=0.3), np.zeros((4, 4, 3)), 1000)
    grey = (noise == noise[..., :1]).all(axis=(1, 2, 3))
    assert_mean(grey, 0.3)
    assert (noise[~grey][..., 0] != noise[~grey][..., 1]).all()
    every = applied(Noise(grey=1.0), np.zeros((4, 4, 3)), 10)
    np.testing.assert_array_equal(every, every[..., :1].repeat(3, axis=-1))


@pytest.mark.parametrize("level", [0.03, 0.5, 1.0])  # below and above the switch of algorithm
def test_poisson_has_its_moments(level):
    photons = applied(Poisson(peak=(100, 100)), np.full((16, 16, 3), level), 16) * 100
    np.testing.assert_allclose(photons, np.round(photons), atol=1e-4)
    mean = 100 * np.float64(np.float32(level))
    assert_mean(photons, mean)
    assert_mean((photons - mean) ** 2, mean)
    assert_mean((photons - mean) ** 3, mean)


def test_poisson_draws_its_peak_and_takes_any_level():
    white = applied(Poisson(peak=(40, 160)), np.ones((24, 24, 1)), 300)
    assert_mean(1 / white.var(axis=(1, 2, 3), ddof=1), 100)
    assert 30 < 1 / white.var(axis=(1, 2, 3)).max() and 1 / white.var(axis=(1, 2, 3)).min() < 200
    assert not applied(Poisson(), np.full((4, 4, 1), -0.5), 4).any()


def test_blur_draws_sigma_ratio_and_angle():
    """The kernels are seen in a picture of one point."""
    point = np.zeros((21, 21, 1))
    point[10, 10] = 1
    op = Blur(sigma=(1.6, 2.4), ratio=(0.5, 0.9), size=21)
    kernels = applied(op, point, 500)[..., 0]
    x = np.arange(21) - 10
    xx = (kernels * x * x).sum(axis=(1, 2))
    yy = (kernels * (x * x)[:, None]).sum(axis=(1, 2))
    xy = (kernels * x * x[:, None]).sum(axis=(1, 2))
    root = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    sigma, across = np.sqrt((xx + yy + root) / 2), np.sqrt((xx + yy - root) / 2)
    assert_uniform(sigma, 1.6, 2.4)
    ratio = across / sigma
    assert_uniform(ratio, 0.5, 0.9)
    assert_mean((sigma - 2) * (ratio - 0.7), 0)
    angle = np.arctan2(2 * xy, xx - yy) / 2 % np.pi
    assert_uniform(angle, 0, np.pi)


IMAGE = jnp.asarray(random(20, 13, 3))


@pytest.mark.parametrize(
    "op, function",
    [
        (
            Blur(sigma=(1.5, 1.5), size=9),
            lambda x: blur(x, gaussian(9, 1.5, 1.5, 0.0)),
        ),
        (Jpeg(quality=(60, 60)), lambda x: jpeg(x, 60)),
        (
            Jpeg(quality=(60, 60), subsampling="4:4:4"),
            lambda x: jpeg(x, 60, subsampling="4:4:4"),
        ),
        (DownUp(factor=(2.5, 2.5)), lambda x: down_up(x, 2.5)),
        (
            DownUp(factor=(2.5, 2.5), method="area"),
            lambda x: down_up(x, 2.5, method="area"),
        ),
    ],
)
def test_an_operation_is_its_function(op, function):
    result = applied(op, IMAGE, 1)[0]
    np.testing.assert_allclose(result, jax.jit(function)(IMAGE), atol=1e-6)
    assert np.abs(result - IMAGE).max() > 0.01


def test_jpeg_draws_both_ends_of_its_range():
    image = random(8, 8, 1)
    results = applied(Jpeg(quality=(20, 22)), image, 300)
    choices = [np.asarray(jpeg(jnp.asarray(image), quality)) for quality in (20, 21, 22)]
    for choice in choices:
        assert_mean((results == choice).all(axis=(1, 2, 3)), 1 / 3)


def test_down_up_draws_its_factor():
    """A ramp of 64 pixels enlarged from n boxes has n levels."""
    ramp = np.arange(64.0)[:, None, None] / 64 + np.zeros((1, 2, 1))
    results = applied(DownUp(factor=(2, 4), method="area"), ramp, 300)[:, :, 0, 0]
    boxes = 1 + (np.diff(results, axis=1) > 1e-4).sum(axis=1)
    assert boxes.min() == 16 and boxes.max() == 32
    assert_mean(64 / boxes, 3)


def test_draws_have_keys_of_their_own():
    assert len(set(DRAWS.values())) == len(DRAWS)
    assert set(OPS.values()) == {Blur, Noise, Poisson, Jpeg, DownUp}
