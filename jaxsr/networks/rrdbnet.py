"""The residual-in-residual dense network of ESRGAN and Real-ESRGAN."""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.layers import (
    Conv,
    concat,
    crop,
    leaky_relu,
    pad_to_multiple,
    pixel_unshuffle,
    require_pictures,
    require_scale,
    upsample_nearest,
)


class RRDBNet(nn.Module):
    """ESRGAN's residual-in-residual dense network (Wang et al. 2018), with Real-ESRGAN's x1 and x2.

    Those two work on the pixel-unshuffled picture; sides that the unshuffling does not divide are
    extended by reflection, and the output is cropped.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 23
    growth: int = 32
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        del train
        require_pictures(x, self.channels)
        height, width = x.shape[1:3]
        unshuffle = {1: 4, 2: 2, 4: 1, 8: 1}[self.scale]
        conv = partial(Conv, self.num_features, dtype=self.dtype)
        first = y = conv(name="conv_first")(
            pixel_unshuffle(pad_to_multiple(x, unshuffle), unshuffle)
        )
        for i in range(self.num_blocks):
            y = RRDB(self.growth, self.dtype, name=f"block_{i}")(y)
        y = first + conv(name="conv_body")(y)
        for i in range(1, 4 if self.scale == 8 else 3):
            y = leaky_relu(conv(name=f"conv_up{i}")(upsample_nearest(y, 2)), 0.2)
        y = leaky_relu(conv(name="conv_hr")(y), 0.2)
        y = Conv(self.channels, name="conv_last")(y.astype(jnp.float32))
        return crop(y, height * self.scale, width * self.scale)


class RRDB(nn.Module):
    """Three dense blocks within a scaled residual."""

    growth: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = x
        for i in (1, 2, 3):
            y = DenseBlock(self.growth, self.dtype, name=f"rdb{i}")(y)
        return 0.2 * y + x


class DenseBlock(nn.Module):
    """Five convolutions, each fed with all maps before it, within a scaled residual."""

    growth: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        conv = partial(Conv, initial="scaled", dtype=self.dtype)
        maps = [x]
        for i in (1, 2, 3, 4):
            maps.append(leaky_relu(conv(self.growth, name=f"conv{i}")(concat(maps)), 0.2))
        return 0.2 * conv(x.shape[-1], name="conv5")(concat(maps)) + x
