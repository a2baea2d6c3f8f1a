"""Convolutions normalised after their activation: ConcatNet enlarges, RestoreNet keeps the size."""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxsr.networks.layers import (
    Conv,
    leaky_relu,
    require_pictures,
    require_scale,
    tanh,
)
from jaxsr.networks.norms import BatchNorm
from jaxsr.networks.resample import UpsampleBilinear, upsample_nearest
from jaxsr.networks.rows import Add, Align, Map, concat


class ConcatNet(nn.Module):
    """Residual blocks that concatenate, so that every block adds `num_features` channels.

    The last convolution sees the enlarged features of the first and of the last block; with
    `add_input` it corrects the bilinearly enlarged input.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 4
    add_input: bool = True
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 8)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        require_pictures(x, self.channels)
        first = y = Conv(self.num_features, dtype=self.dtype, name="conv_first")(x)
        for i in range(self.num_blocks):
            block = ConcatBlock(self.num_features, self.dtype, self.axis_name, name=f"block_{i}")
            y = block(y, train=train)
        y = upsample_nearest(concat(Align()(first, y)), self.scale).astype(jnp.float32)
        y = Conv(self.channels, name="conv_last")(y)
        if self.add_input:
            y = Add()(y, UpsampleBilinear(self.scale)(x.astype(jnp.float32)))
        return y


class ConcatBlock(nn.Module):
    """[BN(lrelu(conv(BN(lrelu(conv(x)))))), x]: `num_features` channels more than x."""

    num_features: int
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Map, *, train: bool) -> Map:
        conv = partial(Conv, self.num_features, dtype=self.dtype)
        normed = partial(_normed, axis_name=self.axis_name, train=train)
        y = normed(conv(name="conv2"), normed(conv(name="conv1"), x))
        return concat(Align()(y, x))


class RestoreNet(nn.Module):
    """Same-size enhancement: features are extracted, enhanced, and made a picture again.

    `num_convs` is the number of convolutions that enhance. The picture is (tanh + 1) / 2.
    """

    scale: int = 1
    channels: int = 3
    num_features: int = 64
    num_convs: int = 1
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1,)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        require_pictures(x, self.channels)
        conv = partial(Conv, dtype=self.dtype)
        normed = partial(_normed, axis_name=self.axis_name, train=train)
        y = normed(conv(self.num_features, name="conv_extract"), x)
        for i in range(self.num_convs):
            y = normed(conv(self.num_features, name=f"conv_enhance_{i}"), y)
        y = normed(conv((self.num_features + 1) // 2, name="conv_restore"), y)
        y = Conv(self.channels, name="conv_last")(y.astype(jnp.float32))
        return (tanh(y) + 1) / 2


def _normed(conv: Conv, x: Map, *, axis_name: str | None, train: bool) -> Map:
    """BN(lrelu(conv(x))), the normalisation named `bn1` where the convolution is `conv1`."""
    assert conv.name is not None
    norm = BatchNorm(axis_name, conv.dtype, name=conv.name.replace("conv", "bn"))
    return norm(leaky_relu(conv(x), 0.2), train=train)
