"""Frozen features of AlexNet and SqueezeNet 1.1, for LPIPS.

Each gives the outputs of ReLUs, [N, h, w, C] float32, of RGB pictures [N, H, W, 3] in [0, 1].
Parameters are plain dicts {layer: {"kernel": HWIO, "bias": [C]}} read from torchvision's names, so
that they can be an argument of a jitted function.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxsr.networks.features import MEAN, STD
from jaxsr.networks.layers import convolve, per_channel, relu

ConvParams = dict[str, dict[str, Array]]

# layer: its name in torchvision, its stride, its padding; a pooling before some
_ALEXNET = {
    "conv1": ("features.0", 4, 2),
    "conv2": ("features.3", 1, 2),
    "conv3": ("features.6", 1, 1),
    "conv4": ("features.8", 1, 1),
    "conv5": ("features.10", 1, 1),
}
_ALEXNET_POOLED = ("conv2", "conv3")

_FIRES = {f"fire{n}": f"features.{i}" for n, i in enumerate((3, 4, 6, 7, 9, 10, 11, 12), 2)}
_FIRES_POOLED = ("fire2", "fire4", "fire6")
# Where LPIPS looks: before each pooling, and after each of the last modules.
_FIRES_SEEN = ("fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
_FIRE = ("squeeze", "expand1x1", "expand3x3")


def alexnet_params(state: Mapping[str, np.ndarray]) -> ConvParams:
    """Return the convolutions of torchvision's AlexNet (Krizhevsky, 2014) as float32."""
    return {layer: _conv_params(state, name) for layer, (name, _, _) in _ALEXNET.items()}


def alexnet_features(params: ConvParams, image: Array) -> list[Array]:
    """Return the outputs of the five ReLUs; a side has at least 31 pixels."""
    x = _normalise(image)
    features = []
    for layer, (_, stride, padding) in _ALEXNET.items():
        x = _pool(x) if layer in _ALEXNET_POOLED else x
        x = relu(_convolve(params[layer], x, stride=stride, padding=padding))
        features.append(x)
    return features


def squeezenet_params(state: Mapping[str, np.ndarray]) -> ConvParams:
    """Return the convolutions of torchvision's SqueezeNet 1.1 (Iandola et al., 2016) as float32."""
    names = {f"{fire}_{part}": f"{name}.{part}" for fire, name in _FIRES.items() for part in _FIRE}
    names = {"conv1": "features.0"} | names
    return {layer: _conv_params(state, name) for layer, name in names.items()}


def squeezenet_features(params: ConvParams, image: Array) -> list[Array]:
    """Return the outputs of seven ReLUs; a side has at least 17 pixels."""
    x = relu(_convolve(params["conv1"], _normalise(image), stride=2))
    features = [x]
    for fire in _FIRES:
        x = _pool(x, whole=False) if fire in _FIRES_POOLED else x
        x = relu(_convolve(params[f"{fire}_squeeze"], x))
        small = _convolve(params[f"{fire}_expand1x1"], x)
        large = _convolve(params[f"{fire}_expand3x3"], x, padding=1)
        x = relu(jnp.concatenate([small, large], axis=-1))
        features += [x] if fire in _FIRES_SEEN else []
    return features


def _conv_params(state: Mapping[str, np.ndarray], name: str) -> dict[str, Array]:
    if not {f"{name}.weight", f"{name}.bias"} <= state.keys():
        raise ValueError(f"it has no {name}.weight or no {name}.bias: name a whole file")
    weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    return {
        "kernel": jnp.asarray(weight.transpose(2, 3, 1, 0), jnp.float32),
        "bias": jnp.asarray(bias, jnp.float32),
    }


def _normalise(image: Array) -> Array:
    image = image.astype(jnp.float32)
    return (image - per_channel(jnp.array(MEAN), image)) / per_channel(jnp.array(STD), image)


def _convolve(params: dict[str, Array], x: Array, *, stride: int = 1, padding: int = 0) -> Array:
    x = convolve(x, params["kernel"], stride=stride, padding=padding)
    return x + per_channel(params["bias"], x)


def _pool(x: Array, *, whole: bool = True) -> Array:
    """The largest of 3 x 3 pixels at every second one; only `whole` windows, or also the last."""
    for axis in (1, 2):
        count = (x.shape[axis] - 3 + (not whole)) // 2 + 1
        # An edge that is repeated changes no maximum.
        extra = max(2 * count + 1 - x.shape[axis], 0)
        pads = [(0, extra if i == axis else 0) for i in range(4)]
        padded = jnp.pad(x, pads, mode="edge")
        parts = [
            jax.lax.slice_in_dim(padded, i, i + 2 * count - 1, stride=2, axis=axis)
            for i in range(3)
        ]
        x = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
    return x
