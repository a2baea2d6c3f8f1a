"""Noise against the distributions that scipy states and BasicSR's formulas in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsr.imaging.noise import gaussian, open_uniform, poisson, poisson_quantile

RATES = [0.01, 0.3, 1.0, 4.0, 9.99, 10.0, 12.5, 40.0, 300.0]
quantile = jax.jit(poisson_quantile)
noisy = jax.jit(jax.vmap(poisson, in_axes=(0, None, None, None, None, None)))


def quantiles(u, rate):
    rates = jnp.full(np.shape(u), rate, jnp.float32)
    return np.asarray(quantile(jnp.asarray(u, jnp.float32), rates), np.float64)


def assert_mean(values, expected):
    """Within three standard errors, which the values themselves tell."""
    error = np.std(values) / np.sqrt(np.size(values))
    assert abs(np.mean(values) - expected) < 3 * error, (np.mean(values), expected, error)


@pytest.mark.parametrize("rate", RATES)
def test_the_quantile_is_scipys(rate):
    """At the centres of 2^16 equal intervals of (0, 1), so that shares are known to 2^-16."""
    u = (np.arange(2**16) + 0.5) / 2**16
    counts = quantiles(u, rate)
    off = np.abs(counts - stats.poisson.ppf(u, rate))
    assert off.max() <= 1 and (np.diff(counts) >= 0).all()
    assert np.mean(off) < (5e-5 if rate < 10 else max(6e-3 / rate, 5e-5))


@pytest.mark.parametrize("rate", [0.0, 0.01, 1.0, 9.99, 10.0, 300.0, 1e4, 1e6])
def test_the_ends_of_the_quantile(rate):
    u = np.array([2.0**-24, 2.0**-20, 1 - 2.0**-20, 1 - 2.0**-24])
    wanted = stats.poisson.ppf(u, rate) if rate else np.zeros(4)
    # At a million photons float32 has steps of 1/16, and the least chance is 5,000 off the mean.
    counts = quantiles(u, rate)
    np.testing.assert_allclose(counts, wanted, atol=1, rtol=1e-6)
    assert counts.min() >= 0


def test_roundings_are_not_counted_as_photons():
    """The terms of many a rate add up to less than the largest u."""
    rates, u = np.linspace(0.01, 9.99, 2000), 1 - 2.0**-24
    counts = quantile(jnp.full(2000, u, jnp.float32), jnp.asarray(rates, jnp.float32))
    np.testing.assert_allclose(counts, stats.poisson.ppf(u, rates), atol=2)


@pytest.mark.parametrize("rate", RATES)
def test_draws_are_poissons(rate):
    u = open_uniform(jax.random.key(1), (2**17,))
    counts = quantiles(u, rate)
    assert_mean(counts, rate)
    assert_mean((counts - rate) ** 2, rate)
    # What is too rare for the test of chi^2, five draws, counts with its neighbour.
    k = np.arange(stats.poisson.isf(5 / u.size, rate) + 1)
    first = stats.poisson.ppf(5 / u.size, rate)
    seen = np.bincount(counts.clip(first, k[-1]).astype(int))[int(first) :]
    below = stats.poisson.cdf(k[int(first) : -1], rate)
    wanted = np.diff(below, prepend=0, append=1) * u.size
    assert stats.chisquare(seen, wanted).pvalue > 0.001


def test_uniform_draws_are_centres():
    """Odd multiples of 2^-24, of which neither 0 nor 1 is one."""
    odd = np.asarray(open_uniform(jax.random.key(0), (5000,)), np.float64) * 2**24
    np.testing.assert_array_equal(odd % 2, 1)
    assert 0 < odd.min() and odd.max() < 2**24
    assert stats.kstest(odd / 2**24, "uniform").pvalue > 0.001


def test_gaussian_noise_has_its_deviation_and_shares_it():
    image = jnp.full((256, 256, 3), 0.25)  # nothing is clipped
    keys = jax.random.split(jax.random.key(0), 6)
    sigma, grey = np.arange(6) * 10.0, np.arange(6) % 2 == 0
    add = jax.jit(jax.vmap(gaussian, in_axes=(0, None, 0, 0)))
    noise = (np.asarray(add(keys, image, sigma, grey), np.float64) - 0.25) * 255
    assert not noise[0].any()
    np.testing.assert_array_equal((noise == noise[..., :1]).all(axis=(1, 2, 3)), grey)
    for n in range(1, 6):
        assert_mean(noise[n, ..., 0], 0)
        assert_mean(noise[n, ..., 0] ** 2, sigma[n] ** 2)
    unit = noise[1::2] / sigma[1::2, None, None, None]
    assert_mean(unit**2, 1)
    assert_mean(unit[..., 1:] * unit[..., :-1], 0)


def picture(levels, seed=0, size=24):
    """A picture of so many levels in all, every channel with some of its own."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(256, levels, replace=False)
    pixels = rng.permutation(np.resize(chosen, size * size * 3)).reshape(size, size, 3)
    return np.float32(pixels + rng.uniform(-0.4, 0.4, pixels.shape)) / np.float32(255)


