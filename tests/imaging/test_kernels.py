"""Kernels against BasicSR, SciPy and closed forms."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from parity.kernels import SHAPES, SINCS
from scipy import ndimage, special

from jaxsr.imaging.blur import blur
from jaxsr.imaging.kernels import gaussian, generalized, plateau, sinc

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "kernels.npz")
CASES = {
    "gaussian": (gaussian, [shape[:4] for shape in SHAPES]),
    "generalized": (generalized, SHAPES),
    "plateau": (plateau, SHAPES),
    "sinc": (sinc, SINCS),
}


def columns(cases):
    """Arguments of many kernels as arrays: sizes of integers, all others float32."""
    sizes, *others = zip(*cases, strict=True)
    return jnp.array(sizes), *(jnp.array(other, jnp.float32) for other in others)


@pytest.mark.parametrize("kind", CASES)
def test_kernels_are_basicsrs(kind):
    function, cases = CASES[kind]
    kernels = jax.jit(jax.vmap(function))(*columns(cases))
    np.testing.assert_allclose(kernels, GOLDEN[kind], atol=2e-6)
    np.testing.assert_allclose(kernels.sum(axis=(1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize("kind", CASES)
def test_a_kernel_alone_is_that_of_a_batch(kind):
    function, cases = CASES[kind]
    kernels = jax.jit(jax.vmap(function))(*columns(cases))
    alone = jax.jit(function)(*(column[3] for column in columns(cases)))
    np.testing.assert_allclose(kernels[3], alone, rtol=2e-6, atol=1e-7)


def test_the_sinc_is_the_bessel_function():
    """At every cutoff, which the parity cases only sample."""
    cutoffs = np.linspace(0.3, np.pi, 60, dtype=np.float32)
    x = np.arange(21) - 10
    z = cutoffs[:, None, None].astype(float) * np.hypot(x[:, None], x) + 1e-12
    expected = special.j1(z) / z
    expected /= expected.sum(axis=(1, 2), keepdims=True)
    made = jax.vmap(sinc, in_axes=(None, 0))(21, jnp.asarray(cutoffs))
    np.testing.assert_allclose(made, expected, atol=5e-6)


@pytest.mark.parametrize("sigma", [0.3, 1.7, 6.0])
def test_the_isotropic_gaussian_is_scipys(sigma):
    image = np.random.default_rng(0).random((20, 24, 3), np.float32)
    kernel = gaussian(11, sigma, sigma, 0.7, side=11)
    expected = ndimage.gaussian_filter(image, sigma, mode="reflect", radius=5, axes=(0, 1))
    np.testing.assert_allclose(blur(jnp.asarray(image), kernel), expected, atol=1e-5)


@pytest.mark.parametrize("ratio, angle", [(1.0, 0.0), (0.5, 0.0), (0.5, 0.4), (0.6, 2.5)])
def test_the_moments_of_a_gaussian(ratio, angle):
    kernel = np.asarray(gaussian(21, 2.0, 2 * ratio, angle), np.float64)
    x = np.arange(21) - 10
    moments = [
        [(kernel * x * x).sum(), (kernel * x * x[:, None]).sum()],
        [(kernel * x * x[:, None]).sum(), (kernel * (x * x)[:, None]).sum()],
    ]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ np.diag([4, 4 * ratio**2]) @ turn.T
    np.testing.assert_allclose(moments, expected, atol=1e-3)


def test_no_deviation_is_a_single_1():
    image = jnp.asarray(np.random.default_rng(0).random((6, 8, 3), np.float32))
    for sigma_x, sigma_y in [(0.0, 0.0), (1e-20, 0.0), (0.0, 0.01)]:
        kernel = gaussian(7, sigma_x, sigma_y, 0.3)
        np.testing.assert_array_equal(kernel, np.pad([[1.0]], 10))
        np.testing.assert_allclose(blur(image, kernel), image, atol=1e-6)


@pytest.mark.parametrize("kind", CASES)
def test_the_gradients(kind):
    function, cases = CASES[kind]
    size, *arguments = cases[1]
    weights = jnp.asarray(np.random.default_rng(0).random((21, 21), np.float32))

    @jax.jit
    def value(*arguments):
        return (function(size, *arguments) * weights).sum()

    check_grads(value, arguments, order=1, modes=("rev",), eps=1e-2, atol=1e-3, rtol=2e-2)


@pytest.mark.parametrize("kind", ["gaussian", "generalized", "plateau"])
def test_the_gradients_are_finite_where_powers_overflow(kind):
    function, cases = CASES[kind]
    count = len(cases[0]) - 1
    extremes = [(0.01, 0.02, 0.3, 8.0), (0.01, 5.0, 0.0, 0.5), (5.0, 0.01, 1.0, 30.0)]
    jacobian = jax.jit(jax.jacfwd(lambda given: function(21, *given)))
    for extreme in extremes:
        assert jnp.isfinite(jacobian(jnp.array(extreme[:count]))).all()
