"""Blur against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, signal

from jaxsr.imaging.blur import blur, correlate


def random(*shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


# The last is smaller than its kernel, so that the border is reflected more than once.
@pytest.mark.parametrize("shape, size", [((20, 31, 3), 15), ((16, 16, 1), 3), ((4, 9, 6), 21)])
def test_blur_is_scipys_correlation(shape, size):
    image, kernel = random(*shape), random(size, size)
    kernel /= kernel.sum()
    expected = ndimage.correlate(image, kernel[..., None], mode="reflect")
    np.testing.assert_allclose(blur(jnp.asarray(image), jnp.asarray(kernel)), expected, atol=1e-5)


@pytest.mark.parametrize("size", [4, 7])
def test_correlate_is_scipys_where_the_kernel_lies_inside(size):
    image, kernel = random(12, 9, 2), random(size, size)
    expected = signal.correlate(image, kernel[..., None], mode="valid")
    made = correlate(jnp.asarray(image), jnp.asarray(kernel))
    np.testing.assert_allclose(made, expected, rtol=1e-6)


def test_each_picture_its_kernel():
    image, kernels = jnp.asarray(random(2, 10, 10, 3)), jnp.asarray(random(2, 7, 7))
    batch = jax.jit(jax.vmap(blur))(image, kernels)
    for i in range(2):
        alone = jax.jit(blur)(image[i], kernels[i])
        np.testing.assert_allclose(batch[i], alone, rtol=1e-6)
