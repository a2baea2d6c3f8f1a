"""`upscale(weights, image)`: the pure function from weights and pixels to pixels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging.bands import from_unit, to_unit
from jaxsr.networks.weights import Weights


def upscale(weights: Weights, image: jax.Array, *, clip: bool = False) -> jax.Array:
    """Super-resolve pictures: [..., H, W, C] -> [..., scale * H, scale * W, C].

    Floats, RGB or what the network was trained on, lie in [0, 1] and come back in their dtype
    (float64 as float32), unclipped, so that the result can be differentiated; `clip=True` clips it.
    uint8 and uint16 come back rounded to nearest. Where `weights.ranges` states the units of the
    bands, numbers of any dtype are taken and given in those. Pure: it may stand inside `jax.jit`,
    `jax.vmap` and `jax.grad`. Raises ValueError for another dtype or channel count.
    """
    image = jnp.asarray(image)
    check(weights, image)
    batch = image.reshape(-1, *image.shape[-3:])
    sr = apply(weights, to_network(weights, batch))
    sr = jnp.clip(sr, 0.0, 1.0) if clip else sr
    return from_network(weights, sr.reshape(*image.shape[:-3], *sr.shape[1:]), image.dtype)


def apply(weights: Weights, x: Any) -> Any:
    """What the network makes of pictures [N, H, W, C] in its own numbers, [0, 1]."""
    return weights.arch.apply({"params": weights.params, "batch_stats": weights.stats}, x)


def to_network(weights: Weights, pixels: jax.Array) -> jax.Array:
    """Pixels in the network's own numbers, float32."""
    is_float = jnp.issubdtype(pixels.dtype, jnp.floating)
    return to_unit(pixels.astype(jnp.float32) if is_float else pixels, weights.ranges)


def from_network(weights: Weights, sr: jax.Array, dtype: Any) -> jax.Array:
    """The network's numbers as pixels of `dtype`: integers are rounded, floats are not clipped."""
    is_float = jnp.issubdtype(dtype, jnp.floating)
    return from_unit(sr, weights.ranges, jnp.float32 if is_float else dtype).astype(dtype)


def check(weights: Weights, image: jax.Array | np.ndarray) -> None:
    """Raise ValueError for what `upscale` does not take."""
    arch: Any = weights.arch
    if getattr(arch, "latent", 0):
        raise ValueError("got weights that make pictures of noise; call jaxsr.sample instead")
    check_shape(image, arch.channels)
    if not (jnp.issubdtype(image.dtype, jnp.floating) or image.dtype in (jnp.uint8, jnp.uint16)):
        raise ValueError(
            f"image: got {image.dtype}, wanted uint8, uint16 or a float in [0, 1]; convert it"
        )


def check_shape(image: jax.Array | np.ndarray, channels: int) -> None:
    """Raise ValueError for what is not [..., H, W, channels] or is empty."""
    if image.ndim < 3 or image.shape[-1] != channels or 0 in image.shape:
        raise ValueError(
            f"image: got shape {image.shape}, wanted [..., H, W, {channels}], none of them 0; "
            "give the channels that the network was trained on"
        )
