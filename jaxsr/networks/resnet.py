"""Residual networks that enlarge by pixel shuffles: MSRResNet, SRResNet, EDSR."""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp

from jaxsr.networks.layers import (
    Conv,
    PReLU,
    leaky_relu,
    per_channel,
    relu,
    require_pictures,
    require_scale,
)
from jaxsr.networks.norms import BatchNorm
from jaxsr.networks.resample import UpsampleBilinear, pixel_shuffle
from jaxsr.networks.rows import Add, Map

# scale -> factors of the successive pixel shuffles
SHUFFLES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}

# of DIV2K's training pictures, RGB in [0, 1]
MEAN = (0.4488, 0.4371, 0.4040)


class MSRResNet(nn.Module):
    """BasicSR's modified SRResNet: no batch normalisation, and a bilinear base that it corrects."""

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 16
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = tuple(SHUFFLES)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        conv = partial(Conv, initial="scaled", dtype=self.dtype)
        y = leaky_relu(conv(self.num_features, name="conv_first")(x), 0.1)
        for i in range(self.num_blocks):
            y = ResidualBlock(self.dtype, name=f"block_{i}")(y)
        for i, factor in enumerate(SHUFFLES[self.scale], 1):
            y = conv(self.num_features * factor**2, name=f"upconv{i}")(y)
            y = leaky_relu(pixel_shuffle(y, factor), 0.1)
        y = leaky_relu(conv(self.num_features, name="conv_hr")(y), 0.1)
        y = conv(self.channels, dtype=jnp.float32, name="conv_last")(y.astype(jnp.float32))
        return Add()(y, UpsampleBilinear(self.scale)(x.astype(jnp.float32)))


class SRResNet(nn.Module):
    """The generator of SRGAN (Ledig et al. 2017, figure 4); convolutions before BN have no bias."""

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 16
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = tuple(SHUFFLES)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        require_pictures(x, self.channels)
        conv = partial(Conv, dtype=self.dtype)
        first = conv(self.num_features, kernel_size=9, name="conv_first")(x)
        first = y = PReLU(shared=True, name="act_first")(first)
        for i in range(self.num_blocks):
            y = NormedBlock(self.dtype, self.axis_name, name=f"block_{i}")(y, train=train)
        y = conv(self.num_features, use_bias=False, name="conv_body")(y)
        y = BatchNorm(self.axis_name, self.dtype, name="bn_body")(y, train=train)
        y = Add()(first, y)
        for i, factor in enumerate(SHUFFLES[self.scale], 1):
            y = conv(self.num_features * factor**2, name=f"upconv{i}")(y)
            y = PReLU(shared=True, name=f"act_up{i}")(pixel_shuffle(y, factor))
        last = Conv(self.channels, kernel_size=9, name="conv_last")
        return last(y.astype(jnp.float32))


class EDSR(nn.Module):
    """EDSR (Lim et al. 2017); 16 blocks of 64 are its baseline, 32 of 256 with res_scale 0.1 EDSR.

    It works on [0, 255] less the mean of DIV2K's pictures, as the published weights want it; for
    other channels than RGB that is the mean of the three.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 16
    res_scale: float = 1.0
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = tuple(SHUFFLES)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        if not 0 < self.res_scale <= 1:
            raise ValueError(f"got res_scale {self.res_scale}, wanted above 0 and at most 1")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        x = x.astype(jnp.float32)
        mean = MEAN if self.channels == 3 else (sum(MEAN) / 3,) * self.channels
        mean = per_channel(jnp.array(mean), x)
        conv = partial(Conv, dtype=self.dtype)
        first = y = conv(self.num_features, name="conv_first")(255 * (x - mean))
        for i in range(self.num_blocks):
            y = ResidualBlock(self.dtype, "torch", self.res_scale, name=f"block_{i}")(y)
        y = Add()(first, conv(self.num_features, name="conv_body")(y))
        for i, factor in enumerate(SHUFFLES[self.scale], 1):
            y = pixel_shuffle(conv(self.num_features * factor**2, name=f"upconv{i}")(y), factor)
        return Conv(self.channels, name="conv_last")(y.astype(jnp.float32)) / 255 + mean


class ResidualBlock(nn.Module):
    """x + res_scale * conv(relu(conv(x)))."""

    dtype: Any
    initial: str = "scaled"
    res_scale: float = 1.0

    @nn.compact
    def __call__(self, x: Map) -> Map:
        conv = partial(Conv, x.shape[-1], initial=self.initial, dtype=self.dtype)
        y = conv(name="conv2")(relu(conv(name="conv1")(x)))
        return Add()(x, self.res_scale * y)


class NormedBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x)))))."""

    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Map, *, train: bool) -> Map:
        conv = partial(Conv, x.shape[-1], use_bias=False, dtype=self.dtype)
        norm = partial(BatchNorm, self.axis_name, self.dtype)
        y = norm(name="bn1")(conv(name="conv1")(x), train=train)
        y = PReLU(shared=True, name="act")(y)
        return Add()(x, norm(name="bn2")(conv(name="conv2")(y), train=train))
