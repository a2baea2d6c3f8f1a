"""Sharpening against BasicSR, and against SciPy where it has options of its own."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxsr.imaging.sharpen import usm

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "kernels.npz")
PICTURE = jnp.asarray(GOLDEN["picture"].astype(np.float32) / 255)
jitted = jax.jit(usm)


def scipys(image, *, sigma, radius, weight, threshold):
    """The same in float64, one axis after the other."""

    def blurred(array):
        options = {"mode": "mirror", "radius": radius // 2, "axes": (0, 1)}
        return ndimage.gaussian_filter(array, sigma, **options)

    image = image.astype(np.float64)
    residual = image - blurred(image)
    share = blurred((abs(residual) > threshold / 255).astype(float))
    return share * np.clip(image + weight * residual, 0, 1) + (1 - share) * image


def test_usm_is_basicsrs():
    np.testing.assert_allclose(jitted(PICTURE), GOLDEN["usm"], atol=2e-6)


# The second is smaller than its window, so that the border is reflected more than once.
@pytest.mark.parametrize("shape, radius, sigma", [((30, 23, 1), 13, 2.3), ((9, 5, 3), 51, 8.0)])
def test_the_options(shape, radius, sigma):
    image = np.random.default_rng(3).random(shape, np.float32)
    options = {"weight": 0.8, "radius": radius, "threshold": 60}
    expected = scipys(image, sigma=sigma, **options)
    made = jax.jit(partial(usm, **options))(jnp.asarray(image))
    np.testing.assert_allclose(made, expected, atol=2e-6)


def test_what_is_flat_stays():
    image = jnp.full_like(PICTURE, 0.4).at[15, 15].set(0.43)
    np.testing.assert_array_equal(jitted(image), image)


def test_a_picture_alone_is_that_of_a_batch():
    """To the bit, or a pixel near the threshold would change its whole surroundings.

    By matrix products it is not, of this size and others.
    """
    batch = jnp.asarray(np.random.default_rng(0).random((2, 100, 90, 3), np.float32))
    np.testing.assert_array_equal(jax.jit(jax.vmap(usm))(batch)[0], jitted(batch[0]))


def test_the_gradient_is_finite():
    gradient = jax.jit(jax.grad(lambda image: usm(image).mean()))(PICTURE)
    assert jnp.isfinite(gradient).all() and jnp.ptp(gradient) > 0


@pytest.mark.parametrize("radius", [50, -1])
def test_a_window_has_a_middle(radius):
    with pytest.raises(ValueError, match=f"radius: got {radius}, wanted an odd number"):
        usm(PICTURE, radius=radius)
