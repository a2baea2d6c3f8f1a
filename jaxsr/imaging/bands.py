"""The range of each band: which value becomes 0 and which 1 before a network sees a picture.

Nothing is guessed from pixels: integers have the range of their dtype, floats lie in [0, 1], and
whatever else a band measures (reflectance, degrees, counts) has its range stated.
"""

import jax
import numpy as np
from numpy.typing import DTypeLike

from jaxsr.imaging.color import Array, from_float, to_float

# What becomes 0 and what 1, for each band or once for all; empty: what the dtype says.
Ranges = tuple[tuple[float, float], ...]


def to_unit(pixels: Array, ranges: Ranges) -> Array:
    """Maps [..., C] of any real dtype to float32, (x - low) / (high - low); nothing is clipped.

    Without ranges, `color.to_float`: uint8 and uint16 over their levels, floats as they are.
    ValueError for ranges that do not fit, and for floats outside [0, 1] without ranges, where they
    can be seen: a jax array's cannot.
    """
    if not ranges:
        check_unit(pixels)
        return to_float(pixels)
    low, span = _low_and_span(ranges, pixels)
    return (pixels.astype(np.float32) - low) / span


def from_unit(image: Array, ranges: Ranges, dtype: DTypeLike) -> Array:
    """Inverts `to_unit`: [..., C] to `dtype`, integers rounded to nearest and clipped to theirs."""
    if not ranges:
        return from_float(image, dtype)
    low, span = _low_and_span(ranges, image)
    pixels = image.astype(np.float32) * span + low
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return pixels.round().clip(limits.min, limits.max).astype(dtype)


def measure(pixels: np.ndarray) -> Ranges:
    """Gives the least and the greatest value of each band of [..., C]; one value spans 1."""
    bands = pixels.reshape(-1, pixels.shape[-1])
    ends = zip(bands.min(axis=0).tolist(), bands.max(axis=0).tolist(), strict=True)
    return tuple((low, high if high > low else low + 1) for low, high in ends)


def check_unit(pixels: Array) -> None:
    """Raises ValueError for floats outside [0, 1], suggesting ranges; jax arrays pass unseen."""
    if isinstance(pixels, jax.Array) or pixels.dtype.kind != "f" or not pixels.size:
        return
    if pixels.min() >= 0 and pixels.max() <= 1:
        return
    measured = ", ".join(f"[{low:.4g}, {high:.4g}]" for low, high in measure(pixels))
    raise ValueError(
        f"pixels run from {pixels.min():.4g} to {pixels.max():.4g}, but floats without ranges must "
        f"lie in [0, 1]; state what becomes 0 and 1, such as data.ranges = [{measured}]"
    )


def check_ranges(ranges: Ranges, channels: int) -> None:
    """Raises ValueError for ranges that do not fit so many bands, or that divide by no float32."""
    if ranges and len(ranges) not in (1, channels):
        raise ValueError(
            f"got {len(ranges)} ranges for {channels} bands; "
            "state one pair for each band, or one for all"
        )
    for low, high in ranges:
        with np.errstate(over="ignore"):  # infinite, and so refused
            ends = np.array([low, high, high - low]).astype(np.float32)
        if not np.isfinite(ends).all() or ends[2] < np.finfo(np.float32).tiny:
            raise ValueError(
                f"got the range [{low}, {high}]; state [low, high] with low < high, both finite "
                "and not nearly equal in float32"
            )


def _low_and_span(ranges: Ranges, pixels: Array) -> tuple[np.ndarray, np.ndarray]:
    """Gives low and high - low in a shape that goes with the pixels, float32."""
    check_ranges(ranges, pixels.shape[-1])
    low, high = np.array(ranges, float).T.reshape(2, *(1,) * (pixels.ndim - 1), -1)
    return low.astype(np.float32), (high - low).astype(np.float32)
