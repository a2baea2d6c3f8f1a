"""PSNR, SSIM, MS-SSIM, shift of colours and consistency with the input, per picture.

PSNR and SSIM are BasicSR's: crop, then Y, and nothing rounded. Published figures round both
pictures to 8 bits first and crop as many pixels as the scale; that is the caller's part. Both are
differentiable, and all run under jit with `crop` and `luma` static.
"""

from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging import color
from jaxsr.imaging.resize import resize

_WINDOW = 11
_GAUSSIAN = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * 1.5**2))
_GAUSSIAN = (_GAUSSIAN / _GAUSSIAN.sum()).tolist()
_C1 = 0.01**2
_C2 = 0.03**2

# of the five scales of MS-SSIM, each half as large as the one before (Wang et al., 2003, 3.2)
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST_MS_SSIM = (_WINDOW - 1) * 2 ** (len(_EXPONENTS) - 1) + 1


def psnr(sr: jax.Array, hr: jax.Array, *, crop: int, luma: bool) -> jax.Array:
    """Gives the peak signal-to-noise ratio in dB: two [N, H, W, C] in [0, 1] to [N] float32.

    `crop` pixels are cut off every border; `luma` compares the Y of BT.601. Equal pictures have
    infinity.
    """
    _, difference = _prepare(sr, hr, crop, luma, smallest=1)
    # Where SR comes from levels in the same program, XLA may divide and subtract in one rounding,
    # which leaves 1e-8 between equal pictures.
    identical = jnp.all(jnp.equal(*cropped(sr, hr, crop=crop, smallest=1)), axis=(1, 2, 3))
    return jnp.where(identical, jnp.inf, -10 * jnp.log10(_mean(jnp.square(difference))))


def ssim(sr: jax.Array, hr: jax.Array, *, crop: int, luma: bool) -> jax.Array:
    """Gives the structural similarity: two [N, H, W, C] in [0, 1] to [N] float32, equal being 1.

    `crop` and `luma` as in `psnr`. The window is an 11x11 Gaussian of sigma 1.5, only where it lies
    wholly inside; the mean is over pixels and channels (Wang et al., 2004, equation 13).
    """
    total, difference = _prepare(sr, hr, crop, luma, smallest=_WINDOW)
    luminance, structure = _similarity(total, difference)
    return _mean(luminance * structure)


def ms_ssim(sr: jax.Array, hr: jax.Array, *, crop: int, luma: bool) -> jax.Array:
    """Gives the multi-scale similarity: two [N, H, W, C] in [0, 1] to [N] float32, equal being 1.

    `crop` and `luma` as in `psnr`; what is left must be more than 160 pixels high and wide. The
    definition is that of pytorch_msssim: the structure of five scales and the luminance of the last
    (Wang, Simoncelli and Bovik, 2003, equation 7), nothing below 0, the mean over channels last;
    before a side of odd length is halved, a row of black is put before it.
    """
    total, difference = _prepare(sr, hr, crop, luma, smallest=_SMALLEST_MS_SSIM)
    scales = [(total, difference)]
    for _ in _EXPONENTS[1:]:
        total, difference = _halve(total), _halve(difference)
        scales.append((total, difference))
    maps = [_similarity(*scale) for scale in scales]
    parts = [structure for _, structure in maps[:-1]] + [maps[-1][0] * maps[-1][1]]
    means = [jnp.maximum(jnp.mean(part, axis=(1, 2)), 0) for part in parts]
    powers = [mean**exponent for mean, exponent in zip(means, _EXPONENTS, strict=True)]
    return jnp.mean(reduce(jnp.multiply, powers), axis=-1)


def color_shift(sr: jax.Array, hr: jax.Array, *, crop: int) -> jax.Array:
    """Gives by how much each channel is too bright: two [N, H, W, C] in [0, 1] to [N, C] float32.

    The mean of SR - HR in levels of 8 bits.
    """
    _, difference = _prepare(sr, hr, crop, luma=False, smallest=1)
    return 255 * jnp.mean(difference, axis=(1, 2))


def consistency(sr: jax.Array, lr: jax.Array) -> jax.Array:
    """Gives how far SR, made smaller, lies from the input: [N, sH, sW, C], [N, H, W, C] to [N].

    The root of the mean square in levels of 8 bits, float32. SR is reduced by MATLAB's bicubic and
    not rounded, so that the original itself has about 0.29 where LR was rounded to 8 bits.
    """
    reduced = resize(sr, (lr.shape[1], lr.shape[2]))
    _, difference = _prepare(reduced, lr, crop=0, luma=False, smallest=1)
    return 255 * jnp.sqrt(_mean(jnp.square(difference)))


def cropped(
    sr: jax.Array, hr: jax.Array, *, crop: int, smallest: int
) -> tuple[jax.Array, jax.Array]:
    """Gives two [N, H, W, C] as float32, `crop` pixels cut off every border.

    Raises ValueError where they differ in shape, are no floats or are then below `smallest`.
    """
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
    return sr, hr


def _prepare(
    sr: jax.Array, hr: jax.Array, crop: int, luma: bool, smallest: int
) -> tuple[jax.Array, jax.Array]:
    """sr + hr and sr - hr, of Y if asked."""
    sr, hr = cropped(sr, hr, crop=crop, smallest=smallest)
    if luma:
        return color.luma(sr) + color.luma(hr), color.luma_difference(sr - hr)
    return sr + hr, sr - hr


def _mean(values: jax.Array) -> jax.Array:
    return jnp.mean(values, axis=(1, 2, 3))


def _similarity(total: jax.Array, difference: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Luminance and structure, their product being SSIM, of s = x + y and d = x - y.

    4 mu_x mu_y = mu_s^2 - mu_d^2  and  2 (mu_x^2 + mu_y^2) = mu_s^2 + mu_d^2, likewise for the
    (co)variances: one filter fewer than with x and y, and equal pictures give exactly 1.
    """
    # E[s^2] - E[s]^2 loses digits where s is far from 0, so s is centred on each picture's mean.
    centre = jax.lax.stop_gradient(jnp.mean(total, axis=(1, 2, 3), keepdims=True))
    total = total - centre
    maps = jnp.stack([total, difference, jnp.square(total), jnp.square(difference)])
    mu_s, mu_d, power_s, power_d = _blur(maps)
    var_s, var_d = power_s - jnp.square(mu_s), power_d - jnp.square(mu_d)
    mu2_s, mu2_d = jnp.square(mu_s + centre), jnp.square(mu_d)
    luminance = (mu2_s - mu2_d + 2 * _C1) / (mu2_s + mu2_d + 2 * _C1)
    structure = (var_s - var_d + 2 * _C2) / (var_s + var_d + 2 * _C2)
    return luminance, structure


def _halve(maps: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels: [N, H, W, C] to [N, ceil(H / 2), ceil(W / 2), C]."""
    odd = [(n % 2, 0) for n in maps.shape[1:3]]
    maps = jnp.pad(maps, ((0, 0), *odd, (0, 0)))
    maps = (maps[:, 0::2] + maps[:, 1::2]) / 2
    return (maps[:, :, 0::2] + maps[:, :, 1::2]) / 2


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
