"""The layers against numpy and closed forms; those against PyTorch are in test_parity.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.networks import layers, resample


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def test_torch_initialisation_is_uniform_within_one_over_the_root_of_the_fan_in():
    params = layers.Conv(256).init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))["params"]
    bound = (3 * 3 * 16) ** -0.5
    for leaf in params.values():
        assert 0.97 * bound < np.abs(leaf).max() <= bound
        np.testing.assert_allclose(leaf.std(), bound / 3**0.5, rtol=0.1)


def test_scaled_initialisation_is_a_tenth_of_kaiming_normal_without_bias():
    params = layers.Conv(256, initial="scaled").init(jax.random.key(0), jnp.zeros((1, 4, 4, 16)))
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    np.testing.assert_allclose(kernel.std(), 0.1 * (2 / 144) ** 0.5, rtol=0.02)
    assert np.abs(kernel).max() > 3.5 * kernel.std()
    assert not bias.any()


def test_transposed_convolution_starts_uniform_as_in_torch():
    """Which counts the fan-in of the outputs."""
    params = layers.ConvTranspose(16).init(jax.random.key(0), jnp.zeros((1, 4, 4, 64)))["params"]
    bound = (4 * 4 * 16) ** -0.5
    assert 0.97 * bound < np.abs(params["kernel"]).max() <= bound
    assert 0.7 * bound < np.abs(params["bias"]).max() <= bound


def test_transposed_convolution_is_the_gradient_of_the_strided_one():
    """Of the one whose kernel is turned half around and has the channels exchanged."""
    x, kernel = normal(0, 2, 3, 5, 4), normal(1, 4, 4, 4, 2)
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    strided = partial(layers.convolve, kernel=turned, stride=2)
    _, pullback = jax.vjp(strided, jnp.zeros((2, 6, 10, 2)))
    layer = layers.ConvTranspose(2, use_bias=False)
    y = layer.apply({"params": {"kernel": kernel}}, x)
    np.testing.assert_allclose(y, pullback(x)[0], atol=1e-5)


def test_dcgan_initialisation_is_normal_without_bias():
    for layer, shape in (
        (layers.Conv, (1, 4, 4, 16)),
        (layers.ConvTranspose, (1, 4, 4, 16)),
        (layers.Dense, (1, 256)),
    ):
        params = layer(256, initial="dcgan").init(jax.random.key(0), jnp.zeros(shape))["params"]
        np.testing.assert_allclose(params["kernel"].std(), 0.02, rtol=0.02)
        assert np.abs(params["kernel"]).max() > 3.5 * 0.02
        assert not params["bias"].any()


def test_layers_without_bias_have_none():
    for layer in (layers.Conv, layers.ConvTranspose, layers.Dense):
        params = layer(2, use_bias=False).init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)))
        assert list(params["params"]) == ["kernel"]


def test_prelu_has_one_slope_or_one_for_each_channel():
    x = normal(0, 2, 3, 4, 5)
    for shared, shape in ((True, (1,)), (False, (5,))):
        prelu = layers.PReLU(shared=shared)
        initial = prelu.init(jax.random.key(0), x)
        np.testing.assert_array_equal(initial["params"]["slope"], np.full(shape, 0.25))
        slope = np.linspace(0.1, 0.5, shape[0], dtype=np.float32)
        y = prelu.apply({"params": {"slope": slope}}, x)
        np.testing.assert_allclose(y, np.maximum(x, 0) + slope * np.minimum(x, 0), rtol=1e-6)


def test_nearest_enlargement_repeats_pixels():
    x = normal(0, 2, 3, 4, 5)
    wanted = np.kron(x, np.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(resample.upsample_nearest(x, 3), wanted)


def test_unshuffle_undoes_shuffle():
    x = normal(0, 2, 3, 4, 18)
    np.testing.assert_array_equal(resample.pixel_unshuffle(resample.pixel_shuffle(x, 3), 3), x)


def test_max_pooling_takes_the_largest_of_four():
    x = normal(0, 2, 5, 4, 3)
    wanted = np.asarray(x)[:, :4].reshape(2, 2, 2, 2, 2, 3).max((2, 4))
    np.testing.assert_array_equal(layers.max_pool(x), wanted)


def test_pooling_to_the_same_size_returns_the_map_itself():
    x = normal(0, 2, 4, 4, 3)
    assert layers.adaptive_avg_pool(x, 4) is x
    assert layers.adaptive_avg_pool(x.astype(jnp.bfloat16), 2).dtype == jnp.bfloat16


@pytest.mark.parametrize(("height", "width"), [(5, 6), (1, 1), (2, 3)])
def test_padding_reflects_at_the_bottom_and_the_right(height, width):
    x = normal(0, 1, height, width, 2)
    pads = ((0, 0), (0, -height % 4), (0, -width % 4), (0, 0))
    np.testing.assert_array_equal(layers.pad_to_multiple(x, 4), np.pad(x, pads, mode="reflect"))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 8, 3), r"shape \(8, 8, 3\), wanted \[N, H, W, 3\]"),
        ((1, 8, 8, 4), r"shape \(1, 8, 8, 4\), wanted \[N, H, W, 3\]"),
        ((1, 8, 7, 3), "8 x 7 pixels, wanted sides of at least 8"),
        ((1, 8, 12, 3), "8 x 12 pixels.* multiples of 8"),
    ],
)
def test_wrong_pictures_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        layers.require_pictures(jnp.zeros(shape), 3, min_size=8, multiple=8)
