"""The layers against numpy and closed forms; those against PyTorch are in test_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxsr.networks import layers


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


def test_prelu_has_one_slope_or_one_for_each_channel():
    x = normal(0, 2, 3, 4, 5)
    for shared, shape in ((True, (1,)), (False, (5,))):
        prelu = layers.PReLU(shared=shared)
        initial = prelu.init(jax.random.key(0), x)
        np.testing.assert_array_equal(initial["params"]["slope"], np.full(shape, 0.25))
        slope = np.linspace(0.1, 0.5, shape[0], dtype=np.float32)
        y = prelu.apply({"params": {"slope": slope}}, x)
        np.testing.assert_allclose(y, np.maximum(x, 0) + slope * np.minimum(x, 0), rtol=1e-6)


def test_spectral_norm_is_warm_at_initialisation():
    x = jnp.zeros((1, 4, 4, 8))
    variables = layers.SpectralConv(16).init(jax.random.key(0), x, train=False)
    matrix = variables["params"]["kernel"].transpose(3, 2, 0, 1).reshape(16, -1)
    stats = variables["batch_stats"]
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(stats["u"] @ matrix @ stats["v"], largest, rtol=0.02)


def test_spectral_norm_gradient_holds_u_and_v_constant():
    """With sigma = u^T W v, d<G, W / sigma>/dW = (G - <G, W> / sigma u v^T) / sigma."""
    w, cotangent = np.asarray(normal(0, 4, 3)), np.asarray(normal(1, 4, 3))
    u = np.full(4, 0.5, np.float32)
    v = u @ w / np.linalg.norm(u @ w)
    u_new = w @ v / np.linalg.norm(w @ v)
    sigma = u_new @ w @ v
    wanted = (cotangent - (cotangent * w).sum() / sigma * np.outer(u_new, v)) / sigma

    def loss(kernel):
        variables = {"params": {"kernel": kernel}, "batch_stats": {"u": u, "v": np.zeros(3)}}
        conv = layers.SpectralConv(4, kernel_size=1)
        pixels = jnp.eye(3).reshape(1, 1, 3, 3)
        y, _ = conv.apply(variables, pixels, train=True, mutable=["batch_stats"])
        return (y[0, 0] * cotangent.T).sum()

    gradient = jax.grad(loss)(jnp.asarray(w.T).reshape(1, 1, 3, 4))
    np.testing.assert_allclose(gradient[0, 0], wanted.T, atol=1e-5)


def test_batch_norm_over_eight_devices_equals_the_whole_batch():
    x = 3 + 2 * normal(0, 16, 2, 2, 5)
    initial = layers.BatchNorm().init(jax.random.key(0), x, train=True)

    def apply(x, *, axis_name=None):
        norm = layers.BatchNorm(axis_name)
        y, new = norm.apply(initial, x, train=True, mutable=["batch_stats"])
        return y, new["batch_stats"]

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    spec = jax.P("data")
    sharded = jax.shard_map(
        lambda x: apply(x, axis_name="data"), mesh=mesh, in_specs=spec, out_specs=(spec, jax.P())
    )
    y, stats = sharded(x)
    x = np.asarray(x, np.float64)
    flat = x.reshape(-1, 5)
    np.testing.assert_allclose(y, (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5), atol=1e-5)
    np.testing.assert_allclose(stats["mean"], 0.1 * flat.mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * flat.var(0, ddof=1), rtol=1e-5)
    np.testing.assert_array_equal(initial["batch_stats"]["var"], np.ones(5))


def test_batch_norm_keeps_its_precision_where_the_mean_is_large_and_in_bf16():
    x = 1000 + normal(0, 4, 8, 8, 2)
    initial = layers.BatchNorm().init(jax.random.key(0), x, train=False)
    y, new = layers.BatchNorm().apply(initial, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-3)
    half = x.astype(jnp.bfloat16)
    y, new = layers.BatchNorm(dtype=jnp.bfloat16).apply(
        initial, half, train=True, mutable=["batch_stats"]
    )
    assert y.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))
    wanted = 0.1 * np.asarray(half, np.float64).mean((0, 1, 2))
    np.testing.assert_allclose(new["batch_stats"]["mean"], wanted, rtol=1e-5)


def test_nearest_enlargement_repeats_pixels():
    x = normal(0, 2, 3, 4, 5)
    wanted = np.kron(x, np.ones((1, 3, 3, 1)))
    np.testing.assert_array_equal(layers.upsample_nearest(x, 3), wanted)


def test_unshuffle_undoes_shuffle():
    x = normal(0, 2, 3, 4, 18)
    np.testing.assert_array_equal(layers.pixel_unshuffle(layers.pixel_shuffle(x, 3), 3), x)


def test_pooling_to_the_same_size_returns_the_map_itself():
    x = normal(0, 2, 4, 4, 3)
    assert layers.adaptive_avg_pool(x, 4) is x
    assert layers.adaptive_avg_pool(x.astype(jnp.bfloat16), 2).dtype == jnp.bfloat16


def test_padding_reflects_at_the_bottom_and_the_right():
    x = normal(0, 1, 5, 6, 2)
    wanted = np.pad(x, ((0, 0), (0, 3), (0, 2), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(layers.pad_to_multiple(x, 4), wanted)


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
