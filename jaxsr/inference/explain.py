"""Which input pixels a patch of the output depends on, as numbers and as a picture."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging.color import to_float
from jaxsr.inference.upscale import apply, check, to_network
from jaxsr.networks.receptive import receptive_radius
from jaxsr.networks.weights import Weights

PROBES = 16  # random directions that the gradient's magnitude is estimated with


class Box(NamedTuple):
    """Rows top to bottom and columns left to right, the last not included."""

    top: int
    left: int
    bottom: int
    right: int


class Explanation(NamedTuple):
    """How much each input pixel matters to a patch, and the patch and its field in input pixels.

    `heat` [H, W] float32 is the Frobenius norm of the derivative of all values of the patch by all
    channels of a pixel, estimated. `field` holds every pixel whose derivative is not zero.
    """

    heat: np.ndarray
    patch: Box
    field: Box


def explain(weights: Weights, image: np.ndarray, *, y: int, x: int, size: int = 1) -> Explanation:
    """Explain the patch of `size` x `size` output pixels whose upper left one is (y, x).

    `image` is [H, W, C], as `upscale` takes it. The norm is the root of the mean square of
    vector-Jacobian products with random signs (Hutchinson 1990), for a plain sum would let
    derivatives of both signs cancel. Raises ValueError for a patch that leaves the output.
    """
    check(weights, image)
    scale = weights.arch.scale
    height, width = (n * scale for n in image.shape[:2])
    if not (0 <= y <= height - size and 0 <= x <= width - size and size > 0):
        raise ValueError(
            f"got a patch of {size} x {size} at ({y}, {x}), wanted one inside the output of "
            f"{height} x {width} pixels"
        )
    seen = _seen(weights.arch, image.shape, y, x, size)
    window = to_network(weights, jnp.asarray(image[seen.top : seen.bottom, seen.left : seen.right]))
    heat = np.zeros(image.shape[:2], np.float32)
    heat[seen.top : seen.bottom, seen.left : seen.right] = _heat(
        weights, window, y - seen.top * scale, x - seen.left * scale, size
    )
    rows, columns = (np.flatnonzero(heat.any(axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError("the patch depends on no input pixel: the network is constant there")
    field = Box(*(int(n) for n in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)))
    patch = Box(y // scale, x // scale, -(-(y + size) // scale), -(-(x + size) // scale))
    return Explanation(heat, patch, field)


def _seen(arch: Any, shape: tuple[int, ...], y: int, x: int, size: int) -> Box:
    """The input pixels that the network can see from the patch; all others count nothing."""
    radius, multiple = receptive_radius(arch), arch.multiple
    ends = []
    for start, length in ((y, shape[0]), (x, shape[1])):
        first = start // arch.scale // multiple * multiple - radius
        last = -(-(start + size) // (arch.scale * multiple)) * multiple + radius
        ends.append((max(first, 0), min(last, length)))
    (top, bottom), (left, right) = ends
    return Box(top, left, bottom, right)


@partial(jax.jit, static_argnames="size")
def _heat(weights: Weights, image: jax.Array, y: Any, x: Any, size: int) -> jax.Array:
    def patch(image):
        sr = apply(weights, image[None])[0]
        return jax.lax.dynamic_slice_in_dim(
            jax.lax.dynamic_slice_in_dim(sr, y, size, axis=0), x, size, axis=1
        )

    values, pull = jax.vjp(patch, image)

    def square(key):
        signs = jax.random.rademacher(key, values.shape, values.dtype)
        return jnp.sum(jnp.square(pull(signs)[0]), axis=-1)

    squares = jax.lax.map(square, jax.random.split(jax.random.key(0), PROBES))
    return jnp.sqrt(squares.mean(0))


def draw(image: np.ndarray, explanation: Explanation) -> np.ndarray:
    """The input and the heat side by side, uint8 RGB; patch framed in red, field in blue.

    The heat is on a logarithmic scale of four decades, black to white. Small pictures are
    enlarged by whole numbers, so that single pixels show.
    """
    from PIL import Image, ImageDraw

    heat = explanation.heat / explanation.heat.max()
    with np.errstate(divide="ignore"):
        level = np.clip(np.log10(heat) / 4 + 1, 0, 1)
    factor = max(1, 512 // max(level.shape))
    grey = image[..., :3] if image.shape[-1] >= 3 else image[..., :1].repeat(3, axis=-1)
    panels = [to_float(grey), _hot(level)]
    canvas = np.concatenate(panels, axis=1).clip(0, 1)
    canvas = (canvas * 255).round().astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
    picture = Image.fromarray(canvas)
    pen = ImageDraw.Draw(picture)
    for box, colour in ((explanation.field, "deepskyblue"), (explanation.patch, "red")):
        for shift in (0, level.shape[1]):
            corner = ((box.left + shift) * factor, box.top * factor)
            end = ((box.right + shift) * factor - 1, box.bottom * factor - 1)
            pen.rectangle((*corner, *end), outline=colour)
    return np.asarray(picture)


def _hot(level: np.ndarray) -> np.ndarray:
    """Black, red, yellow, white: [H, W] in [0, 1] to RGB."""
    return np.stack([np.clip(3 * level - i, 0, 1) for i in range(3)], axis=-1)
