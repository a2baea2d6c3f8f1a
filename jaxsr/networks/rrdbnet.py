"""The residual-in-residual dense network of ESRGAN and Real-ESRGAN."""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxsr.networks.layers import (
    Conv,
    crop,
    leaky_relu,
    pad_to_multiple,
    require_pictures,
    require_scale,
)
from jaxsr.networks.resample import pixel_unshuffle, upsample_nearest
from jaxsr.networks.rows import Add, Align, Map, concat

# Real-ESRGAN's, by the scale
UNSHUFFLE = {1: 4, 2: 2, 4: 1, 8: 1}


class RRDBNet(nn.Module):
    """ESRGAN's residual-in-residual dense network (Wang et al. 2018), with Real-ESRGAN's x1 and x2.

    Those two work on the picture pixel-unshuffled by 4 and 2, unless `unshuffle` says otherwise:
    by 1 it is as it is. Sides that the unshuffling does not divide are extended by reflection, and
    the output is cropped. `plus` adds the paths of ESRGAN+ (Rakotonirina and Rasoanaivo 2020)
    within the dense blocks, without its noise.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 23
    growth: int = 32
    unshuffle: int | None = None
    plus: bool = False
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        wanted = [factor for factor in (1, 2, 4) if self.scale * factor <= max(self.scales)]
        if self.multiple not in wanted:
            raise ValueError(
                f"got unshuffle {self.unshuffle}, wanted {' or '.join(map(str, wanted))} for"
                f" scale {self.scale}"
            )
        if self.unshuffle == UNSHUFFLE[self.scale]:
            self.unshuffle = None  # equal networks are equal
        super().__post_init__()

    @property
    def multiple(self) -> int:
        """What the picture is unshuffled by."""
        return UNSHUFFLE[self.scale] if self.unshuffle is None else self.unshuffle

    @property
    def num_ups(self) -> int:
        """How often the size is doubled."""
        return (self.scale * self.multiple).bit_length() - 1

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        height, width = x.shape[1:3]
        conv = partial(Conv, self.num_features, dtype=self.dtype)
        y = pixel_unshuffle(pad_to_multiple(x, self.multiple), self.multiple)
        first = y = conv(name="conv_first")(y)
        for i in range(self.num_blocks):
            y = RRDB(self.growth, self.plus, self.dtype, name=f"block_{i}")(y)
        y = Add()(first, conv(name="conv_body")(y))
        for i in range(1, 1 + self.num_ups):
            y = leaky_relu(conv(name=f"conv_up{i}")(upsample_nearest(y, 2)), 0.2)
        y = leaky_relu(conv(name="conv_hr")(y), 0.2)
        y = Conv(self.channels, name="conv_last")(y.astype(jnp.float32))
        return crop(y, height * self.scale, width * self.scale)


class RRDB(nn.Module):
    """Three dense blocks within a scaled residual."""

    growth: int
    plus: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Map) -> Map:
        y = x
        for i in (1, 2, 3):
            y = DenseBlock(self.growth, self.plus, self.dtype, name=f"rdb{i}")(y)
        return Add()(0.2 * y, x)


class DenseBlock(nn.Module):
    """Five convolutions, each fed with all maps before it, within a scaled residual.

    With `plus` the second map is added to the fourth, and what a 1x1 convolution makes of the
    block's input to the second.
    """

    growth: int
    plus: bool
    dtype: Any

    @nn.compact
    def __call__(self, x: Map) -> Map:
        conv = partial(Conv, initial="scaled", dtype=self.dtype)
        maps = [x]
        for i in (1, 2, 3, 4):
            y = leaky_relu(conv(self.growth, name=f"conv{i}")(concat(maps)), 0.2)
            maps = Align()(*maps, y)
            if self.plus and i == 2:
                skip = conv(self.growth, 1, use_bias=False, name="conv1x1")(maps[0])
                maps[2] = Add()(maps[2], skip)
            elif self.plus and i == 4:
                maps[4] = Add()(maps[4], maps[2])
        y = conv(x.shape[-1], name="conv5")(concat(maps))
        return Add()(0.2 * y, maps[0])  # which is x, and has waited already
