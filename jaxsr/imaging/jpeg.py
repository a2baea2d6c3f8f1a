"""The round trip through baseline JPEG, on the device and differing for each picture.

It computes in whole numbers what libjpeg-turbo does with its defaults (8 bits, "islow" DCT, fancy
up-sampling), so that the result is that of the file to the level, and the same on every device.
Entropy coding loses nothing and is left out.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

SUBSAMPLINGS = ("4:2:0", "4:4:4")

# ITU-T T.81, tables K.1 and K.2, for quality 50.
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.int32,
)
_CHROMA = np.full((8, 8), 99, np.int32)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

# The DCT times 2^13 sqrt(8), frequency by sample, of which the right half mirrors the left. libjpeg
# adds rounded constants (Loeffler, Ligtenberg and Moschytz, 1989): hence 10703 beside 10704.
_DCT = np.array(
    [
        [8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260],
        [10703, 4433, -4433, -10703],
        [9633, -2259, -11362, -6436],
        [8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633],
        [4433, -10704, 10704, -4433],
        [2260, -6436, 9633, -11363],
    ],
    np.int32,
)
_DCT = np.hstack([_DCT, _DCT[:, ::-1] * np.where(np.arange(8) % 2, -1, 1)[:, None]])


def jpeg(
    image: jax.Array,
    quality: ArrayLike,
    *,
    subsampling: str = "4:2:0",
    size: tuple[jax.Array, jax.Array] | None = None,
) -> jax.Array:
    """Gives [..., H, W, C] as it returns from a JPEG file: rounded to 8 bits, in [0, 1].

    `quality` is libjpeg's, a whole number from 1 to 100 for each picture [...] or for all. Three
    channels are RGB, whose chroma "4:2:0" halves in both directions and "4:4:4" leaves; one is
    grey, and of any other number each is coded as if it were grey. Sides may be of any length.
    The picture may be but the first rows and columns: `size`, two scalars, says how many, if its
    last ones are repeated beyond. The gradient is that of the identity (straight through).
    """
    if subsampling not in SUBSAMPLINGS:
        raise ValueError(
            f"jpeg got subsampling {subsampling!r}, wanted one of {', '.join(SUBSAMPLINGS)}"
        )
    quality = jnp.broadcast_to(jnp.asarray(quality, jnp.int32), image.shape[:-3])
    luma, chroma = (_table(base, quality) for base in (_LUMA, _CHROMA))
    planes = jnp.moveaxis(jnp.round(image.clip(0, 1) * 255).astype(jnp.int32), -1, 0)
    if len(planes) == 3:
        planes = _rgb_to_ycc(*planes)
        y, cb, cr = planes
        if subsampling == "4:2:0":
            cb, cr = (_code_halved(plane, chroma, size) for plane in (cb, cr))
        else:
            cb, cr = _code(cb, chroma), _code(cr, chroma)
        planes = _ycc_to_rgb(_code(y, luma), cb, cr)
    else:
        planes = [_code(plane, luma) for plane in planes]
    coded = jnp.stack(planes, axis=-1).astype(image.dtype) / 255
    return coded + (image - jax.lax.stop_gradient(image))  # the difference is 0 exactly


def _table(base: np.ndarray, quality: jax.Array) -> jax.Array:
    """libjpeg's jpeg_quality_scaling: [...] to the divisors [..., 8, 8]."""
    scale = jnp.where(quality < 50, 5000 // quality.clip(1), 200 - 2 * quality)[..., None, None]
    return ((scale * base.reshape((1,) * (scale.ndim - 2) + (8, 8)) + 50) // 100).clip(1, 255)


def _rgb_to_ycc(r: jax.Array, g: jax.Array, b: jax.Array) -> list[jax.Array]:
    # BT.601 over the full range, in 2^-16; chroma is rounded with half less one (jccolor.c).
    y = (19595 * r + 38470 * g + 7471 * b + 32768) >> 16
    cb = (-11059 * r - 21709 * g + 32768 * b + (128 << 16) + 32767) >> 16
    cr = (32768 * r - 27439 * g - 5329 * b + (128 << 16) + 32767) >> 16
    return [y, cb, cr]


def _ycc_to_rgb(y: jax.Array, cb: jax.Array, cr: jax.Array) -> list[jax.Array]:
    cb, cr = cb - 128, cr - 128
    r = y + ((91881 * cr + 32768) >> 16)
    g = y + ((-22554 * cb - 46802 * cr + 32768) >> 16)
    b = y + ((116130 * cb + 32768) >> 16)
    return [plane.clip(0, 255) for plane in (r, g, b)]


def _code(plane: jax.Array, table: jax.Array) -> jax.Array:
    """Samples [..., H, W] in 0..255 through DCT, division by `table` [..., 8, 8] and back."""
    *_, height, width = plane.shape
    plane = _extend(plane, -height % 8, -width % 8)
    blocks = plane.reshape(*plane.shape[:-2], plane.shape[-2] // 8, 8, plane.shape[-1] // 8, 8)
    coefficients = _dct(blocks.swapaxes(-3, -2) - 128)
    divisor = table[..., None, None, :, :]
    # Eight times too large (jfdctint.c). `lax.div` drops the remainder, so this rounds halves away.
    half = jnp.where(coefficients < 0, -4, 4) * divisor
    levels = jax.lax.div(coefficients + half, 8 * jnp.broadcast_to(divisor, coefficients.shape))
    samples = (_inverse_dct(levels * divisor) + 128).clip(0, 255)
    return samples.swapaxes(-3, -2).reshape(plane.shape)[..., :height, :width]


def _extend(plane: jax.Array, rows: int, columns: int) -> jax.Array:
    """Repeats the last row and column."""
    return jnp.pad(plane, [(0, 0)] * (plane.ndim - 2) + [(0, rows), (0, columns)], mode="edge")


def _dct(blocks: jax.Array) -> jax.Array:
    # libjpeg keeps two bits of fraction between the passes, along the rows and down the columns.
    return _down(_DCT, _along(_DCT, blocks, 11), 15)


def _inverse_dct(blocks: jax.Array) -> jax.Array:
    return _along(_DCT.T, _down(_DCT.T, blocks, 11), 18)


def _along(matrix: np.ndarray, blocks: jax.Array, bits: int) -> jax.Array:
    """The rows of blocks [..., 8, 8] times a matrix, divided by 2^bits and rounded."""
    # A sum of products, for a matmul of int32 is slow or missing on some devices.
    matrix = matrix.reshape((1,) * (blocks.ndim - 1) + (8, 8))
    return _shift((matrix * blocks[..., None, :]).sum(-1), bits)


def _down(matrix: np.ndarray, blocks: jax.Array, bits: int) -> jax.Array:
    return _along(matrix, blocks.swapaxes(-1, -2), bits).swapaxes(-1, -2)


def _shift(x: jax.Array, bits: int) -> jax.Array:
    return (x + (1 << (bits - 1))) >> bits


def _code_halved(
    plane: jax.Array, table: jax.Array, size: tuple[jax.Array, jax.Array] | None
) -> jax.Array:
    """`_code` of the plane at half its height and width, enlarged again."""
    *_, height, width = plane.shape
    # libjpeg fills up whole blocks to the right before it halves, but downwards only afterwards.
    small = _halve(_extend(plane, height % 2, -width % 16))
    if size is not None:
        small = _repeat_last(small, size[0], -2)
    small = _code(small, table)[..., : -(-width // 2)]
    if size is not None:
        small = _repeat_last(_repeat_last(small, size[0], -2), size[1], -1)
    return _double(small)[..., :height, :width]


def _repeat_last(small: jax.Array, length: jax.Array, axis: int) -> jax.Array:
    """Repeats the last of the samples that a halved plane has of a picture's `length`."""
    index = jnp.minimum(jnp.arange(small.shape[axis]), (length + 1) // 2 - 1)
    return small.take(index, axis, mode="clip")


def _halve(plane: jax.Array) -> jax.Array:
    """The means of 2 x 2 samples, halves rounded down and up by turns (jcsample.c)."""
    # A reduction, for XLA would compute what made the plane once more for each of four slices.
    *leading, height, width = plane.shape
    sums = plane.reshape(*leading, height // 2, 2, width // 2, 2).sum(axis=(-3, -1))
    bias = 1 + np.arange(width // 2, dtype=np.int32) % 2
    return (sums + bias.reshape((1,) * len(leading) + (1, -1))) >> 2


def _double(plane: jax.Array) -> jax.Array:
    """Triangular interpolation: three parts the nearer sample, one the farther (jdsample.c)."""
    if plane.shape[-1] <= 2:  # as libjpeg has it
        return plane.repeat(2, axis=-1).repeat(2, axis=-2)
    above, below = _neighbours(plane, -2)
    rows = jnp.stack([3 * plane + above, 3 * plane + below], axis=-2)
    rows = rows.reshape(*plane.shape[:-2], 2 * plane.shape[-2], plane.shape[-1])
    left, right = _neighbours(rows, -1)
    pixels = jnp.stack([3 * rows + left + 8, 3 * rows + right + 7], axis=-1) >> 4
    return pixels.reshape(*rows.shape[:-1], -1)


def _neighbours(plane: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The samples before and after each; the outermost are their own."""
    n = plane.shape[axis]
    index = np.arange(n)
    before, after = np.maximum(index - 1, 0), np.minimum(index + 1, n - 1)
    return plane.take(before, axis), plane.take(after, axis)
