"""Enlarging without a network: interpolation, and Wiener deconvolution after it."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging.color import Array
from jaxsr.imaging.resize import matrix, resize

# K of `_gain`, the power of the noise (here: aliasing) over that of the signal. The best of 0.01
# to 0.5 at x2, x3 and x4 on the training photographs of configs/quickstart.toml.
NOISE_TO_SIGNAL = 0.07


def enlarge(image: Array, scale: int, *, method: str) -> Array:
    """Enlarges [..., H, W, C] to [..., scale H, scale W, C] by one of `CLASSICAL`.

    Nothing is clipped. Takes float32 or float64 in [0, 1], numpy on the host or jax, there also
    inside jit with `scale` and `method` static.
    """
    if method not in CLASSICAL:
        raise ValueError(f"no method is called {method!r}; choose from {', '.join(CLASSICAL)}")
    if scale < 1:
        raise ValueError(f"cannot enlarge {scale} times; the scale must be 1 or more")
    return CLASSICAL[method](image, scale)


def _interpolated(image: Array, scale: int, *, method: str) -> Array:
    size = image.shape[-3] * scale, image.shape[-2] * scale
    return resize(image, size, method=method)


def _wiener(image: Array, scale: int) -> Array:
    """Undoes the blur that bicubic reduction and enlargement leave.

    The filter of R. Gonzalez and R. Woods, Digital Image Processing (2002), equation 5.8-6, along
    one axis after the other, and 1 for the mean.
    """
    enlarged = _interpolated(image, scale, method="bicubic")
    return _filter(_filter(enlarged, -3, scale), -2, scale)


CLASSICAL = {
    "nearest": partial(_interpolated, method="nearest"),
    "bilinear": partial(_interpolated, method="bilinear"),
    "bicubic": partial(_interpolated, method="bicubic"),
    "lanczos": partial(_interpolated, method="lanczos"),
    "wiener": _wiener,
}


def _filter(image: Array, axis: int, scale: int) -> Array:
    """Multiplies the spectrum along an axis, of the picture followed by its mirror image."""
    numpy = jnp if isinstance(image, jax.Array) else np
    length = image.shape[axis]
    gain = _gain(length, scale).astype(image.dtype).reshape((-1,) + (1,) * (-axis - 1))
    gain = gain.reshape((1,) * (image.ndim - gain.ndim) + gain.shape)
    mirrored = numpy.concatenate([image, numpy.flip(image, axis)], axis)
    spectrum = numpy.fft.rfft(mirrored, axis=axis) * gain
    filtered = numpy.fft.irfft(spectrum, n=2 * length, axis=axis)
    return numpy.split(filtered, 2, axis)[0]  # pyright: ignore[reportReturnType]


@lru_cache(maxsize=256)
def _gain(length: int, scale: int) -> np.ndarray:
    """Gives H / (H^2 + K) times 1 + K, at the frequencies of a real signal of 2 `length` pixels.

    X = conj(H) Y / (|H|^2 + K), where H is real; the factor keeps the mean of the picture.
    """
    spread = _point_spread(scale)
    offset = np.arange(len(spread)) - len(spread) // 2
    frequency = np.pi * np.arange(length + 1) / length
    transfer = np.cos(frequency[:, None] * offset) @ spread
    return (1 + NOISE_TO_SIGNAL) * transfer / (transfer**2 + NOISE_TO_SIGNAL)


@lru_cache(maxsize=16)
def _point_spread(scale: int) -> np.ndarray:
    """Gives what bicubic reduction and enlargement make of one pixel, around it.

    It depends on where in its LR pixel the pixel lies; this is the mean over the `scale` places.
    """
    few, reach = 16, 4 * scale  # LR pixels, so many that no border is reached; HR pixels
    many = few * scale
    blurred = matrix(few, many, "bicubic") @ matrix(many, few, "bicubic")
    middle = range(many // 2, many // 2 + scale)
    return np.mean([blurred[x - reach : x + reach + 1, x] for x in middle], axis=0)
