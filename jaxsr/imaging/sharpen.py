"""Sharpening: what Real-ESRGAN does to the picture that a network is to make."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsr.imaging.blur import correlate
from jaxsr.imaging.kernels import gaussian


def usm(
    image: jax.Array, *, weight: ArrayLike = 0.5, radius: int = 51, threshold: ArrayLike = 10
) -> jax.Array:
    """Sharpens [H, W, C] in [0, 1] by an unsharp mask: `weight` times what a blur takes away.

    It does so around the pixels that the blur changes by more than `threshold` levels of 255, and
    fades out from there. `radius`, which is BasicSR's word, is the side of the Gaussian window,
    odd; the deviation goes with it by OpenCV's rule, which below 11 has exceptions not made here.
    The picture is mirrored about its edge pixels. No gradient flows through the choice of pixels.
    """
    if radius < 1 or radius % 2 == 0:
        raise ValueError(f"radius: got {radius}, wanted an odd number of pixels, such as 51")
    sigma = 0.3 * ((radius - 1) / 2 - 1) + 0.8
    kernel = gaussian(radius, sigma, sigma, 0.0, side=radius)
    residual = image - _mirrored_blur(image, kernel)
    chosen = jnp.abs(residual) * 255 > threshold
    share = _mirrored_blur(chosen.astype(image.dtype), kernel)
    sharp = jnp.clip(image + weight * residual, 0, 1)
    return share * sharp + (1 - share) * image


def _mirrored_blur(image: jax.Array, kernel: jax.Array) -> jax.Array:
    """`blur`, but the edge pixel is not repeated in the mirror."""
    half = kernel.shape[0] // 2
    return correlate(jnp.pad(image, [(half, half), (half, half), (0, 0)], mode="reflect"), kernel)
