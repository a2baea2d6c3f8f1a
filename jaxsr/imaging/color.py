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


def grey(pixels: np.ndarray) -> np.ndarray:
    """Turns uint8 or uint16 RGB into grey as Pillow does: [..., 3] to [..., 1] of the same dtype.

    BT.601 over the full range, rounded to nearest, so that white stays white. Grey passes. Raises
    ValueError for floats, which may be anything but colours.
    """
    if pixels.shape[-1] == 1:
        return pixels
    _levels(pixels.dtype)
    total = pixels @ np.array([[19595], [38470], [7471]], np.uint32)  # of 2^16; fits 16-bit pixels
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
