"""A network in closed form: with parameters of zero the compact one repeats each pixel."""

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsr import Weights
from jaxsr.networks.generators import SRVGGNetCompact

SCALE = 2


def compact(channels: int = 3) -> SRVGGNetCompact:
    return SRVGGNetCompact(scale=SCALE, channels=channels, num_features=3, num_convs=1)


def repeating(offset: float = 0.0, *, channels: int = 3) -> Weights:
    """Weights under which the network repeats each pixel and adds `offset`."""
    arch = compact(channels)
    picture = jax.ShapeDtypeStruct((1, 8, 8, channels), jnp.float32)
    shapes = flatten_dict(jax.eval_shape(arch.init, jax.random.key(0), picture)["params"])
    flat = {name: jnp.zeros(leaf.shape) for name, leaf in shapes.items()}
    flat["conv_last", "bias"] += offset
    return Weights(unflatten_dict(flat), {}, arch)


def repeat(image) -> np.ndarray:
    """What `repeating()` makes of [..., H, W, C]."""
    return np.asarray(image).repeat(SCALE, axis=-3).repeat(SCALE, axis=-2)
