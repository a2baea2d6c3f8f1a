"""The layers that every network here is built from: pictures and feature maps are [N, H, W, C].

Conventions are PyTorch's, since that is where published weights come from: zero padding on both
sides, pixel shuffle with the channel outermost. Kernels are HWIO. Parameters are float32; `dtype`
is what the layer computes in.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def uniform_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """PyTorch's default for kernels and biases: uniform in +-1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def he_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Kaiming normal (He et al. 2015, equation 10): signals keep their size through ReLUs."""
    return (2.0 / fan_in) ** 0.5 * jax.random.normal(key, shape, jnp.float32)


def scaled_normal_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """ESRGAN's kernels: Kaiming normal, a tenth as large, so that residual branches start small."""
    return 0.1 * he_init(key, shape, fan_in)


def dcgan_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """DCGAN's kernels (Radford et al. 2016, section 3): normal, of standard deviation 0.02."""
    del fan_in
    return 0.02 * jax.random.normal(key, shape, jnp.float32)


def zeros_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Zeros, for biases."""
    del key, fan_in
    return jnp.zeros(shape, jnp.float32)


# name -> (kernel, bias)
INITS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "torch": (uniform_init, uniform_init),
    "he": (he_init, zeros_init),
    "scaled": (scaled_normal_init, zeros_init),
    "dcgan": (dcgan_init, zeros_init),
}


def convolve(x: Array, kernel: Array, *, stride: int = 1, dtype: Any = jnp.float32) -> Array:
    """Convolve `x` with an HWIO `kernel`, (k - 1) // 2 zeros on every side, in `dtype`."""
    pads = [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]
    return jax.lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        window_strides=(stride, stride),
        padding=pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def per_channel(vector: Array, x: Array) -> Array:
    """Reshape [C] so that it meets the last axis of `x` without implicit rank promotion."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class Conv(nn.Module):
    """A convolution whose padding keeps the size (k odd) or halves it (k 4, stride 2).

    With k 4 and stride 1 it takes one off.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    initial: str = "torch"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel_init, bias_init = INITS[self.initial]
        fan_in = self.kernel_size**2 * x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_init, shape, fan_in)
        y = convolve(x, kernel, stride=self.stride, dtype=self.dtype)
        if self.use_bias:
            y = y + per_channel(self.param("bias", bias_init, (self.features,), fan_in), y)
        return y


def _convolve_phases(x: Array, kernel: Array) -> Array:
    """Convolve `x`, zeros between its pixels, with a 4x4 kernel: [N, H, W, C] to twice the sides.

    Output rows 2 i + p see every second row of the kernel: four convolutions of 2x2, which the CPU
    does ten times as fast as one with zeros between the pixels.
    """
    n, height, width, _ = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    valid = partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    rows = [
        jnp.stack(
            [
                valid(x[:, p : p + height + 1, q : q + width + 1], kernel[p::2, q::2])
                for q in (0, 1)
            ],
            axis=3,
        )
        for p in (0, 1)
    ]
    return jnp.stack(rows, axis=2).reshape(n, 2 * height, 2 * width, -1)


class ConvTranspose(nn.Module):
    """PyTorch's ConvTranspose2d(in, out, 4, 2, 1): a 4x4 kernel doubles both sides.

    The HWIO kernel is PyTorch's weight w, [in, out, 4, 4], turned half around, so that it lies as
    an ordinary convolution of the input with zeros between its pixels wants it:
    `w.transpose(2, 3, 0, 1)[::-1, ::-1]`.
    """

    features: int
    use_bias: bool = True
    initial: str = "torch"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel_init, bias_init = INITS[self.initial]
        # PyTorch counts all taps and the outputs; an output sees a quarter of the taps.
        fan_in = 4 * 4 * self.features if self.initial == "torch" else 4 * x.shape[-1]
        kernel = self.param("kernel", kernel_init, (4, 4, x.shape[-1], self.features), fan_in)
        y = _convolve_phases(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.use_bias:
            y = y + per_channel(self.param("bias", bias_init, (self.features,), fan_in), y)
        return y


class Dense(nn.Module):
    """A linear layer on [N, C]."""

    features: int
    dtype: Any = jnp.float32
    use_bias: bool = True
    initial: str = "torch"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel_init, bias_init = INITS[self.initial]
        fan_in = x.shape[-1]
        kernel = self.param("kernel", kernel_init, (fan_in, self.features), fan_in)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype)
        if self.use_bias:
            y = y + per_channel(self.param("bias", bias_init, (self.features,), fan_in), y)
        return y


