"""Discriminators: [N, H, W, channels] in [0, 1] -> float32 logits, [N, 1] or a map of them.

The last layer computes in float32: logits rounded to bfloat16 would carry 8 bits.

`min_size` is the least side of a picture that each takes, `multiple` what must divide both sides.
"""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.layers import (
    Conv,
    Dense,
    adaptive_avg_pool,
    leaky_relu,
    require_pictures,
    upsample_bilinear,
)
from jaxsr.networks.norms import BatchNorm, SpectralConv


class VGGStyleDiscriminator(nn.Module):
    """BasicSR's discriminator for crops of 128, and by average pooling for any from 32 up."""

    num_features: int = 64
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    min_size: ClassVar[int] = 32
    multiple: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size)
        block = partial(_block, axis_name=self.axis_name, train=train)
        y = block(Conv(self.num_features, dtype=self.dtype, name="conv0_0"), x)
        conv = partial(Conv, use_bias=False, dtype=self.dtype)
        y = block(conv(self.num_features, 4, 2, name="conv0_1"), y)
        for stage, multiplier in enumerate((2, 4, 8, 8), 1):
            features = multiplier * self.num_features
            y = block(conv(features, name=f"conv{stage}_0"), y)
            y = block(conv(features, 4, 2, name=f"conv{stage}_1"), y)
        return _classify(y, size=4, hidden=100, dtype=self.dtype)


class SRGANDiscriminator(nn.Module):
    """The discriminator of SRGAN (Ledig et al. 2017, figure 4), and by pooling for any crop.

    `num_convs` is how many of its eight convolutions there are.
    """

    num_features: int = 64
    num_convs: int = 8
    use_norm: bool = True
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    min_size: ClassVar[int] = 16
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        if not 1 <= self.num_convs <= 8:
            raise ValueError(f"got num_convs {self.num_convs}, wanted 1 to 8")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size)
        y = x
        for i in range(self.num_convs):
            features, stride = 2 ** (i // 2) * self.num_features, 1 + i % 2
            bias = i == 0 or not self.use_norm
            conv = Conv(features, 3, stride, use_bias=bias, dtype=self.dtype, name=f"conv{i}")
            y = _block(conv, y, axis_name=self.axis_name, train=train)
        return _classify(y, size=6, hidden=16 * self.num_features, dtype=self.dtype)


class PatchGAN(nn.Module):
    """The 4x4 convolutions of pix2pix (Isola et al. 2017): a logit for every overlapping patch.

    `num_layers` of them halve the picture; 3 see patches of 70 pixels, 1 of 16.
    """

    num_features: int = 64
    num_layers: int = 3
    use_norm: bool = True
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    multiple: ClassVar[int] = 1

    @property
    def min_size(self) -> int:
        """The last two convolutions take a pixel off each."""
        return 3 * 2**self.num_layers

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size)
        y = x
        for i in range(self.num_layers + 1):
            features, stride = min(2**i, 8) * self.num_features, 2 if i < self.num_layers else 1
            bias = i == 0 or not self.use_norm
            conv = Conv(features, 4, stride, use_bias=bias, dtype=self.dtype, name=f"conv{i}")
            y = _block(conv, y, axis_name=self.axis_name, train=train)
        return Conv(1, 4, name="conv_last")(y.astype(jnp.float32))


class StridedDiscriminator(nn.Module):
    """Convolutions of stride 2, `features` wide, and one linear layer."""

    features: tuple[int, ...] = (64, 128)
    use_norm: bool = False
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    min_size: ClassVar[int] = 1
    multiple: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels)
        y = x
        for i, features in enumerate(self.features):
            bias = not self.use_norm
            conv = Conv(features, 3, 2, use_bias=bias, dtype=self.dtype, name=f"conv{i}")
            y = _block(conv, y, axis_name=self.axis_name, train=train)
        # Pooled, not flattened, so that the parameters serve every crop.
        return Dense(1, name="linear")(y.astype(jnp.float32).mean((1, 2)))


class DCGANDiscriminator(nn.Module):
    """DCGAN's (Radford et al. 2016): `num_layers` halvings down to 4x4, and by pooling any size."""

    num_features: int = 64
    num_layers: int = 4
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    multiple: ClassVar[int] = 1

    @property
    def min_size(self) -> int:
        """The halvings leave at least a pixel."""
        return 2**self.num_layers

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size)
        conv = partial(Conv, kernel_size=4, stride=2, initial="dcgan", dtype=self.dtype)
        y = x
        for i in range(self.num_layers):
            layer = conv(2**i * self.num_features, use_bias=i == 0, name=f"conv{i}")
            y = _block(layer, y, axis_name=self.axis_name, train=train)
        y = _flatten(adaptive_avg_pool(y, 4)).astype(jnp.float32)
        return Dense(1, initial="dcgan", name="linear")(y)


class UNetDiscriminatorSN(nn.Module):
    """Real-ESRGAN's U-Net with spectral normalisation: a logit for every pixel, [N, H, W, 1]."""

    num_features: int = 64
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    min_size: ClassVar[int] = 8
    multiple: ClassVar[int] = 8

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size, multiple=self.multiple)

        def spectral(y: Array, i: int, multiplier: int, *shape: int) -> Array:
            conv = SpectralConv(
                multiplier * self.num_features, *shape, dtype=self.dtype, name=f"conv{i}"
            )
            return leaky_relu(conv(y, train=train), 0.2)

        x0 = leaky_relu(Conv(self.num_features, dtype=self.dtype, name="conv0")(x), 0.2)
        x1 = spectral(x0, 1, 2, 4, 2)
        x2 = spectral(x1, 2, 4, 4, 2)
        y = spectral(x2, 3, 8, 4, 2)
        y = spectral(upsample_bilinear(y, 2), 4, 4) + x2
        y = spectral(upsample_bilinear(y, 2), 5, 2) + x1
        y = spectral(upsample_bilinear(y, 2), 6, 1) + x0
        y = spectral(spectral(y, 7, 1), 8, 1)
        return Conv(1, name="conv9")(y.astype(jnp.float32))


def _block(conv: Conv, x: Array, *, axis_name: str | None, train: bool) -> Array:
    """lrelu(conv(x)), with BN before the activation where `conv` leaves the bias to it.

    The normalisation is named `bn1_0` where the convolution is `conv1_0`.
    """
    y = conv(x)
    if not conv.use_bias:
        assert conv.name is not None
        norm = BatchNorm(axis_name, conv.dtype, name=conv.name.replace("conv", "bn"))
        y = norm(y, train=train)
    return leaky_relu(y, 0.2)


def _classify(x: Array, *, size: int, hidden: int, dtype: Any) -> Array:
    """Pool to size x size, then two linear layers: [N, H, W, C] -> float32 [N, 1]."""
    x = _flatten(adaptive_avg_pool(x, size))
    x = leaky_relu(Dense(hidden, dtype, name="linear1")(x), 0.2)
    return Dense(1, name="linear2")(x.astype(jnp.float32))


def _flatten(x: Array) -> Array:
    # PyTorch flattens [C, H, W]; the same order lets its linear weights serve here unaltered.
    return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


DISCRIMINATORS = {
    "vgg_style": VGGStyleDiscriminator,
    "srgan": SRGANDiscriminator,
    "patch": PatchGAN,
    "strided": StridedDiscriminator,
    "dcgan": DCGANDiscriminator,
    "unet": UNetDiscriminatorSN,
}
