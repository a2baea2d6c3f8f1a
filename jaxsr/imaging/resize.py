"""Resizing as MATLAB's imresize does it: separable, antialiased, with a reflected border.

Output pixel i of n_out stands at u = (i + 1/2) n_in / n_out - 1/2 of the input. Input pixel j
weighs kernel(u - j), or kernel((u - j) n_out / n_in) when the picture shrinks, and the weights of
an output pixel are normalised. Beyond the border the picture is its own mirror image, the edge
pixel repeated. BasicSR's `matlab_functions.imresize` gives the same numbers.
"""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging.color import Array


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -1/2 (R. Keys, 1981, equation 15)."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x**2 + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def _lanczos3(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


# name: (kernel, its width in pixels, whether it widens to antialias)
METHODS = {
    "nearest": (_box, 1, False),
    "bilinear": (_triangle, 2, True),
    "bicubic": (_cubic, 4, True),
    "lanczos": (_lanczos3, 6, True),
    "area": (_box, 1, True),
}


@lru_cache(maxsize=256)
def taps(n_in: int, n_out: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Gives which input pixels make each output pixel along one axis, and their weights.

    Returns index [n_out, k], the border already reflected, and weight [n_out, k], float64, each row
    of sum 1. Both are shared with other callers and so read-only.
    """
    if method not in METHODS:
        raise ValueError(f"no resize method is called {method!r}; choose from {', '.join(METHODS)}")
    if n_in < 1 or n_out < 1:
        raise ValueError(f"cannot resize {n_in} pixels to {n_out}; both must be at least 1")
    kernel, width, widens = METHODS[method]
    unit = max(n_in, n_out) if widens else n_out
    position = (2 * np.arange(n_out) + 1) * n_in - n_out  # u, times 2 n_out
    radius = -(-width * unit // (2 * n_out)) + 1
    index = (position // (2 * n_out))[:, None] + np.arange(-radius, radius + 1)
    # One division of whole numbers: a pixel exactly on a kernel's edge is never lost to rounding.
    weight = kernel((position[:, None] - 2 * n_out * index) / (2 * unit))
    used = weight.any(axis=0)
    index, weight = index[:, used], weight[:, used]
    weight = weight / weight.sum(axis=1, keepdims=True)
    index = index % (2 * n_in)
    index = np.minimum(index, 2 * n_in - 1 - index)
    index.flags.writeable = weight.flags.writeable = False
    return index, weight


def matrix(n_in: int, n_out: int, method: str) -> np.ndarray:
    """Gives the taps as the float64 matrix [n_out, n_in] that resizes one axis."""
    index, weight = taps(n_in, n_out, method)
    result = np.zeros((n_out, n_in))
    np.add.at(result, (np.arange(n_out)[:, None], index), weight)
    return result


def resize(image: Array, size: tuple[int, int], *, method: str = "bicubic") -> Array:
    """Resizes [..., H, W, C] to [..., *size, C], size being (height, width); nothing is clipped.

    Takes float32 or float64 and keeps it. A numpy picture is resized on the host, tap by tap, with
    little memory; a jax array by two matrix products in full precision, inside or outside jit.
    "area" is MATLAB's "box": the mean of the whole pixels whose centres an output pixel covers.
    """
    if image.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"resize takes float32 or float64 pictures, not {image.dtype}; "
            "apply color.to_float to integers, astype(float32) to other floats"
        )
    apply = _resize_jax if isinstance(image, jax.Array) else _resize_numpy
    return apply(image, size, method)  # pyright: ignore[reportArgumentType, reportReturnType]


def _resize_numpy(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    for axis, n_out in zip((-3, -2), size, strict=True):
        index, weight = taps(image.shape[axis], n_out, method)
        shape = (n_out,) + (1,) * (-axis - 1)
        weight = weight.astype(image.dtype)
        terms = (
            image.take(index[:, k], axis) * weight[:, k].reshape(shape)
            for k in range(index.shape[1])
        )
        total = next(terms)
        for term in terms:
            total += term
        image = total
    return image


def _resize_jax(image: jax.Array, size: tuple[int, int], method: str) -> jax.Array:
    einsum = partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    rows = matrix(image.shape[-3], size[0], method).astype(image.dtype)
    columns = matrix(image.shape[-2], size[1], method).astype(image.dtype)
    return einsum("pw,...hwc->...hpc", columns, einsum("oh,...hwc->...owc", rows, image))
