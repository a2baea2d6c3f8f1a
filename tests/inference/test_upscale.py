"""`upscale` in closed form: with parameters of zero a compact network repeats each pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from repeating import compact, repeat, repeating

from jaxsr import upscale
from jaxsr.networks.generators import SRResNet
from jaxsr.networks.weights import init_weights


def noise(*shape, dtype=np.float32) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return rng.random(shape).astype(dtype)


def test_floats_are_clipped_only_on_request():
    image = noise(4, 5, 3)
    np.testing.assert_allclose(upscale(repeating(0.5), image), repeat(image) + 0.5, atol=1e-6)
    clipped = upscale(repeating(0.5), image, clip=True)
    np.testing.assert_allclose(clipped, np.minimum(repeat(image) + 0.5, 1), atol=1e-6)
    np.testing.assert_array_equal(upscale(repeating(-1.0), image, clip=True), 0 * repeat(image))


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_short_floats_come_back_as_they_went_in(dtype):
    image = jnp.asarray(noise(4, 5, 3), dtype)
    sr = upscale(repeating(), image)
    assert sr.dtype == dtype
    np.testing.assert_array_equal(sr, repeat(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("part, step", [(0.4, 0), (0.6, 1), (-0.6, -1)])
def test_integers_are_rounded_to_nearest_and_saturate(dtype, part, step):
    top = np.iinfo(dtype).max
    image = noise(4, 5, 3, dtype=dtype)
    image[0, 0], image[1, 1] = 0, top
    sr = upscale(repeating(part / top), image)
    assert sr.dtype == dtype
    np.testing.assert_array_equal(sr, np.clip(repeat(image).astype(np.int64) + step, 0, top))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_ranges_are_the_units_of_what_goes_in_and_comes_out(dtype):
    weights = repeating(0.1).replace(ranges=((0, 1000), (200, 300), (-50, 50)))
    image = np.array([[[500, 250, 7]]], dtype)
    sr = jax.jit(upscale)(weights, image)
    assert sr.dtype == dtype
    np.testing.assert_allclose(sr, np.broadcast_to([600, 260, 17], (2, 2, 3)), rtol=1e-5)


def test_networks_of_other_ranges_do_not_blend():
    a = repeating()
    with pytest.raises(ValueError):
        jax.tree.map(jnp.add, a, a.replace(ranges=((0, 2),)))


@pytest.mark.parametrize("leading", [(), (1,), (2,), (2, 3)])
def test_any_leading_axes(leading):
    image = noise(*leading, 3, 4, 3)
    sr = upscale(repeating(), image)
    assert sr.shape == (*leading, 6, 8, 3)
    np.testing.assert_array_equal(sr, repeat(image))


def test_grey():
    image = noise(3, 4, 1, dtype=np.uint8)
    np.testing.assert_array_equal(upscale(repeating(channels=1), image), repeat(image))


@pytest.mark.parametrize(
    "image, words",
    [
        (np.zeros((4, 4, 1), np.uint8), r"got shape \(4, 4, 1\), wanted \[..., H, W, 3\]"),
        (np.zeros((4, 4, 4), np.uint8), r"wanted \[..., H, W, 3\]"),
        (np.zeros((4, 3), np.uint8), r"wanted \[..., H, W, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), "none of them 0"),
        (np.zeros((0, 4, 4, 3), np.uint8), "none of them 0"),
        (np.zeros((4, 4, 3), np.int32), "got int32, wanted uint8, uint16 or a float"),
        (np.zeros((4, 4, 3), bool), "got bool, wanted uint8"),
        (np.zeros((4, 4, 3), np.complex64), "got complex64, wanted uint8"),
    ],
)
def test_refusals_name_what_was_got_and_wanted(image, words):
    with pytest.raises(ValueError, match=words):
        upscale(repeating(), image)


def test_equals_the_network():
    weights = init_weights(jax.random.key(1), compact())
    image = noise(2, 5, 6, 3)
    wanted = weights.arch.apply({"params": weights.params}, image)
    np.testing.assert_allclose(upscale(weights, image), wanted, atol=1e-6)
    np.testing.assert_allclose(jax.jit(upscale)(weights, image), wanted, atol=1e-6)


def test_maps_over_pictures_and_over_weights():
    image = noise(3, 4, 5, 3)
    mapped = jax.vmap(upscale, (None, 0))(repeating(), image)
    np.testing.assert_array_equal(mapped, repeat(image))
    stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), repeating(0.25), repeating(0.5))
    both = jax.vmap(upscale, (0, None))(stack, image[0])
    for sr, offset in zip(both, (0.25, 0.5), strict=True):
        np.testing.assert_allclose(sr, repeat(image[0]) + offset, atol=1e-6)


def test_gradients_reach_the_picture_and_the_weights():
    """Every pixel becomes four; a bias of the last convolution is added at every LR position."""
    image = jnp.asarray(noise(4, 5, 3))
    total = jax.jit(lambda weights, image: jnp.sum(upscale(weights, image)))
    np.testing.assert_allclose(jax.grad(total, 1)(repeating(), image), np.full((4, 5, 3), 4.0))
    of_weights = jax.grad(total)(repeating(), image)
    np.testing.assert_allclose(of_weights.params["conv_last"]["bias"], np.full(12, 20.0))
    assert of_weights.arch == repeating().arch


def test_gradients_pass_where_the_picture_is_out_of_range():
    image = jnp.full((2, 2, 3), 0.9)
    gradient = jax.grad(lambda x: jnp.sum(upscale(repeating(0.5), x)))(image)
    np.testing.assert_allclose(gradient, np.full((2, 2, 3), 4.0))


def test_equal_networks_share_one_trace_and_blend():
    traces = []

    @jax.jit
    def outer(weights, image):
        traces.append(weights.arch)
        return 2 * jax.jit(upscale)(weights, image)

    image = noise(3, 4, 3)
    one, other = repeating(0.25), repeating(0.75)
    assert one.arch is not other.arch
    half = jax.tree.map(lambda a, b: (a + b) / 2, one, other)
    for weights, offset in ((one, 0.25), (other, 0.75), (half, 0.5)):
        np.testing.assert_allclose(outer(weights, image), 2 * (repeat(image) + offset), atol=1e-6)
    assert len(traces) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_travels_between_host_and_device(dtype):
    weights, image = repeating(), jnp.asarray(noise(3, 4, 3, dtype=dtype))
    with jax.transfer_guard("disallow_explicit"):  # callbacks too
        sr = jax.jit(upscale)(weights, image)
        jax.block_until_ready(sr)
    np.testing.assert_array_equal(sr, repeat(image))


def test_batch_statistics_are_the_running_ones():
    """A picture comes out the same in any company, and otherwise with other statistics."""
    arch = SRResNet(scale=2, num_features=3, num_blocks=1)
    weights = init_weights(jax.random.key(2), arch)
    images = noise(2, 6, 6, 3) * np.array([0.1, 1.0], np.float32).reshape(2, 1, 1, 1)
    network = jax.jit(upscale)
    together, alone = network(weights, images), network(weights, images[:1])
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)
    moved = weights.replace(stats=jax.tree.map(lambda x: x + 1.0, weights.stats))
    assert np.abs(network(moved, images[:1]) - alone).max() > 1e-3
