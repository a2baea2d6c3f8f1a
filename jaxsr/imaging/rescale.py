"""Down and up again by a factor that is traced, on arrays of a fixed shape.

The numbers are those of `jaxsr.imaging.resize`, whose sizes are static.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

# Kernels of x = numerator / (2 unit), which is a distance in pixels. Both are whole numbers.


def _box(numerator: jax.Array, unit: jax.Array) -> jax.Array:
    return ((numerator >= -unit) & (numerator < unit)).astype(jnp.float32)


def _triangle(numerator: jax.Array, unit: jax.Array) -> jax.Array:
    return jnp.maximum(1 - jnp.abs(numerator / (2 * unit)), 0)


def _cubic(numerator: jax.Array, unit: jax.Array) -> jax.Array:
    x = jnp.abs(numerator / (2 * unit))
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return jnp.where(x <= 1, near, jnp.where(x <= 2, far, 0))


KERNELS = {"area": _box, "bilinear": _triangle, "bicubic": _cubic}


def down_up(image: jax.Array, factor: ArrayLike, *, method: str = "bicubic") -> jax.Array:
    """Reduces [H, W, C] to round(side / factor), 1 at least, and enlarges it to [H, W, C] again.

    `factor`, 1 or more, is a scalar and may be traced; nothing is clipped.
    """
    if method not in KERNELS:
        raise ValueError(f"down_up got method {method!r}, wanted one of {', '.join(KERNELS)}")
    highest = jax.lax.Precision.HIGHEST
    rows, columns = (_axis(side, factor, method) for side in image.shape[:2])
    image = jnp.einsum("oh,hwc->owc", rows, image, precision=highest)
    return jnp.einsum("pw,hwc->hpc", columns, image, precision=highest)


def _axis(side: int, factor: ArrayLike, method: str) -> jax.Array:
    """Down and up along one axis as one matrix [side, side]."""
    small = jnp.maximum(jnp.round(side / jnp.asarray(factor)), 1).astype(jnp.int32)
    down = _matrix(jnp.int32(side), small, side, method)
    up = _matrix(small, jnp.int32(side), side, method)
    return jnp.matmul(up, down, precision=jax.lax.Precision.HIGHEST)


def _matrix(n_in: jax.Array, n_out: jax.Array, side: int, method: str) -> jax.Array:
    """`resize.matrix` in the corner of zeros [side, side], both numbers being at most `side`."""
    i, j = jnp.arange(side)[:, None], jnp.arange(side)[None, :]
    position = (2 * i + 1) * n_in - n_out
    unit = jnp.maximum(n_in, n_out)
    # Each pixel and its mirror images. No kernel reaches farther than two pixels of the smaller
    # picture, so one reflection on either side and one period are enough even for a single pixel.
    images = [period + x for period in (-2 * n_in, 0, 2 * n_in) for x in (j, -1 - j)]
    weights = sum(KERNELS[method](position - 2 * n_out * image, unit) for image in images)
    weights = jnp.where((i < n_out) & (j < n_in), weights, 0)
    return weights / jnp.where(i < n_out, weights.sum(axis=1, keepdims=True), 1)
