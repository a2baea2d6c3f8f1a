"""Generators: [N, H, W, channels] in [0, 1] -> float32 [N, sH, sW, channels], not clipped.

The last layer computes in float32: a picture rounded to bfloat16 would have steps of a level.

Built only from the pieces of `layers`, which know how rows and columns lie. Every generator has a
field `axis_name`, the mesh axis that batch statistics are averaged over, so that a caller can
`clone(axis_name=...)` any of them, and takes `train`; only those with batch normalisation use them.
"""

from functools import partial
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.layers import (
    BatchNorm,
    Conv,
    PReLU,
    concat,
    crop,
    leaky_relu,
    pad_to_multiple,
    pixel_shuffle,
    pixel_unshuffle,
    relu,
    require_pictures,
    upsample_bilinear,
    upsample_nearest,
)

# scale -> factors of the successive pixel shuffles
SHUFFLES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


class MSRResNet(nn.Module):
    """BasicSR's modified SRResNet: no batch normalisation, and a bilinear base that it corrects."""

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 16
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = tuple(SHUFFLES)

    def __post_init__(self):
        _require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
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
        return y + upsample_bilinear(x.astype(jnp.float32), self.scale)


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x)))."""

    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Array:
        conv = partial(Conv, x.shape[-1], initial="scaled", dtype=self.dtype)
        return x + conv(name="conv2")(relu(conv(name="conv1")(x)))


class SRResNet(nn.Module):
    """The generator of SRGAN (Ledig et al. 2017, figure 4); convolutions before BN have no bias."""

    scale: int
    channels: int = 3
    num_features: int = 64
    num_blocks: int = 16
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = tuple(SHUFFLES)

    def __post_init__(self):
        _require_scale(self.scale, self.scales)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels)
        conv = partial(Conv, dtype=self.dtype)
        first = conv(self.num_features, kernel_size=9, name="conv_first")(x)
        first = y = PReLU(shared=True, name="act_first")(first)
        for i in range(self.num_blocks):
            y = NormedBlock(self.dtype, self.axis_name, name=f"block_{i}")(y, train=train)
        y = conv(self.num_features, use_bias=False, name="conv_body")(y)
        y = first + BatchNorm(self.axis_name, self.dtype, name="bn_body")(y, train=train)
        for i, factor in enumerate(SHUFFLES[self.scale], 1):
            y = conv(self.num_features * factor**2, name=f"upconv{i}")(y)
            y = PReLU(shared=True, name=f"act_up{i}")(pixel_shuffle(y, factor))
        last = Conv(self.channels, kernel_size=9, name="conv_last")
        return last(y.astype(jnp.float32))


class NormedBlock(nn.Module):
    """x + BN(conv(PReLU(BN(conv(x)))))."""

    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        conv = partial(Conv, x.shape[-1], use_bias=False, dtype=self.dtype)
        norm = partial(BatchNorm, self.axis_name, self.dtype)
        y = norm(name="bn1")(conv(name="conv1")(x), train=train)
        y = PReLU(shared=True, name="act")(y)
        return x + norm(name="bn2")(conv(name="conv2")(y), train=train)


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
        _require_scale(self.scale, self.scales)
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


class SRVGGNetCompact(nn.Module):
    """Real-ESRGAN's small network: plain convolutions, one shuffle, a nearest-neighbour base."""

    scale: int
    channels: int = 3
    num_features: int = 64
    num_convs: int = 16
    activation: Literal["prelu", "relu", "lrelu"] = "prelu"
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 8)

    def __post_init__(self):
        _require_scale(self.scale, self.scales)
        if self.activation not in ("prelu", "relu", "lrelu"):
            raise ValueError(f"got activation {self.activation!r}, wanted prelu, relu or lrelu")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        del train
        require_pictures(x, self.channels)
        conv = partial(Conv, dtype=self.dtype)
        y = self._activate(conv(self.num_features, name="conv_first")(x), "act_first")
        for i in range(self.num_convs):
            y = self._activate(conv(self.num_features, name=f"conv_{i}")(y), f"act_{i}")
        y = Conv(self.channels * self.scale**2, name="conv_last")(y.astype(jnp.float32))
        return pixel_shuffle(y, self.scale) + upsample_nearest(x.astype(jnp.float32), self.scale)

    def _activate(self, x: Array, name: str) -> Array:
        if self.activation == "prelu":
            return PReLU(name=name)(x)
        return relu(x) if self.activation == "relu" else leaky_relu(x, 0.1)


def _require_scale(scale: int, scales: tuple[int, ...]) -> None:
    if scale not in scales:
        listed = ", ".join(map(str, scales))
        raise ValueError(f"got scale {scale}, wanted one of {listed} for this generator")


GENERATORS = {
    "msrresnet": MSRResNet,
    "srresnet": SRResNet,
    "rrdbnet": RRDBNet,
    "compact": SRVGGNetCompact,
}
