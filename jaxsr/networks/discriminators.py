"""Discriminators: [N, H, W, channels] in [0, 1] -> float32 logits, [N, 1] or one for each pixel.

The last layer computes in float32: logits rounded to bfloat16 would carry 8 bits.

`min_size` is the least side of a picture that each takes, `multiple` what must divide both sides.
"""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    SpectralConv,
    adaptive_avg_pool,
    leaky_relu,
    require_pictures,
    upsample_bilinear,
)


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
        y = leaky_relu(Conv(self.num_features, dtype=self.dtype, name="conv0_0")(x), 0.2)
        normed = partial(_normed_conv, axis_name=self.axis_name, train=train)
        conv = partial(Conv, use_bias=False, dtype=self.dtype)
        y = normed(conv(self.num_features, 4, 2, name="conv0_1"), y)
        for stage, multiplier in enumerate((2, 4, 8, 8), 1):
            features = multiplier * self.num_features
            y = normed(conv(features, name=f"conv{stage}_0"), y)
            y = normed(conv(features, 4, 2, name=f"conv{stage}_1"), y)
        return _classify(y, size=4, hidden=100, dtype=self.dtype)


class SRGANDiscriminator(nn.Module):
    """The discriminator of SRGAN (Ledig et al. 2017, figure 4), and by pooling for any crop."""

    num_features: int = 64
    channels: int = 3
    dtype: Any = jnp.float32
    axis_name: str | None = None

    min_size: ClassVar[int] = 16
    multiple: ClassVar[int] = 1

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        require_pictures(x, self.channels, min_size=self.min_size)
        y = leaky_relu(Conv(self.num_features, dtype=self.dtype, name="conv0")(x), 0.2)
        for i, (multiplier, stride) in enumerate(
            ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)), 1
        ):
            features = multiplier * self.num_features
            conv = Conv(features, 3, stride, use_bias=False, dtype=self.dtype, name=f"conv{i}")
            y = _normed_conv(conv, y, axis_name=self.axis_name, train=train)
        return _classify(y, size=6, hidden=16 * self.num_features, dtype=self.dtype)


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


def _normed_conv(conv: Conv, x: Array, *, axis_name: str | None, train: bool) -> Array:
    """lrelu(BN(conv(x))), the normalisation named `bn1_0` where the convolution is `conv1_0`."""
    assert conv.name is not None
    norm = BatchNorm(axis_name, conv.dtype, name=conv.name.replace("conv", "bn"))
    return leaky_relu(norm(conv(x), train=train), 0.2)


def _classify(x: Array, *, size: int, hidden: int, dtype: Any) -> Array:
    """Pool to size x size, then two linear layers: [N, H, W, C] -> float32 [N, 1]."""
    x = adaptive_avg_pool(x, size)
    # PyTorch flattens [C, H, W]; the same order lets its linear weights serve here unaltered.
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    x = leaky_relu(Dense(hidden, dtype, name="linear1")(x), 0.2)
    return Dense(1, jnp.float32, name="linear2")(x.astype(jnp.float32))


DISCRIMINATORS = {
    "vgg_style": VGGStyleDiscriminator,
    "srgan": SRGANDiscriminator,
    "unet": UNetDiscriminatorSN,
}
