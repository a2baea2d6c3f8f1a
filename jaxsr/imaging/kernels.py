"""Blur kernels made on the device: each odd `size`, 0 beyond it, the sum 1.

A kernel lies in the middle of a square of static side; all else may be traced. The kinds are those
of Real-ESRGAN, and the numbers BasicSR's.
"""

from math import cos, pi, sin

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

SIDE = 21  # of the square: the largest size

_LEAST_SIGMA = 0.01  # pixels: the Gaussian of this and of any smaller sigma is a single 1
_LEAST_DISTANCE = 1e-37  # stands for 0 in logarithms; float32 holds it and its inverse
_UNSEEN = 10.0  # exp(-exp(this) / 2) is 0 in float32, and its derivative is finite
_NODES = 34  # of a rule for J1(z) / z, then right to 5e-9 up to the corner, z = 10 sqrt(2) pi


def gaussian(
    size: ArrayLike, sigma_x: ArrayLike, sigma_y: ArrayLike, angle: ArrayLike, *, side: int = SIDE
) -> jax.Array:
    """Makes a Gaussian of two axes, [side, side].

    `sigma_x` (pixels) is the deviation along the axis that stands at `angle` (radians, from the
    direction of the columns towards that of the rows), `sigma_y` the one across it.
    """
    return _cut(jnp.exp(-_distance(sigma_x, sigma_y, angle, side) / 2), size)


def generalized(
    size: ArrayLike, sigma_x: ArrayLike, sigma_y: ArrayLike, angle: ArrayLike, beta: ArrayLike
) -> jax.Array:
    """Makes exp(-d^beta / 2), [21, 21], where `gaussian` has exp(-d / 2).

    F. Pascal et al., Parameter Estimation For Multivariate Generalized Gaussian Distributions
    (2013). A `beta` above 1 flattens the top, one below 1 sharpens it.
    """
    log_power = beta * _log_distance(sigma_x, sigma_y, angle)
    return _cut(jnp.exp(-jnp.exp(jnp.minimum(log_power, _UNSEEN)) / 2), size)


def plateau(
    size: ArrayLike, sigma_x: ArrayLike, sigma_y: ArrayLike, angle: ArrayLike, beta: ArrayLike
) -> jax.Array:
    """Makes 1 / (1 + d^beta), [21, 21], where `gaussian` has exp(-d / 2)."""
    return _cut(jax.nn.sigmoid(-(beta * _log_distance(sigma_x, sigma_y, angle))), size)


def sinc(size: ArrayLike, cutoff: ArrayLike) -> jax.Array:
    """Makes the ideal low pass of frequencies below `cutoff` (radians, at most pi), [21, 21].

    It is J1(z) / z at the distance z / cutoff from the middle, cut off abruptly, so that it rings.
    """
    x = jnp.arange(SIDE // 2 + 1, dtype=jnp.float32)
    z = cutoff * jnp.hypot(x[:, None], x[None, :])
    # J1(z) / z is the integral of sqrt(1 - t^2) cos(z t) / pi over t in [-1, 1] (Abramowitz and
    # Stegun, 9.1.20), here by the Chebyshev rule of the second kind (25.4.40). Its nodes lie
    # symmetric about 0 and the integrand is even, so that half of them will do.
    nodes = [pi * k / (_NODES + 1) for k in range(1, _NODES // 2 + 1)]
    quadrant = sum(sin(node) ** 2 * jnp.cos(cos(node) * z) for node in nodes)
    return _cut(jnp.pad(quadrant, [(SIDE // 2, 0)] * 2, mode="reflect"), size)


def _distance(sigma_x: ArrayLike, sigma_y: ArrayLike, angle: ArrayLike, side: int) -> jax.Array:
    """Gives d, the squared distance from the middle in deviations (Mahalanobis), [side, side]."""
    x = _offsets(side)
    y, x = x[:, None], x[None, :]
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    along = (cosine * x + sine * y) / jnp.maximum(sigma_x, _LEAST_SIGMA)
    across = (cosine * y - sine * x) / jnp.maximum(sigma_y, _LEAST_SIGMA)
    return along**2 + across**2


def _log_distance(sigma_x: ArrayLike, sigma_y: ArrayLike, angle: ArrayLike) -> jax.Array:
    """Gives log d, whose multiples overflow nowhere and are differentiable at d = 0 too."""
    return jnp.log(jnp.maximum(_distance(sigma_x, sigma_y, angle, SIDE), _LEAST_DISTANCE))


def _cut(kernel: jax.Array, size: ArrayLike) -> jax.Array:
    """Sets what lies beyond the size to 0 and the sum to 1."""
    inside = 2 * jnp.abs(_offsets(kernel.shape[0])) < size
    kernel = jnp.where(inside[:, None] & inside[None, :], kernel, 0)
    return kernel / kernel.sum()


def _offsets(side: int) -> jax.Array:
    return jnp.arange(side, dtype=jnp.float32) - (side - 1) / 2
