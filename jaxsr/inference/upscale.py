"""`upscale(weights, image)`: the pure function from weights and pixels to pixels."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.imaging.color import from_float, to_float
from jaxsr.networks.weights import Weights


def upscale(weights: Weights, image: jax.Array, *, clip: bool = False) -> jax.Array:
    """Super-resolve pictures: [..., H, W, C] -> [..., scale * H, scale * W, C].

    Floats, RGB or what the network was trained on, lie in [0, 1] and come back in their dtype
    (float64 as float32), unclipped, so that the result can be differentiated; `clip=True` clips it.
    uint8 and uint16 come back rounded to nearest. Pure: it may stand inside `jax.jit`, `jax.vmap`
    and `jax.grad`. Raises ValueError for another dtype or channel count.
    """
    image = jnp.asarray(image)
    arch = weights.arch
    if getattr(arch, "latent", 0):
        raise ValueError("got weights that make pictures of noise; call jaxsr.sample instead")
    if image.ndim < 3 or image.shape[-1] != arch.channels or 0 in image.shape:
        raise ValueError(
            f"image: got shape {image.shape}, wanted [..., H, W, {arch.channels}], none of them 0; "
            "give the channels that the network was trained on"
        )
    if not (jnp.issubdtype(image.dtype, jnp.floating) or image.dtype in (jnp.uint8, jnp.uint16)):
        raise ValueError(
            f"image: got {image.dtype}, wanted uint8, uint16 or a float in [0, 1]; convert it"
        )
    is_float = jnp.issubdtype(image.dtype, jnp.floating)
    batch = image.reshape(-1, *image.shape[-3:])
    batch = batch.astype(jnp.float32) if is_float else to_float(batch)
    sr: Any = arch.apply({"params": weights.params, "batch_stats": weights.stats}, batch)
    sr = sr.reshape(*image.shape[:-3], *sr.shape[1:])
    if is_float:
        return (jnp.clip(sr, 0.0, 1.0) if clip else sr).astype(image.dtype)
    return from_float(sr, image.dtype)
