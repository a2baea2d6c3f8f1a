"""The row stream: a picture of any height through a network, strip after strip, exactly.

No row is computed twice and the memory grows with the width alone. The layers keep the rows that
they need again; see `jaxsr.networks.rows`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.inference.upscale import from_network, to_network
from jaxsr.inference.windows import bucket
from jaxsr.networks.rows import begin, step
from jaxsr.networks.weights import Weights

# Rows [top, bottom) of pictures: [N, bottom - top, W, C].
Read = Callable[[int, int], np.ndarray]


class NotFinite(Exception):
    """The network gave an infinity or a NaN."""


def out_of_memory(error: BaseException) -> bool:
    """Whether the device had no room."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def stream(
    weights: Weights, read: Read, *, shape: tuple[int, ...], strip: int
) -> Iterator[np.ndarray]:
    """Yield the rows of the output from the top, [N, h, scale * W, C], h as it comes.

    `shape` is [N, H, W, C], H and W multiples of `weights.arch.multiple` as is `strip`, the rows
    that go in at once; it is halved while the device has no room for them. Raises NotFinite.
    """
    arch: Any = weights.arch
    count, height, width, _ = shape
    columns = bucket(width, multiple=arch.multiple)
    kept, drop = begin(arch, columns, batch=count)
    top, left = 0, height * arch.scale
    while left:
        v = pad(read(min(top, height), min(top + strip, height)), strip, columns)
        try:
            rows, finite, new = _step(weights, kept, v, top, height, width)
            finite = bool(finite)
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error) or strip == arch.multiple:
                raise
            strip = max(strip // 2 // arch.multiple, 1) * arch.multiple
            continue
        if not finite:
            raise NotFinite
        kept, top = new, top + strip
        rows = np.asarray(rows)[:, drop:, : width * arch.scale][:, :left]
        drop = max(0, drop - strip * arch.scale)
        left -= rows.shape[1]
        if rows.size:
            yield rows


def pad(pictures: np.ndarray, height: int, width: int) -> np.ndarray:
    """Zeros at the bottom and the right of [N, H, W, C]."""
    margins = ((0, 0), (0, height - pictures.shape[1]), (0, width - pictures.shape[2]), (0, 0))
    return np.pad(pictures, margins)


@jax.jit
def _step(weights: Weights, kept: Any, v: jax.Array, top: Any, height: Any, width: Any) -> Any:
    variables = {"params": weights.params, "batch_stats": weights.stats}
    size = {"top": top, "height": height, "width": width}
    sr, new = step(weights.arch, variables, kept, to_network(weights, v), **size)
    return *finished(weights, sr, v.dtype), new


def finished(weights: Weights, sr: jax.Array, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """The network's numbers as pixels of `dtype`, and whether all of them were finite."""
    return from_network(weights, sr, dtype), jnp.isfinite(sr).all()
