"""Blur against SciPy and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxsr.imaging.blur import blur, gaussian_kernel


def random(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


# The last is smaller than its kernel, so that the border is reflected more than once.
@pytest.mark.parametrize("shape, size", [((20, 31, 3), 15), ((16, 16, 1), 3), ((4, 9, 6), 21)])
def test_blur_is_scipys_correlation(shape, size):
    image, kernel = random(*shape), random(size, size)
    kernel /= kernel.sum()
    expected = ndimage.correlate(image, kernel[..., None], mode="reflect")
    np.testing.assert_allclose(blur(jnp.asarray(image), jnp.asarray(kernel)), expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.7, 6.0])
def test_the_isotropic_kernel_is_scipys(sigma):
    image = random(20, 24, 3)
    kernel = gaussian_kernel(sigma, 1.0, 0.7, size=11)
    expected = ndimage.gaussian_filter(image, sigma, mode="reflect", radius=5, axes=(0, 1))
    np.testing.assert_allclose(blur(jnp.asarray(image), kernel), expected, atol=1e-5)


@pytest.mark.parametrize("ratio, angle", [(1.0, 0.0), (0.5, 0.0), (0.5, 0.4), (0.6, 2.5)])
def test_the_moments_of_a_kernel(ratio, angle):
    kernel = np.asarray(gaussian_kernel(2.0, ratio, angle, size=21), np.float64)
    np.testing.assert_allclose(kernel.sum(), 1, atol=1e-6)
    x = np.arange(21) - 10
    moments = [
        [(kernel * x * x).sum(), (kernel * x * x[:, None]).sum()],
        [(kernel * x * x[:, None]).sum(), (kernel * (x * x)[:, None]).sum()],
    ]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = turn @ np.diag([4, 4 * ratio**2]) @ turn.T
    np.testing.assert_allclose(moments, expected, atol=1e-3)


def test_no_deviation_leaves_a_picture():
    image = jnp.asarray(random(6, 8, 3))
    for sigma, ratio in [(0.0, 1.0), (0.0, 0.0), (1e-20, 0.5)]:
        kernel = gaussian_kernel(sigma, ratio, 0.3, size=7)
        np.testing.assert_array_equal(kernel, np.pad([[1.0]], 3))
        np.testing.assert_allclose(blur(image, kernel), image, atol=1e-6)


def test_each_picture_its_kernel():
    image = jnp.asarray(random(2, 10, 10, 3))
    sigma = jnp.array([0.5, 3.0])
    kernels = jax.vmap(lambda sigma: gaussian_kernel(sigma, 0.5, 0.1, size=7))(sigma)
    batch = jax.jit(jax.vmap(blur))(image, kernels)
    for i in range(2):
        alone = jax.jit(blur)(image[i], kernels[i])
        np.testing.assert_allclose(batch[i], alone, atol=1e-6)
