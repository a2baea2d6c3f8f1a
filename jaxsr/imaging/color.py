"""Colour spaces and ranges; every function takes a numpy or a jax array and gives back the same."""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

Array = TypeVar("Array", np.ndarray, jax.Array)

# ITU-R BT.601 for R, G, B in [0, 1], studio range, as MATLAB's rgb2ycbcr and BasicSR have it.
_TO_YCBCR = (
    (65.481, 128.553, 24.966),
    (-37.797, -74.203, 112.0),
    (112.0, -93.786, -18.214),
)
_OFFSETS = (16.0, 128.0, 128.0)
_FROM_YCBCR = np.linalg.inv(_TO_YCBCR).tolist()
_GREY = (19595, 38470, 7471)  # of 2^16: Y of BT.601 over the full range, as Pillow has it


def rgb_to_ycbcr(image: Array) -> Array:
    """Converts RGB to BT.601 YCbCr: [..., 3] to [..., 3], floats, 1 standing for level 255.

    Y lies in [16, 235] / 255, Cb and Cr in [16, 240] / 255.
    """
    _check_rgb(image)
    rows = zip(_TO_YCBCR, _OFFSETS, strict=True)
    return _join([(_dot(image, row) + offset) / 255 for row, offset in rows])


def ycbcr_to_rgb(image: Array) -> Array:
    """Inverts `rgb_to_ycbcr`; nothing is clipped."""
    _check_rgb(image)
    shifted = [image[..., c : c + 1] * 255 - offset for c, offset in enumerate(_OFFSETS)]
    shifted = _join(shifted)
    return _join([_dot(shifted, row) for row in _FROM_YCBCR])


def luma(image: Array) -> Array:
    """Gives the Y of `rgb_to_ycbcr`: [..., 3] to [..., 1]; a picture of one channel is its own."""
    if image.shape[-1] == 1:
        return image
    _check_rgb(image)
    return (_dot(image, _TO_YCBCR[0]) + _OFFSETS[0]) / 255


def luma_difference(difference: Array) -> Array:
    """Gives luma(a) - luma(b) from a - b: [..., C] to [..., 1], keeping digits the offset costs."""
    if difference.shape[-1] == 1:
        return difference
    _check_rgb(difference)
    return _dot(difference, _TO_YCBCR[0]) / 255


def fit_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Gives [..., C] so many channels: grey is repeated to RGB, and RGB becomes its `grey`.

    One and three channels are taken for colours where they are uint8, uint16 or floats in [0, 1].
    Raises ValueError, naming no file, for other floats, which are measurements, and other bands.
    """
    got = pixels.shape[-1]
    if got == channels:
        return pixels
    if {got, channels} != {1, 3}:
        raise ValueError(
            f"got {got} channels, wanted {channels}; only grey and RGB stand in for each other"
        )
    if pixels.dtype.kind == "f" and pixels.size and not 0 <= pixels.min() <= pixels.max() <= 1:
        raise ValueError(
            f"got {got} channels, wanted {channels}, and floats from {pixels.min():.4g} to "
            f"{pixels.max():.4g} are no colours that could be converted; give {channels} channels, "
            "or floats in [0, 1]"
        )
    return grey(pixels) if channels == 1 else pixels.repeat(3, axis=-1)


def grey(pixels: np.ndarray) -> np.ndarray:
    """Turns RGB into grey as Pillow does: [..., 3] to [..., 1] of the same dtype.

    BT.601 over the full range, so that white stays white; uint8 and uint16 rounded to nearest.
    Grey passes.
    """
    if pixels.shape[-1] == 1:
        return pixels
    if pixels.dtype.kind == "f":
        return _dot(pixels, [weight / 2**16 for weight in _GREY])
    _levels(pixels.dtype)
    total = pixels @ np.array(_GREY, np.uint32)[:, None]  # fits 16-bit pixels
    return ((total + np.uint32(0x8000)) >> np.uint32(16)).astype(pixels.dtype)


def to_float(pixels: Array) -> Array:
    """Maps uint8 or uint16 pixels to float32 in [0, 1]; float32 passes through."""
    if pixels.dtype == np.float32:
        return pixels
    return pixels.astype(np.float32) / _levels(pixels.dtype)


def from_float(image: Array, dtype: DTypeLike) -> Array:
    """Maps floats in [0, 1] to uint8 or uint16, clipped and rounded to nearest; float32 passes."""
    dtype = np.dtype(dtype)
    if dtype == np.float32:
        return image.astype(np.float32)
    levels = _levels(dtype)
    rounded = (image * levels).round()
    return rounded.clip(0, levels).astype(dtype)


def _levels(dtype: DTypeLike) -> int:
    if np.dtype(dtype) not in (np.uint8, np.uint16):
        raise ValueError(
            f"pixels of {np.dtype(dtype)} have no stated range; "
            "use uint8, uint16 or float32 in [0, 1]"
        )
    return np.iinfo(dtype).max


def _check_rgb(image: Array) -> None:
    if image.shape[-1] != 3:
        raise ValueError(
            f"a picture of shape {image.shape} is not a colour picture; "
            "the last axis must hold three channels"
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(
            f"colour conversion takes floats in [0, 1], not {image.dtype}; "
            "apply color.to_float first"
        )


def _dot(image: Array, row) -> Array:
    """Weighs three channels: sums written out, for a matmul would run in TF32 or bfloat16."""
    return image[..., 0:1] * row[0] + image[..., 1:2] * row[1] + image[..., 2:3] * row[2]


def _join(channels: list[Array]) -> Array:
    concatenate = jnp.concatenate if isinstance(channels[0], jax.Array) else np.concatenate
    return concatenate(channels, axis=-1)  # pyright: ignore[reportReturnType]
