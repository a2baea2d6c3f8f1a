"""PSNR and SSIM per picture, by BasicSR's definition: crop, then Y, and nothing rounded.

Published figures round both pictures to 8 bits first and crop as many pixels as the scale; that is
the caller's part. Both are differentiable and run under jit with `crop` and `luma` static.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging import color

_WINDOW = 11
_GAUSSIAN = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * 1.5**2))
_GAUSSIAN = (_GAUSSIAN / _GAUSSIAN.sum()).tolist()
_C1 = 0.01**2
_C2 = 0.03**2


def psnr(sr: jax.Array, hr: jax.Array, *, crop: int, luma: bool) -> jax.Array:
    """Gives the peak signal-to-noise ratio in dB: two [N, H, W, C] in [0, 1] to [N] float32.

    `crop` pixels are cut off every border; `luma` compares the Y of BT.601. Equal pictures have
    infinity.
    """
    _, difference = _prepare(sr, hr, crop, luma, smallest=1)
    return -10 * jnp.log10(_mean(jnp.square(difference)))


def ssim(sr: jax.Array, hr: jax.Array, *, crop: int, luma: bool) -> jax.Array:
    """Gives the structural similarity: two [N, H, W, C] in [0, 1] to [N] float32, equal being 1.

    `crop` and `luma` as in `psnr`. The window is an 11x11 Gaussian of sigma 1.5, only where it lies
    wholly inside; the mean is over pixels and channels (Wang et al., 2004, equation 13).
    """
    total, difference = _prepare(sr, hr, crop, luma, smallest=_WINDOW)
    # With s = x + y and d = x - y:  4 mu_x mu_y = mu_s^2 - mu_d^2  and
    # 2 (mu_x^2 + mu_y^2) = mu_s^2 + mu_d^2, likewise for the (co)variances: one filter fewer than
    # with x and y, and equal pictures give exactly 1. E[s^2] - E[s]^2 loses digits where s is far
    # from 0, so s is centred on each picture's mean.
    centre = jax.lax.stop_gradient(jnp.mean(total, axis=(1, 2, 3), keepdims=True))
    total = total - centre
    maps = jnp.stack([total, difference, jnp.square(total), jnp.square(difference)])
    mu_s, mu_d, power_s, power_d = _blur(maps)
    var_s, var_d = power_s - jnp.square(mu_s), power_d - jnp.square(mu_d)
    mu2_s, mu2_d = jnp.square(mu_s + centre), jnp.square(mu_d)
    luminance = (mu2_s - mu2_d + 2 * _C1) / (mu2_s + mu2_d + 2 * _C1)
    structure = (var_s - var_d + 2 * _C2) / (var_s + var_d + 2 * _C2)
    return _mean(luminance * structure)


def _prepare(sr, hr, crop: int, luma: bool, smallest: int) -> tuple[jax.Array, jax.Array]:
    """Checks two batches, cuts their borders off; gives sr + hr and sr - hr, of Y if asked."""
    if sr.shape != hr.shape or sr.ndim != 4:
        raise ValueError(
            f"cannot compare pictures of shape {sr.shape} with {hr.shape}; "
            "both must be the same [N, H, W, C]"
        )
    for pictures in (sr, hr):
        if not jnp.issubdtype(pictures.dtype, jnp.floating):
            raise ValueError(
                f"metrics take floats in [0, 1], not {pictures.dtype}; apply color.to_float first"
            )
    height, width = sr.shape[1] - 2 * crop, sr.shape[2] - 2 * crop
    if crop < 0 or min(height, width) < smallest:
        raise ValueError(
            f"pictures of {sr.shape[1]} x {sr.shape[2]} with {crop} pixels cut off every border "
            f"leave less than {smallest} x {smallest}; use larger pictures or a smaller crop"
        )
    inner = slice(crop, crop + height), slice(crop, crop + width)
    sr, hr = (jnp.asarray(x, jnp.float32)[:, inner[0], inner[1]] for x in (sr, hr))
    if luma:
        return color.luma(sr) + color.luma(hr), color.luma_difference(sr - hr)
    return sr + hr, sr - hr


def _mean(values: jax.Array) -> jax.Array:
    return jnp.mean(values, axis=(1, 2, 3))


def _blur(maps: jax.Array) -> jax.Array:
    """Filters [M, N, H, W, C] by the Gaussian window: [M, N, H - 10, W - 10, C].

    Shifted sums: a convolution of one channel takes XLA ten times as long on the CPU, and may round
    to TF32 elsewhere.
    """
    for axis in (2, 3):
        length = maps.shape[axis] - _WINDOW + 1
        shifted = [jax.lax.slice_in_dim(maps, i, i + length, axis=axis) for i in range(_WINDOW)]
        maps = reduce(
            jnp.add, [weight * part for weight, part in zip(_GAUSSIAN, shifted, strict=True)]
        )
    return maps
