"""`sample(key, weights)`: pictures from noise, by the generators that make them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging.bands import from_unit
from jaxsr.networks.weights import Weights


def sample(key: jax.Array, weights: Weights, *, count: int = 1) -> jax.Array:
    """Make pictures of noise: float32 [count, size, size, C] in [0, 1], or in `weights.ranges`.

    Each latent is drawn from N(0, 1) by a fold of `key`, so the first of many are those of few.
    Pure; `count` is static under `jax.jit`. Raises ValueError for weights that need a picture.
    """
    arch = weights.arch
    latent = getattr(arch, "latent", 0)
    if not latent:
        raise ValueError(
            f"{type(arch).__name__} makes pictures of pictures, not of noise; call jaxsr.upscale"
        )
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(count))
    noise = jax.vmap(lambda key: jax.random.normal(key, (latent,)))(keys)
    pictures = arch.apply({"params": weights.params, "batch_stats": weights.stats}, noise)
    assert isinstance(pictures, jax.Array)
    return from_unit(pictures, weights.ranges, jnp.float32)


def tile(pictures: np.ndarray, *, gap: int = 2) -> np.ndarray:
    """Lay uint8 pictures [N, H, W, C] out as one, nearly square, on white: [H', W', C]."""
    count, height, width, channels = pictures.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    canvas = np.full(size, 255, np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        canvas[y : y + height, x : x + width] = picture
    return canvas
