"""Networks that enlarge by transposed convolutions: EncDecNet pictures, DCGANGenerator noise."""

from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.layers import (
    Conv,
    ConvTranspose,
    Dense,
    crop,
    pad_to_multiple,
    relu,
    require_pictures,
    require_scale,
)
from jaxsr.networks.norms import BatchNorm
from jaxsr.networks.resample import MaxPool, UpsampleBilinear
from jaxsr.networks.rows import Add, Map


class EncDecNet(nn.Module):
    """Convolutions and `num_pools` poolings, then transposed convolutions past the input's size.

    The encoder doubles its features at every pooling, the decoder halves them. The result corrects
    the bilinearly enlarged input: what the poolings lose has no other way round.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    num_pools: int = 2
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 4, 8)

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        super().__post_init__()

    @property
    def multiple(self) -> int:
        """What the poolings divide by."""
        return 2**self.num_pools

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        height, width = x.shape[1:3]
        # Through so many layers without a skip, PyTorch's smaller kernels start with no signal.
        conv = partial(Conv, initial="he", dtype=self.dtype)
        deconv = partial(ConvTranspose, initial="he", dtype=self.dtype)
        # Any size: the picture is reflected at the bottom and the right to what the poolings
        # divide, and what grows out of the reflection, the base too, is cropped away.
        x = y = pad_to_multiple(x, self.multiple)
        for i in range(self.num_pools):
            features = 2**i * self.num_features
            y = MaxPool()(relu(conv(features, name=f"conv{i + 1}")(y)))
        doublings = self.num_pools + self.scales.index(self.scale)
        for i in range(doublings - 1):
            features = max(1, 2 ** (self.num_pools - 1) * self.num_features // 2**i)
            y = relu(deconv(features, name=f"deconv{i + 1}")(y))
        last = ConvTranspose(self.channels, initial="scaled", name="deconv_last")
        y = last(y.astype(jnp.float32))
        y = Add()(y, UpsampleBilinear(self.scale)(x.astype(jnp.float32)))
        return crop(y, height * self.scale, width * self.scale)


class DCGANGenerator(nn.Module):
    """Noise to pictures (Radford et al. 2016): float [N, latent] -> [N, size, size, channels].

    `size` is a power of two from 8 up, `num_features` the width before the last layer; every layer
    below it is twice as wide. The picture is (tanh + 1) / 2.
    """

    channels: int = 3
    size: int = 64
    latent: int = 100
    num_features: int = 64
    dtype: Any = jnp.float32
    axis_name: str | None = None

    # It enlarges no picture; for whoever asks every generator.
    scale: ClassVar[int] = 1
    scales: ClassVar[tuple[int, ...]] = (1,)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        if self.size < 8 or self.size & (self.size - 1):
            raise ValueError(f"got size {self.size}, wanted a power of two from 8 up")
        super().__post_init__()

    @nn.compact
    def __call__(self, z: Array, *, train: bool = False) -> Array:
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(
                f"got an array of shape {z.shape}, wanted noise [N, {self.latent}]: this generator"
                " takes no pictures"
            )
        doublings = self.size.bit_length() - 3
        first, *others = (2**i * self.num_features for i in reversed(range(doublings)))
        norm = partial(BatchNorm, self.axis_name, self.dtype)
        dense = Dense(4 * 4 * first, self.dtype, use_bias=False, initial="dcgan", name="linear")
        y = relu(norm(name="bn0")(dense(z).reshape(-1, 4, 4, first), train=train))
        deconv = partial(ConvTranspose, use_bias=False, initial="dcgan", dtype=self.dtype)
        for i, features in enumerate(others, 1):
            y = relu(norm(name=f"bn{i}")(deconv(features, name=f"deconv{i}")(y), train=train))
        y = ConvTranspose(self.channels, initial="dcgan", name="deconv_last")(y.astype(jnp.float32))
        return (jnp.tanh(y) + 1) / 2
