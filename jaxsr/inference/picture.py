"""One picture through a network, alpha, colours and metadata staying of the kind they were."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from jaxsr.imaging import color
from jaxsr.imaging.frames import Frame
from jaxsr.imaging.picture import Picture
from jaxsr.imaging.resize import resize

# Pixels [H, W, C] to enlarged pixels of their dtype.
Enlarge = Callable[[np.ndarray], np.ndarray]


def upscale_picture(enlarge: Enlarge, picture: Picture, *, channels: int | None) -> Picture:
    """The picture with its pixels enlarged; alpha is enlarged bicubically.

    `channels` are those that `enlarge` takes, any where None. Grey stays grey also through an RGB
    network; a grey network makes an RGB picture grey, as it was trained. Of CMYK, the light that
    the coloured inks leave goes through an RGB network, and the light that black leaves as grey;
    through a grey network goes each by itself.
    """
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None:
        pixels = fill_transparent(pixels, alpha)
    if picture.mode == "cmyk" and channels in (1, 3):
        sr = _inks(enlarge, pixels, channels)
    else:
        sr = _colors(enlarge, pixels, channels)
    if sr.shape[-1] < pixels.shape[-1]:
        # A profile of RGB says nothing of grey, and PNG forbids it there.
        metadata = replace(picture.metadata, icc=None)
        picture = replace(picture, mode="plain", palette=None, metadata=metadata)
    if alpha is not None:
        enlarged = resize(color.to_float(alpha), sr.shape[:2], method="bicubic").clip(0, 1)
        alpha = color.from_float(enlarged, alpha.dtype)
    return replace(picture, pixels=sr, alpha=alpha)


def upscale_frames(
    enlarge: Enlarge, frames: Iterable[Frame], *, channels: int | None
) -> Iterator[Frame]:
    """Yield each frame of an animation or page of a file upscaled, as `upscale_picture` does."""
    for frame in frames:
        yield frame._replace(picture=upscale_picture(enlarge, frame.picture, channels=channels))


def _colors(enlarge: Enlarge, pixels: np.ndarray, channels: int | None) -> np.ndarray:
    return as_stored(enlarge(as_taken(pixels, channels)), pixels.shape[-1])


def as_taken(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    """Grey as RGB and RGB as grey where the network takes the other; anything else as it is."""
    if {pixels.shape[-1], channels} != {1, 3}:
        return pixels
    assert channels is not None
    return color.fit_channels(pixels, channels)


def as_stored(sr: np.ndarray, channels: int) -> np.ndarray:
    """Grey again what came as grey; RGB that a grey network took stays grey."""
    if (sr.shape[-1], channels) != (3, 1):
        return sr
    return color.from_float(color.to_float(sr).mean(axis=-1, keepdims=True), sr.dtype)


def _inks(enlarge: Enlarge, pixels: np.ndarray, channels: int) -> np.ndarray:
    """Inks [H, W, 4] as light, in groups of as many as the network takes, and the rest as grey."""
    most = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    light = (most - pixels).astype(pixels.dtype)
    groups = (light[..., :3], light[..., 3:]) if channels == 3 else np.split(light, 4, axis=-1)
    enlarged = [_colors(enlarge, group, channels) for group in groups]
    return (most - np.concatenate(enlarged, axis=-1)).astype(pixels.dtype)


def fill_transparent(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Replace what lies under full transparency by the colours around it, lest it bleed out.

    Colours are averaged with alpha as weight over ever larger squares, and each transparent pixel
    takes the smallest square that holds something visible.
    """
    weight = color.to_float(alpha).astype(np.float64)
    filled, missing = color.to_float(pixels).astype(np.float64) * (alpha > 0), alpha[..., 0] == 0
    if missing.all():
        return np.zeros_like(pixels)
    colour, factor = filled * weight, 1
    while missing.any():
        colour, weight, factor = _halve(colour), _halve(weight), factor * 2
        y, x = (np.arange(n) // factor for n in pixels.shape[:2])
        share = weight[y][:, x]
        seen = missing & (share[..., 0] > 0)
        filled[seen] = colour[y][:, x][seen] / share[seen]
        missing &= ~seen
    return np.where(alpha > 0, pixels, color.from_float(filled, pixels.dtype))


def _halve(image: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 squares; an odd side is filled up with zeros."""
    height, width = image.shape[:2]
    image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)))
    return image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]
