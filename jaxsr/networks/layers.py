"""The layers that every network here is built from: pictures and feature maps are [N, H, W, C].

Those of generators take arrays and `Rows` alike.

Conventions are PyTorch's, since that is where published weights come from: zero padding on both
sides, pixel shuffle with the channel outermost. Kernels are HWIO. Parameters are float32; `dtype`
is what the layer computes in.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxsr.networks.inits import INITS
from jaxsr.networks.rows import Map, Rows, carry, enlarged, framed, pointwise


def convolve(
    x: Array,
    kernel: Array,
    *,
    stride: int = 1,
    padding: int | None = None,
    pad_rows: bool = True,
    dtype: Any = jnp.float32,
) -> Array:
    """Convolve `x` with an HWIO `kernel` in `dtype`, `padding` zeros on every side.

    They are (k - 1) // 2 where None; without `pad_rows` there are none above and below.
    """
    sides = ((k - 1) // 2 if padding is None else padding for k in kernel.shape[:2])
    pads = [(side, side) for side in sides]
    if not pad_rows:
        pads[0] = (0, 0)
    return jax.lax.conv_general_dilated(
        x.astype(dtype),
        kernel.astype(dtype),
        window_strides=(stride, stride),
        padding=pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def per_channel(vector: Array, x: Array | Rows) -> Array:
    """Reshape [C] so that it meets the last axis of `x` without implicit rank promotion."""
    return vector.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class Conv(nn.Module):
    """A convolution whose padding keeps the size (k odd) or halves it (k 4, stride 2).

    With k 4 and stride 1 it takes one off. Rows need one that keeps the size.
    """

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    initial: str = "torch"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Map) -> Map:
        kernel_init, bias_init = INITS[self.initial]
        fan_in = self.kernel_size**2 * x.shape[-1]
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", kernel_init, shape, fan_in)
        if isinstance(x, Rows):
            y = self._convolve_rows(x, kernel)
        else:
            y = convolve(x, kernel, stride=self.stride, dtype=self.dtype)
        if self.use_bias:
            y = y + per_channel(self.param("bias", bias_init, (self.features,), fan_in), y)
        return y

    def _convolve_rows(self, rows: Rows, kernel: Array) -> Rows:
        assert self.kernel_size % 2 and self.stride == 1, "only such a one keeps the size"
        rows = framed(self, rows.astype(self.dtype).masked(), self.kernel_size // 2)
        return rows.replace(v=convolve(rows.v, kernel, pad_rows=False, dtype=self.dtype))


def _convolve_phases(x: Array, kernel: Array) -> Array:
    """Convolve `x`, zeros between its pixels, with a 4x4 kernel: [N, H, W, C] to twice the sides.

    Output rows 2 i + p see every second row of the kernel: four convolutions of 2x2, which the CPU
    does ten times as fast as one with zeros between the pixels.
    """
    height = x.shape[1]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return _interleave([_double_columns(x[:, p : p + height + 1], kernel[p::2]) for p in (0, 1)])


def _double_columns(x: Array, kernel: Array) -> Array:
    """Two rows of a 4x4 kernel: [N, h + 1, W + 2, C] to [N, h, 2 W, C]."""
    width = x.shape[2] - 2
    valid = partial(
        jax.lax.conv_general_dilated,
        window_strides=(1, 1),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    phases = [valid(x[:, :, q : q + width + 1], kernel[:, q::2]) for q in (0, 1)]
    n, height, _, channels = phases[0].shape
    return jnp.stack(phases, axis=3).reshape(n, height, 2 * width, channels)


def _interleave(phases: Sequence[Array]) -> Array:
    """Every second row from either phase."""
    n, height, *rest = phases[0].shape
    return jnp.stack(phases, axis=2).reshape(n, 2 * height, *rest)


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
    def __call__(self, x: Map) -> Map:
        kernel_init, bias_init = INITS[self.initial]
        # PyTorch counts all taps and the outputs; an output sees a quarter of the taps.
        fan_in = 4 * 4 * self.features if self.initial == "torch" else 4 * x.shape[-1]
        kernel = self.param("kernel", kernel_init, (4, 4, x.shape[-1], self.features), fan_in)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if isinstance(x, Rows):
            y = self._convolve_rows(x.masked(), kernel)
        else:
            y = _convolve_phases(x, kernel)
        if self.use_bias:
            y = y + per_channel(self.param("bias", bias_init, (self.features,), fan_in), y)
        return y

    def _convolve_rows(self, rows: Rows, kernel: Array) -> Rows:
        if not rows.carried:
            return enlarged(rows, _convolve_phases(rows.v, kernel), 2)
        # Rows i - 1 and i make row 2 i, but row 2 i - 1 too: they begin with that.
        v = jnp.pad(carry(self, "rows", rows.v, 1), ((0, 0), (0, 0), (1, 1), (0, 0)))
        v = _interleave([_double_columns(v, kernel[p::2]) for p in (1, 0)])
        return enlarged(rows, v, 2).behind(1)


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
    def __call__(self, x: Map) -> Map:
        shape = (1,) if self.shared else x.shape[-1:]
        slope = self.param("slope", nn.initializers.constant(0.25), shape, jnp.float32)
        return pointwise(lambda x: jnp.where(x > 0, x, per_channel(slope, x) * x), x)


def relu(x: Map) -> Map:
    """max(x, 0)."""
    return pointwise(jax.nn.relu, x)


def leaky_relu(x: Map, slope: float) -> Map:
    """max(x, 0) + slope * min(x, 0)."""
    return pointwise(lambda x: jnp.where(x > 0, x, slope * x), x)


def tanh(x: Map) -> Map:
    """The hyperbolic tangent."""
    return pointwise(jnp.tanh, x)


def upsample_bilinear(x: Array, factor: int) -> Array:
    """Bilinear enlargement with half-pixel centres and clamped borders (`align_corners=False`)."""
    return _upsample_linear(_upsample_linear(x, factor, axis=1), factor, axis=2)


def _upsample_linear(x: Array, factor: int, *, axis: int) -> Array:
    size = x.shape[axis]
    first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
    before = jnp.concatenate([first, jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)
    after = jnp.concatenate([jax.lax.slice_in_dim(x, 1, size, axis=axis), last], axis)
    return interpolate(x, before, after, factor, axis=axis)


def interpolate(x: Array, before: Array, after: Array, factor: int, *, axis: int) -> Array:
    """Enlarge `x` along `axis`, whose neighbours are `before` and `after`, linearly."""
    # Output pixel factor * i + p has its centre at i + offset of the input.
    offsets = [(p + 0.5) / factor - 0.5 for p in range(factor)]
    phases = [(1 - abs(t)) * x + abs(t) * (after if t > 0 else before) for t in offsets]
    shape = (*x.shape[:axis], x.shape[axis] * factor, *x.shape[axis + 1 :])
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


def pad_to_multiple(x: Map, multiple: int) -> Map:
    """Reflect at the bottom and the right until both sides are multiples of `multiple`.

    A side too short for that is reflected to and fro; a single pixel is repeated. Rows must come
    as multiples, for they do not know where their picture ends; ValueError otherwise.
    """
    rows, columns = (-n % multiple for n in x.shape[1:3])
    if isinstance(x, Rows):
        if rows or columns:
            raise ValueError(
                f"got Rows of {x.shape[1]} x {x.shape[2]} pixels, wanted multiples of {multiple}:"
                " pad the picture first"
            )
        return x
    return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")


def crop(x: Map, height: int, width: int) -> Map:
    """Keep the first `height` rows and `width` columns; Rows, which were not padded, keep all."""
    return x if isinstance(x, Rows) else x[:, :height, :width]


def require_pictures(
    x: Array | Rows, channels: int, *, min_size: int = 1, multiple: int = 1
) -> None:
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
