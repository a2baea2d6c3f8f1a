"""Palettes, single bits and inks: from pixels to how they are stored, and to others on request."""

import io
from dataclasses import replace
from typing import Literal

import numpy as np

from jaxsr.imaging.picture import Picture

_ROWS = 2**16  # pixels that are compared with a palette at a time
MOST_COLOURS = 256


def to_indices(pixels: np.ndarray, alpha: np.ndarray | None, palette: np.ndarray) -> np.ndarray:
    """Finds the nearest colours of a palette [N, 4], RGBA: uint8 RGB [H, W, 3] to uint8 [H, W].

    Nearest are those least apart in alpha and in colours multiplied by it, of equals the first;
    without alpha, opaque ones.
    """
    if alpha is None:
        alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    flat = np.concatenate([pixels, alpha], axis=-1).reshape(-1, 4)
    entries = _premultiplied(palette)
    offsets = (entries**2).sum(axis=-1)
    indices = np.empty(len(flat), np.uint8)
    for start in range(0, len(flat), _ROWS):
        part = _premultiplied(flat[start : start + _ROWS])
        indices[start : start + _ROWS] = np.argmin(offsets - 2 * part @ entries.T, axis=-1)
    return indices.reshape(pixels.shape[:2])


def palette_of(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray | None:
    """Lists the colours of uint8 RGB as a palette [N, 4], or gives None where they are too many.

    What is wholly transparent is one colour.
    """
    if alpha is None:
        alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    rgba = np.concatenate([pixels * (alpha > 0), alpha], axis=-1)
    packed = np.unique(np.ascontiguousarray(rgba).view(np.uint32))
    return packed.view(np.uint8).reshape(-1, 4) if len(packed) <= MOST_COLOURS else None


def to_bits(pixels: np.ndarray) -> np.ndarray:
    """Makes uint8 grey [H, W, 1] black or white: bool [H, W]."""
    return pixels[..., 0] >= 128


def convert(
    picture: Picture,
    *,
    widen: bool = False,
    depth: Literal[8, 16] | None = None,
    background: tuple[int, int, int] | None = None,
) -> Picture:
    """Changes what `files.write` would refuse to lose; it never does unless asked.

    `depth` is bits in a sample, floats counting from 0 to 1; 16 also widens palettes and single
    bits. `widen` makes RGB and grey of palettes, single bits and CMYK, the latter by its profile
    where it has one (in 8 bits only). `background`, RGB from 0 to 255, is laid under what is
    transparent.
    """
    if depth is not None:
        dtype = np.dtype(f"uint{depth}")
        alpha = None if picture.alpha is None else _deepened(picture.alpha, dtype)
        picture = replace(picture, pixels=_deepened(picture.pixels, dtype), alpha=alpha)
        if depth != 8 and picture.mode in ("palette", "bilevel"):  # which hold no deeper samples
            picture = replace(picture, mode="plain", palette=None)
    if widen:
        picture = _inked(picture) if picture.mode == "cmyk" else replace(picture, mode="plain")
    return picture if background is None else _on(background, picture)


def _premultiplied(rgba: np.ndarray) -> np.ndarray:
    values = rgba.astype(np.float32)
    values[..., :3] *= values[..., 3:] / 255
    return values


def _deepened(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if pixels.dtype == dtype:
        return pixels
    if pixels.dtype.kind == "f":
        if pixels.min() < 0 or pixels.max() > 1:
            raise ValueError(
                f"pixels run from {pixels.min():.4g} to {pixels.max():.4g}, but only floats in "
                "[0, 1] have a depth in bits; bring them there, or keep them floats"
            )
        return (pixels * np.iinfo(dtype).max).round().astype(dtype)
    if dtype == np.uint16:
        return pixels.astype(np.uint16) * np.uint16(257)
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _inked(picture: Picture) -> Picture:
    """RGB of CMYK: by the profile to sRGB, without one as (1 - ink) (1 - black)."""
    icc, pixels = picture.metadata.icc, picture.pixels
    if icc is None:
        most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
        light = 1 - pixels.astype(np.float64) / most
        rgb = light[..., :3] * light[..., 3:] * most
        rgb = rgb.astype(np.float32) if most == 1 else rgb.round().astype(pixels.dtype)
        return replace(picture, pixels=rgb, mode="plain")
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"CMYK of {pixels.dtype} is not widened by a profile; ask for a depth of 8"
        )
    rgb, srgb = _by_profile(pixels, icc)
    return replace(picture, pixels=rgb, mode="plain", metadata=replace(picture.metadata, icc=srgb))


def _by_profile(pixels: np.ndarray, icc: bytes) -> tuple[np.ndarray, bytes]:
    from PIL import Image, ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
    try:
        made = ImageCms.profileToProfile(image, io.BytesIO(icc), srgb, outputMode="RGB")
    except ImageCms.PyCMSError as error:
        raise ValueError(
            f"the colour profile does not turn CMYK into RGB ({error}); remove it"
        ) from error
    return np.array(made), srgb.tobytes()


def _on(background: tuple[int, int, int], picture: Picture) -> Picture:
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is None:
        return picture
    if pixels.shape[-1] == 1 and len(set(background)) > 1:
        pixels = pixels.repeat(3, axis=-1)
    if pixels.shape[-1] not in (1, 3):
        raise ValueError(f"{pixels.shape[-1]} channels have no background; take RGB or grey")
    most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    share = alpha.astype(np.float64) / most
    under = np.array(background[: pixels.shape[-1]]) / 255 * most
    mixed = pixels * share + under * (1 - share)
    mixed = mixed.astype(np.float32) if most == 1 else mixed.round().astype(pixels.dtype)
    return replace(picture, pixels=mixed, alpha=None, mode="plain", palette=None)
