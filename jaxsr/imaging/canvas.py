"""Pictures of traced size on arrays of a fixed one.

A picture lies in the top left corner of its canvas. What is beyond it is unspecified, maybe NaN,
and never reaches it. All is written for one picture; `jax.vmap` gives each of a batch its own size.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxsr.imaging.blur import correlate
from jaxsr.imaging.jpeg import jpeg as code
from jaxsr.imaging.rescale import INTERPOLATIONS, interpolation, separable


class Canvas(NamedTuple):
    """Pixels [Hc, Wc, C], of which the first `height` rows and `width` columns are the picture."""

    pixels: jax.Array
    height: jax.Array
    width: jax.Array


def place(image: jax.Array, shape: tuple[int, int]) -> Canvas:
    """Puts [H, W, C] on a canvas of shape (Hc, Wc)."""
    height, width, _ = image.shape
    if height > shape[0] or width > shape[1]:
        raise ValueError(
            f"got a picture of {height} x {width} for a canvas of {shape[0]} x {shape[1]}; "
            "make the canvas as large or crop the picture"
        )
    pixels = jnp.pad(image, [(0, shape[0] - height), (0, shape[1] - width), (0, 0)])
    return Canvas(pixels, jnp.int32(height), jnp.int32(width))


def inside(canvas: Canvas) -> jax.Array:
    """Says which pixels are the picture's: [Hc, Wc, 1], bool."""
    rows, columns = (jnp.arange(side) for side in canvas.pixels.shape[:2])
    return (rows < canvas.height)[:, None, None] & (columns < canvas.width)[None, :, None]


def mirrored(canvas: Canvas, pad: int) -> jax.Array:
    """Gives [Hc + 2 pad, Wc + 2 pad, C], the picture beginning at (pad, pad).

    Around it are its mirror images, the edge pixel repeated, however small it is.
    """
    rows, columns = (jnp.arange(-pad, side + pad) for side in canvas.pixels.shape[:2])
    return _gather(canvas, _reflect(rows, canvas.height), _reflect(columns, canvas.width))


def clamped(canvas: Canvas) -> jax.Array:
    """Gives [Hc, Wc, C]: beyond the picture its last row and column are repeated."""
    rows, columns = (jnp.arange(side) for side in canvas.pixels.shape[:2])
    rows, columns = jnp.minimum(rows, canvas.height - 1), jnp.minimum(columns, canvas.width - 1)
    return _gather(canvas, rows, columns)


def resize(
    canvas: Canvas,
    height: ArrayLike,
    width: ArrayLike,
    *,
    method: str | ArrayLike,
    shape: tuple[int, int],
) -> Canvas:
    """Resizes to (height, width) on a canvas of `shape`, in which that must find room.

    `method` is "area", "bilinear" or "bicubic", or 0, 1 or 2, which may be traced as the size may.
    Equals torch.nn.functional.interpolate with align_corners=False, which does not antialias, but
    beyond the border is the mirror image; only "bicubic" looks there. Nothing is clipped.
    """
    if isinstance(method, str) and method not in INTERPOLATIONS:
        raise ValueError(f"resize got method {method!r}, wanted one of {', '.join(INTERPOLATIONS)}")
    high, wide, _ = canvas.pixels.shape
    height, width = jnp.asarray(height, jnp.int32), jnp.asarray(width, jnp.int32)
    rows = interpolation(canvas.height, height, (shape[0], high), method)
    columns = interpolation(canvas.width, width, (shape[1], wide), method)
    pixels = jnp.where(inside(canvas), canvas.pixels, 0)  # for 0 times NaN is NaN
    return Canvas(separable(pixels, rows, columns), height, width)


def blur(canvas: Canvas, kernel: jax.Array) -> Canvas:
    """Correlates each channel with a kernel [k, k], k odd, the picture's border being mirrored."""
    return canvas._replace(pixels=correlate(mirrored(canvas, kernel.shape[0] // 2), kernel))


def jpeg(canvas: Canvas, quality: ArrayLike, *, subsampling: str = "4:2:0") -> Canvas:
    """Gives the picture as it returns from a JPEG file, as `jaxsr.imaging.jpeg` does.

    With "4:2:0" it must be wider than 4 pixels, for libjpeg interpolates no narrower chroma.
    """
    size = canvas.height, canvas.width
    pixels = code(clamped(canvas), quality, subsampling=subsampling, size=size)
    return canvas._replace(pixels=pixels)


def _reflect(index: jax.Array, length: jax.Array) -> jax.Array:
    index = index % (2 * length)
    return jnp.minimum(index, 2 * length - 1 - index)


def _gather(canvas: Canvas, rows: jax.Array, columns: jax.Array) -> jax.Array:
    # No index is outside. "clip" spares the check that the default makes for each pixel.
    return canvas.pixels.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
