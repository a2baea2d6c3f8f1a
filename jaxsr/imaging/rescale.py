"""Resizing by sizes that are traced, on arrays of a fixed shape.

`down_up` has the numbers of `jaxsr.imaging.resize`, which antialiases and whose sizes are static;
`interpolation` has those of PyTorch, which does not.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

# Kernels of x = numerator / (2 unit), which is a distance in pixels. Both are whole numbers.


def _box(numerator: jax.Array, unit: jax.Array) -> jax.Array:
    return ((numerator >= -unit) & (numerator < unit)).astype(jnp.float32)


def _triangle(numerator: jax.Array, unit: jax.Array) -> jax.Array:
    return jnp.maximum(1 - jnp.abs(numerator / (2 * unit)), 0)


def _cubic(numerator: jax.Array, unit: jax.Array, a: float = -0.5) -> jax.Array:
    x = jnp.abs(numerator / (2 * unit))
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return jnp.where(x <= 1, near, jnp.where(x <= 2, far, 0))


KERNELS = {"area": _box, "bilinear": _triangle, "bicubic": _cubic}


def _overlap(numerator: jax.Array, n_in: jax.Array, n_out: jax.Array) -> jax.Array:
    """1 where input and output pixel overlap: the centres are less than half of both apart."""
    return (jnp.abs(numerator) < n_in + n_out).astype(jnp.float32)


# Kernels of numerator, n_in and n_out, the distance being numerator / (2 n_out) input pixels, as
# torch.nn.functional.interpolate has them. Only "area" widens where a picture shrinks.
INTERPOLATIONS = {
    "area": _overlap,
    "bilinear": lambda numerator, _, n_out: _triangle(numerator, n_out),
    "bicubic": lambda numerator, _, n_out: _cubic(numerator, n_out, a=-0.75),
}


def down_up(image: jax.Array, factor: ArrayLike, *, method: str = "bicubic") -> jax.Array:
    """Reduces [H, W, C] to round(side / factor), 1 at least, and enlarges it to [H, W, C] again.

    `factor`, 1 or more, is a scalar and may be traced; nothing is clipped.
    """
    if method not in KERNELS:
        raise ValueError(f"down_up got method {method!r}, wanted one of {', '.join(KERNELS)}")
    rows, columns = (_axis(side, factor, method) for side in image.shape[:2])
    return separable(image, rows, columns)


def separable(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Multiplies [H, W, C] by matrices [h, H] and [w, W], one along each axis: [h, w, C]."""
    highest = jax.lax.Precision.HIGHEST
    image = jnp.einsum("oh,hwc->owc", rows, image, precision=highest)
    return jnp.einsum("pw,hwc->hpc", columns, image, precision=highest)


def interpolation(
    n_in: jax.Array, n_out: jax.Array, shape: tuple[int, int], method: str | ArrayLike
) -> jax.Array:
    """Gives the matrix that resizes one axis as PyTorch does, in the corner of zeros of `shape`.

    `method` is one of `INTERPOLATIONS` by name or, which may be traced, by its position. Beyond the
    border is the mirror image, where PyTorch repeats the edge; "bicubic" alone looks so far.
    """

    def weigh(numerator: jax.Array) -> jax.Array:
        if isinstance(method, str):
            return INTERPOLATIONS[method](numerator, n_in, n_out)
        every = [kernel(numerator, n_in, n_out) for kernel in INTERPOLATIONS.values()]
        return jax.lax.select_n(jnp.asarray(method, jnp.int32), *every)

    return _matrix(n_in, n_out, shape, weigh)


def _axis(side: int, factor: ArrayLike, method: str) -> jax.Array:
    """Down and up along one axis as one matrix [side, side]."""
    small = jnp.maximum(jnp.round(side / jnp.asarray(factor)), 1).astype(jnp.int32)
    down = _antialiased(jnp.int32(side), small, side, method)
    up = _antialiased(small, jnp.int32(side), side, method)
    return jnp.matmul(up, down, precision=jax.lax.Precision.HIGHEST)


def _antialiased(n_in: jax.Array, n_out: jax.Array, side: int, method: str) -> jax.Array:
    """`resize.matrix` in the corner of zeros [side, side], both numbers being at most `side`."""
    unit = jnp.maximum(n_in, n_out)
    return _matrix(n_in, n_out, (side, side), lambda numerator: KERNELS[method](numerator, unit))


def _matrix(
    n_in: jax.Array,
    n_out: jax.Array,
    shape: tuple[int, int],
    weigh: Callable[[jax.Array], jax.Array],
) -> jax.Array:
    """The weights of input pixels by their distance, times 2 n_out, each row of sum 1 or zeros."""
    i, j = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None, :]
    position = (2 * i + 1) * n_in - n_out
    # Each pixel and its mirror images. No kernel reaches farther than two pixels of the smaller
    # picture, so one reflection on either side and one period are enough even for a single pixel.
    images = [period + x for period in (-2 * n_in, 0, 2 * n_in) for x in (j, -1 - j)]
    weights = sum(weigh(position - 2 * n_out * image) for image in images)
    weights = jnp.where((i < n_out) & (j < n_in), weights, 0)
    return weights / jnp.where(i < n_out, weights.sum(axis=1, keepdims=True), 1)
