"""The layers that every network here is built from: pictures and feature maps are [N, H, W, C].

Conventions are PyTorch's, since that is where published weights come from: zero padding on both
sides, pixel shuffle with the channel outermost, unbiased running variances. Kernels are HWIO.
Parameters and statistics are float32; `dtype` is what the layer computes in.
"""

from collections.abc import Callable, Sequence
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


def scaled_normal_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """ESRGAN's kernels: Kaiming normal, a tenth as large, so that residual branches start small."""
    return 0.1 * (2.0 / fan_in) ** 0.5 * jax.random.normal(key, shape, jnp.float32)


def zeros_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Zeros, for biases."""
    del key, fan_in
    return jnp.zeros(shape, jnp.float32)


# name -> (kernel, bias)
INITS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "torch": (uniform_init, uniform_init),
    "scaled": (scaled_normal_init, zeros_init),
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
    """A convolution whose padding keeps the size (k odd) or halves it (k 4, stride 2)."""

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


class Dense(nn.Module):
    """A linear layer on [N, C] with PyTorch's default initialisation."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        fan_in = x.shape[-1]
        kernel = self.param("kernel", uniform_init, (fan_in, self.features), fan_in)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype)
        return y + per_channel(self.param("bias", uniform_init, (self.features,), fan_in), y)


class SpectralConv(nn.Module):
    """A convolution without bias, its kernel divided by its largest singular value.

    As `torch.nn.utils.spectral_norm`: each call with `train` makes one power iteration and
    keeps it; sigma = u^T W v with u and v constant (Miyato et al. 2018, algorithm 1). W is the
    kernel laid out as PyTorch does, [out, in * k * k], so that its `weight_u` and `weight_v` serve
    as `u` and `v`.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        fan_in = self.kernel_size**2 * x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", uniform_init, shape, fan_in)
        matrix = kernel.transpose(3, 2, 0, 1).reshape(self.features, fan_in)
        constant = jax.lax.stop_gradient(matrix)
        u = self.variable("batch_stats", "u", lambda: _warm(constant, self.make_rng("params")))
        v = self.variable("batch_stats", "v", lambda: _unit(_matmul(u.value, constant)))
        if train and not self.is_initializing():
            u.value, v.value = power_iteration(constant, u.value)
        sigma = _matmul(_matmul(u.value, matrix), v.value)
        return convolve(x, kernel / sigma, stride=self.stride, dtype=self.dtype)


def power_iteration(matrix: Array, u: Array) -> tuple[Array, Array]:
    """Return the next estimates (u, v) of the leading singular vectors of `matrix`."""
    v = _unit(_matmul(u, matrix))
    return _unit(_matmul(matrix, v)), v


def _warm(matrix: Array, key: Array) -> Array:
    # A cold u understates sigma, and the first steps would see kernels far above norm one.
    u = _unit(jax.random.normal(key, matrix.shape[:1], jnp.float32))
    return jax.lax.fori_loop(0, 15, lambda _, u: power_iteration(matrix, u)[0], u)


def _matmul(a: Array, b: Array) -> Array:
    # Accelerators round matmul operands to bf16 or TF32 by default, which sigma would inherit.
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


class BatchNorm(nn.Module):
    """Batch normalisation with PyTorch's defaults, over `axis_name` too where it is given.

    Running statistics move by a tenth each step; the running variance is the unbiased one, while
    the batch is normalised by the biased one.
    """

    axis_name: str | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        x = x.astype(jnp.float32)
        if train and not self.is_initializing():
            mean, var, count = _moments(x, self.axis_name)
            unbiased = var * (count / max(count - 1, 1))
            running_mean.value = 0.9 * running_mean.value + 0.1 * mean
            running_var.value = 0.9 * running_var.value + 0.1 * unbiased
        else:
            mean, var = running_mean.value, running_var.value
        factor = scale * jax.lax.rsqrt(var + 1e-5)
        y = (x - per_channel(mean, x)) * per_channel(factor, x) + per_channel(bias, x)
        return y.astype(self.dtype)


def _moments(x: Array, axis_name: str | None) -> tuple[Array, Array, int]:
    """Mean, biased variance and number of values per channel, over all devices of `axis_name`."""
    count = x.size // x.shape[-1]
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    if axis_name is not None:
        count *= jax.lax.psum(1, axis_name)
        mean = jax.lax.pmean(mean, axis_name)
    # Two passes: E[x^2] - E[x]^2 cancels where the mean is large.
    var = jnp.square(x - per_channel(mean, x)).mean(axes)
    if axis_name is not None:
        var = jax.lax.pmean(var, axis_name)
    return mean, var, count


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
    """Reflect at the bottom and the right until both sides are multiples of `multiple`."""
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
