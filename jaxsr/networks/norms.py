"""Batch and spectral normalisation, with PyTorch's conventions; statistics are float32.

`dtype` is what the rest computes in.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from jaxsr.networks.inits import uniform_init
from jaxsr.networks.layers import convolve, per_channel
from jaxsr.networks.rows import Map, Rows


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
    def __call__(self, x: Map, *, train: bool) -> Map:
        shape = x.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, shape, jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        x = x.astype(jnp.float32)
        if train and not self.is_initializing():
            assert not isinstance(x, Rows), "the statistics are those of whole pictures"
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
