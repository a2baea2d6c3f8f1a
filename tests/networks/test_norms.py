"""The normalisations against numpy and closed forms; those against PyTorch: test_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from jaxsr.networks import norms


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def test_spectral_norm_is_warm_at_initialisation():
    x = jnp.zeros((1, 4, 4, 8))
    variables = norms.SpectralConv(16).init(jax.random.key(0), x, train=False)
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
        conv = norms.SpectralConv(4, kernel_size=1)
        pixels = jnp.eye(3).reshape(1, 1, 3, 3)
        y, _ = conv.apply(variables, pixels, train=True, mutable=["batch_stats"])
        return (y[0, 0] * cotangent.T).sum()

    gradient = jax.grad(loss)(jnp.asarray(w.T).reshape(1, 1, 3, 4))
    np.testing.assert_allclose(gradient[0, 0], wanted.T, atol=1e-5)


def test_batch_norm_over_eight_devices_equals_the_whole_batch():
    x = 3 + 2 * normal(0, 16, 2, 2, 5)
    initial = norms.BatchNorm().init(jax.random.key(0), x, train=True)

    def apply(x, *, axis_name=None):
        norm = norms.BatchNorm(axis_name)
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
    initial = norms.BatchNorm().init(jax.random.key(0), x, train=False)
    y, new = norms.BatchNorm().apply(initial, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-3)
    half = x.astype(jnp.bfloat16)
    y, new = norms.BatchNorm(dtype=jnp.bfloat16).apply(
        initial, half, train=True, mutable=["batch_stats"]
    )
    assert y.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(new))
    wanted = 0.1 * np.asarray(half, np.float64).mean((0, 1, 2))
    np.testing.assert_allclose(new["batch_stats"]["mean"], wanted, rtol=1e-5)
