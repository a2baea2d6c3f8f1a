"""How generators change the size of a map, an array or `Rows`; the modules keep rows of these."""

import flax.linen as nn
import jax.numpy as jnp

from jaxsr.networks.layers import interpolate, max_pool, upsample_bilinear
from jaxsr.networks.rows import Map, Rows, delayed, enlarged, framed, reduced


def pixel_shuffle(x: Map, factor: int) -> Map:
    """[N, H, W, C f^2] -> [N, fH, fW, C]; channel c f^2 + f i + j goes to row i, column j of c."""
    if isinstance(x, Rows):
        return enlarged(x, pixel_shuffle(x.v, factor), factor)
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, channels // factor**2, factor, factor)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, height * factor, width * factor, channels // factor**2)


def pixel_unshuffle(x: Map, factor: int) -> Map:
    """[N, fH, fW, C] -> [N, H, W, C f^2], the inverse of `pixel_shuffle`."""
    if isinstance(x, Rows):
        return reduced(x, pixel_unshuffle(x.v, factor), factor)
    n, height, width, channels = x.shape
    x = x.reshape(n, height // factor, factor, width // factor, factor, channels)
    x = x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, height // factor, width // factor, channels * factor**2)


def upsample_nearest(x: Map, factor: int) -> Map:
    """Repeat every pixel `factor` times in both directions."""
    if isinstance(x, Rows):
        return enlarged(x, upsample_nearest(x.v, factor), factor)
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2)


class MaxPool(nn.Module):
    """The largest of every 2 x 2 pixels; an odd last row or column is left out."""

    @nn.compact
    def __call__(self, x: Map) -> Map:
        if isinstance(x, Rows):
            x = delayed(self, "rows", x, x.lag % 2)
            return reduced(x, max_pool(x.v), 2)
        return max_pool(x)


class UpsampleBilinear(nn.Module):
    """Bilinear enlargement with half-pixel centres, clamped at the borders of the picture."""

    factor: int

    @nn.compact
    def __call__(self, x: Map) -> Map:
        if not isinstance(x, Rows):
            return upsample_bilinear(x, self.factor)
        if self.factor == 1:
            return x
        rows = framed(self, x, 1)
        before, v, after = (rows.v[:, i : i + x.shape[1]] for i in range(3))
        rows = rows.replace(v=v)
        number, height = rows.numbers(1)
        before = jnp.where(number > 0, before, v)
        after = jnp.where(number < height - 1, after, v)
        v = interpolate(v, before, after, self.factor, axis=1)
        number, width = rows.numbers(2)
        before = jnp.concatenate([v[:, :, :1], v[:, :, :-1]], axis=2)
        after = jnp.concatenate([v[:, :, 1:], v[:, :, -1:]], axis=2)
        after = jnp.where(number < width - 1, after, v)
        return enlarged(rows, interpolate(v, before, after, self.factor, axis=2), self.factor)