class PReLU(nn.Module):
    """max(x, 0) + slope * min(x, 0), one learnt slope for all channels or one for each."""

    shared: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (1,) if self.shared else x.shape[-1:]
        slope = self.param("slope", nn.initializers.constant(0.25), shape, jnp.float32)
        return jnp.where(x > 0, x, per_channel(slope, x) * x)


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return jax.nn.relu(x)


def leaky_relu(x: Array, slope: float) -> Array:
    """max(x, 0) + slope * min(x, 0)."""
    return jnp.where(x > 0, x, slope * x)


def concat(maps: Sequence[Array]) -> Array:
    """Join feature maps along their channels."""
    return jnp.concatenate(maps, axis=-1)


def pixel_shuffle(x: Array, factor: int) -> Array:
    """[N, H, W, C f^2] -> [N, fH, fW, C]; channel c f^2 + f i + j goes to row i, column j of c."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, channels // factor**2, factor, factor)
    x = x.transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, height * factor, width * factor, channels // factor**2)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """[N, fH, fW, C] -> [N, H, W, C f^2], the inverse of `pixel_shuffle`."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // factor, factor, width // factor, factor, channels)
    x = x.transpose(0, 1, 3, 5, 2, 4)
    return x.reshape(n, height // factor, width // factor, channels * factor**2)


def upsample_nearest(x: Array, factor: int) -> Array:
    """Repeat every pixel `factor` times in both directions."""
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2)


def upsample_bilinear(x: Array, factor: int) -> Array:
    """Bilinear enlargement with half-pixel centres and clamped borders (`align_corners=False`)."""
    return _upsample_linear(_upsample_linear(x, factor, axis=1), factor, axis=2)


def _upsample_linear(x: Array, factor: int, *, axis: int) -> Array:
    size = x.shape[axis]
    first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
    before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    # Output pixel factor * i + p has its centre at i + offset of the input.
    offsets = [(p + 0.5) / factor - 0.5 for p in range(factor)]
    phases = [(1 - abs(t)) * x + abs(t) * (after if t > 0 else before) for t in offsets]
    shape = (*x.shape[:axis], size * factor, *x.shape[axis + 1 :])
    return jnp.stack(phases, axis + 1).reshape(shape)


def max_pool(x: Array) -> Array:
    """The largest of every 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n - n % 2 for n in x.shape[1:3])
    # Not `nn.max_pool`, whose gradient takes the CPU twenty times as long.
    x = jnp.maximum(x[:, 0:height:2], x[:, 1:height:2])
    return jnp.maximum(x[:, :, 0:width:2], x[:, :, 1:width:2])


def adaptive_avg_pool(x: Array, size: int) -> Array:
    """[N, H, W, C] -> [N, size, size, C]: means over equal, where need be overlapping, windows.

    Window i spans floor(i H / size) to ceil((i + 1) H / size), as PyTorch's AdaptiveAvgPool2d; a
    map smaller than `size` is enlarged, one of that size is returned as it is.
    """
    if x.shape[1:3] == (size, size):
        return x
    rows, columns = (jnp.asarray(_window_means(n, size)) for n in x.shape[1:3])
    highest = jax.lax.Precision.HIGHEST
    y = jnp.einsum("ph,qw,nhwc->npqc", rows, columns, x.astype(jnp.float32), precision=highest)
    return y.astype(x.dtype)


def _window_means(length: int, size: int) -> np.ndarray:
    windows = np.zeros((size, length), np.float32)
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        windows[i, start:stop] = 1 / (stop - start)
    return windows


def pad_to_multiple(x: Array, multiple: int) -> Array:
    """Reflect at the bottom and the right until both sides are multiples of `multiple`.

    A side too short for that is reflected to and fro; a single pixel is repeated.
    """
    rows, columns = (-n % multiple for n in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")


def crop(x: Array, height: int, width: int) -> Array:
    """Keep the first `height` rows and `width` columns."""
    return x[:, :height, :width]


def require_pictures(x: Array, channels: int, *, min_size: int = 1, multiple: int = 1) -> None:
    """Raise ValueError unless `x` is [N, H, W, channels] with sides that the network takes."""
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(
            f"got an array of shape {x.shape}, wanted [N, H, W, {channels}]: "
            f"set the network's field `channels` or convert the pictures"
        )
    if any(n < min_size or n % multiple for n in x.shape[1:3]):
        raise ValueError(
            f"got pictures of {x.shape[1]} x {x.shape[2]} pixels, wanted sides of at least"
            f" {min_size} that are multiples of {multiple}: change the crop"
        )


def require_scale(scale: int, scales: tuple[int, ...]) -> None:
    """Raise ValueError unless `scale` is one of `scales`."""
    if scale not in scales:
        listed = ", ".join(map(str, scales))
        raise ValueError(f"got scale {scale}, wanted one of {listed} for this generator")
