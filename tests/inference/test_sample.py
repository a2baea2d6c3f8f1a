"""Pictures from noise: the same for a key, whatever their number, and laid out in a grid."""

import jax
import numpy as np
import pytest
from repeating import repeating

import jaxsr
from jaxsr.inference.sample import sample, tile
from jaxsr.networks.generators import DCGANGenerator
from jaxsr.networks.weights import init_weights


@pytest.fixture(scope="module")
def weights():
    arch = DCGANGenerator(channels=1, size=8, latent=5, num_features=4)
    return init_weights(jax.random.key(0), arch)


def test_a_key_makes_its_pictures(weights):
    draw = jax.jit(sample, static_argnames="count")
    six = draw(jax.random.key(3), weights, count=6)
    assert six.shape == (6, 8, 8, 1) and six.dtype == np.float32
    assert 0 <= six.min() < six.max() <= 1
    two = sample(jax.random.key(3), weights, count=2)
    np.testing.assert_allclose(two, six[:2], atol=1e-6)  # the first of many
    other = sample(jax.random.key(4), weights, count=2)
    assert np.abs(other - two).max() > 1e-3
    assert np.abs(six[0] - six[1]).max() > 1e-3


def test_its_noise_is_that_of_each_fold(weights):
    keys = [jax.random.fold_in(jax.random.key(3), i) for i in range(2)]
    noise = np.stack([jax.random.normal(key, (5,)) for key in keys])
    wanted = weights.arch.apply({"params": weights.params, "batch_stats": weights.stats}, noise)
    np.testing.assert_allclose(sample(jax.random.key(3), weights, count=2), wanted, atol=1e-6)


def test_noise_and_pictures_are_not_confused(weights):
    with pytest.raises(ValueError, match="make pictures of noise; call jaxsr.sample"):
        jaxsr.upscale(weights, np.zeros((8, 8, 1), np.float32))
    with pytest.raises(ValueError, match="SRVGGNetCompact makes pictures of pictures"):
        sample(jax.random.key(0), repeating())


def test_a_grid_is_nearly_square():
    pictures = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1).repeat(2, 1).repeat(3, 2)
    wanted = [
        [0, 0, 0, 255, 1, 1, 1, 255, 2, 2, 2],
        [0, 0, 0, 255, 1, 1, 1, 255, 2, 2, 2],
        [255] * 11,
        [3, 3, 3, 255, 4, 4, 4, 255, 255, 255, 255],
        [3, 3, 3, 255, 4, 4, 4, 255, 255, 255, 255],
    ]
    np.testing.assert_array_equal(tile(pictures, gap=1)[..., 0], wanted)


def test_pictures_in_units(weights):
    plain, scaled = (
        sample(jax.random.key(0), w) for w in (weights, weights.replace(ranges=((100, 300),)))
    )
    np.testing.assert_allclose(scaled, 200 * plain + 100, rtol=1e-6)
