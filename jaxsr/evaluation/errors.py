"""Where and how a result differs from its original: histogram, spectrum, and a spot to look at."""

from typing import Any

import numpy as np

from jaxsr.imaging.color import luma, to_float

RINGS = 64  # of a spectrum; fewer of small pictures
BLOCK = 32  # pixels a side, of which one has the most detail


def measured(pixels: np.ndarray) -> np.ndarray:
    """Gives Y of grey and RGB, as PSNR has it, or the bands: [H, W, 1 or C], floats."""
    image = to_float(pixels)
    if image.shape[-1] == 1:
        image = image.repeat(3, axis=-1)
    return luma(image) if image.shape[-1] == 3 else image


def histogram(sr: np.ndarray, hr: np.ndarray, *, crop: int) -> dict[str, Any]:
    """Counts the pixels by the error of their Y, SR - HR, in whole 8-bit levels; of bands, all.

    Takes [H, W, C] and gives `{"low": the level of the first count, "counts": [...]}`. What is
    beyond 255 levels is 255, and what is no number is not counted.
    """
    inner = slice(crop, -crop or None)
    error = 255 * (measured(sr[inner, inner]) - measured(hr[inner, inner])).ravel()
    levels = np.rint(error[~np.isnan(error)].clip(-255, 255)).astype(np.int64)
    if not levels.size:
        return {"low": 0, "counts": [0]}
    low = int(levels.min())
    return {"low": low, "counts": np.bincount(levels - low).tolist()}


def spectrum(image: np.ndarray) -> list[float]:
    """Averages the power of Y, or of all bands, over rings of frequency, 0 to 1/2 per pixel.

    Under a Hann window and without the mean, in decibels over one squared 8-bit level: white noise
    of s levels is 20 log10(s) throughout. What is below -60 is -60; floats are clipped to [0, 1],
    and what is no number is 0.
    """
    plane = 255 * np.nan_to_num(measured(image)).clip(0, 1)
    height, width = plane.shape[:2]
    hann = np.outer(np.hanning(height), np.hanning(width))[..., None].astype(np.float32)
    waves = np.fft.fft2((plane - plane.mean((0, 1))) * hann, axes=(0, 1))
    power = (np.abs(waves) ** 2).mean(-1) / (hann**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    rings = min(RINGS, min(height, width) // 2)
    ring = np.minimum(2 * rings * radius, rings).astype(int).ravel()  # the last: the corners
    means = np.bincount(ring, power.ravel())[:rings] / np.bincount(ring)[:rings]
    return (10 * np.log10(np.maximum(means, 1e-6))).round(2).tolist()


def spot(image: np.ndarray) -> list[int]:
    """Gives x and y of the middle of the block of most detail, the absolute steps down and across.

    Its sides are at least two pixels.
    """
    plane = measured(image).mean(-1)
    down, across = (np.abs(np.diff(plane, axis=axis)) for axis in (0, 1))
    steps = down[:, 1:] + across[1:]
    side = min(BLOCK, *steps.shape)
    rows, columns = (n // side for n in steps.shape)
    blocks = steps[: rows * side, : columns * side].reshape(rows, side, columns, side)
    row, column = divmod(int(blocks.sum((1, 3)).argmax()), columns)
    return [column * side + side // 2, row * side + side // 2]