def counted(image, grey=False):
    """The picture whose photons BasicSR counts, and how many of them white sends."""
    if grey:
        image = (np.float64(image) @ [0.2989, 0.587, 0.114])[..., None]
    x = (np.float64(image) * 255).round().clip(0, 255) / 255
    return x, 2 ** np.ceil(np.log2(len(np.unique(x))))


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 33, 64, 65, 128, 129, 256])
def test_photons_of_white(levels):
    """The noise, put on the picture again, is of whole photons: of half as many it would not."""
    image = picture(levels)
    keys = jax.random.split(jax.random.key(levels), 4)
    noise = np.float64(noisy(keys, image, 24, 24, 1.0, False)) - image
    x, peak = counted(image)
    photons = (x + noise) * peak
    np.testing.assert_allclose(photons, photons.round(), atol=1e-3)
    assert (photons.round() % 2).any()


@pytest.mark.parametrize("grey", [False, True])
def test_poisson_noise_has_the_moments_of_basicsr(grey):
    image = picture(100) * 1.2 - 0.1  # also beyond the range, where it is as noisy as at its end
    scale = 1.7
    keys = jax.random.split(jax.random.key(3), 400)
    noise = np.float64(noisy(keys, image, 24, 24, scale, grey)) - image
    x, peak = counted(image, grey)
    if grey:
        np.testing.assert_allclose(noise, noise[..., :1].repeat(3, -1), atol=1e-6)
        noise = noise[..., :1]
    else:
        assert_mean(noise[..., 1:] * noise[..., :-1], 0)
    assert_mean(noise, 0)
    for low in np.arange(0, 1, 0.25):
        band = (low <= x) & (x < low + 0.25) & (x > 0)
        assert_mean(noise[:, band], 0)
        assert_mean(noise[:, band] ** 2 / x[band], scale**2 / peak)
    np.testing.assert_allclose(noise[:, x == 0], 0, atol=1e-6)


@pytest.mark.parametrize("beyond", [np.nan, np.inf, "other levels"])
@pytest.mark.parametrize("grey", [False, True])
def test_what_is_beyond_the_picture_does_not_count(beyond, grey):
    canvas = picture(256, size=32) if beyond == "other levels" else np.full((32, 32, 3), beyond)
    canvas[:20, :26] = np.resize(picture(16), (20, 26, 3))
    clean = canvas[:20, :26, :1].repeat(3, -1)  # grey, so that its levels are as many in either way
    canvas[:20, :26] = clean
    keys = jax.random.split(jax.random.key(0), 2)
    noise = np.float64(noisy(keys, np.float32(canvas), 20, 26, 1.0, grey))[:, :20, :26] - clean
    x, peak = counted(clean)
    assert peak == 16
    photons = (x + noise) * 16
    np.testing.assert_allclose(photons, photons.round(), atol=1e-3)
    assert photons.any()


def test_every_picture_has_its_own_numbers_in_one_compilation():
    pictures = jnp.stack([picture(n, seed=n) for n in (3, 30, 200)])
    keys = jax.random.split(jax.random.key(0), 3)
    sides, scales = jnp.array([24, 20, 7]), jnp.array([0.05, 1.0, 3.0])
    grey = jnp.array([False, True, False])
    again, apart = jax.random.split(jax.random.key(1), 3), jax.random.split(jax.random.key(0), 3)
    traces = []

    def one(*numbers):
        traces.append(1)
        return poisson(*numbers)

    batch = jax.jit(jax.vmap(one))
    together = batch(keys, pictures, sides, sides[::-1], scales, grey)
    batch(again, pictures, sides[::-1], sides, scales[::-1], ~grey)
    assert len(traces) == 1
    alone = [
        jax.jit(poisson)(*numbers)
        for numbers in zip(apart, pictures, sides, sides[::-1], scales, grey, strict=True)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    for n in (0, 1, 2):
        height, width = int(sides[n]), int(sides[2 - n])
        x, peak = counted(pictures[n, :height, :width], bool(grey[n]))
        noise = np.float64(together[n] - pictures[n])[:height, :width] / float(scales[n])
        photons = (x + noise) * peak
        np.testing.assert_allclose(photons, photons.round(), atol=2e-3 / float(scales[n]))


def test_gradients():
    image = jnp.asarray(picture(50)).at[0].set(0.0).at[1].set(1.0)
    weights = np.random.default_rng(0).random(image.shape).astype(np.float32)

    def loss(image):
        return (poisson(jax.random.key(0), image, 24, 24, 1.0, True) * weights).sum()

    np.testing.assert_allclose(jax.grad(loss)(image), weights, rtol=1e-6)
    rates = jnp.array([0.0, 1.0, 10.0, 100.0])
    slopes = jax.grad(lambda rates: poisson_quantile(jnp.full(4, 0.4), rates).sum())(rates)
    np.testing.assert_array_equal(slopes, 0)


def test_grey_is_its_own_grey_and_other_bands_have_none():
    image = picture(40)[..., :1]
    same = [poisson(jax.random.key(0), image, 24, 24, 1.0, grey) for grey in (False, True)]
    np.testing.assert_array_equal(*same)
    x, peak = counted(image)
    photons = (x + np.float64(same[0]) - image) * peak
    assert photons.shape == image.shape and photons.any()
    np.testing.assert_allclose(photons, photons.round(), atol=1e-3)
    with pytest.raises(ValueError, match=r"of shape \(24, 24, 2\) has no grey; .* one channel"):
        poisson(jax.random.key(0), jnp.zeros((24, 24, 2)), 24, 24, 1.0, False)
