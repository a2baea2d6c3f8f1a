"""Plain convolutions at the small size and one pixel shuffle: SRVGGNetCompact, ESPCN."""

from functools import partial
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxsr.networks.layers import (
    Conv,
    PReLU,
    leaky_relu,
    relu,
    require_pictures,
    require_scale,
    tanh,
)
from jaxsr.networks.resample import pixel_shuffle, upsample_nearest
from jaxsr.networks.rows import Add, Map


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
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        if self.activation not in ("prelu", "relu", "lrelu"):
            raise ValueError(f"got activation {self.activation!r}, wanted prelu, relu or lrelu")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        # PyTorch's default, which BasicSR has here, halves in every layer what depends on the
        # picture: behind 16 nothing is left of it, and nothing is learnt.
        first = Conv(self.num_features, initial="he", dtype=self.dtype, name="conv_first")
        conv = partial(Conv, self.num_features, initial="identity", dtype=self.dtype)
        y = self._activate(first(x), "act_first")
        for i in range(self.num_convs):
            y = self._activate(conv(name=f"conv_{i}")(y), f"act_{i}")
        last = Conv(self.channels * self.scale**2, initial="faint", name="conv_last")
        y = last(y.astype(jnp.float32))
        base = upsample_nearest(x.astype(jnp.float32), self.scale)
        return Add()(pixel_shuffle(y, self.scale), base)

    def _activate(self, x: Map, name: str) -> Map:
        if self.activation == "prelu":
            return PReLU(name=name)(x)
        return relu(x) if self.activation == "relu" else leaky_relu(x, 0.1)


class ESPCN(nn.Module):
    """The sub-pixel network of Shi et al. (2016): three convolutions and a shuffle.

    The second convolution has half of `num_features`; `kernels` are the sides of the three, odd.
    """

    scale: int
    channels: int = 3
    num_features: int = 64
    kernels: tuple[int, int, int] = (5, 3, 3)
    activation: Literal["tanh", "relu"] = "tanh"
    dtype: Any = jnp.float32
    axis_name: str | None = None

    scales: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 8)
    multiple: ClassVar[int] = 1

    def __post_init__(self):
        require_scale(self.scale, self.scales)
        if len(self.kernels) != 3 or not all(k % 2 for k in self.kernels):
            raise ValueError(f"got kernels {self.kernels}, wanted three odd numbers")
        if self.activation not in ("tanh", "relu"):
            raise ValueError(f"got activation {self.activation!r}, wanted tanh or relu")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Map, *, train: bool = False) -> Map:
        del train
        require_pictures(x, self.channels)
        activate = tanh if self.activation == "tanh" else relu
        first, second, third = self.kernels
        conv = partial(Conv, dtype=self.dtype)
        y = activate(conv(self.num_features, first, name="conv_first")(x))
        y = activate(conv((self.num_features + 1) // 2, second, name="conv_body")(y))
        last = Conv(self.channels * self.scale**2, third, name="conv_last")
        return pixel_shuffle(last(y.astype(jnp.float32)), self.scale)
