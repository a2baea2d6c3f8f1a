"""LPIPS and DISTS: how different two pictures look, by the features of classifiers.

Parameters are plain pytrees, made of {name: array} as files hold them, and an argument of the
metrics, which are pure: jit them with `crop` static. All is computed in float32.
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxsr.imaging import metrics
from jaxsr.networks.classifiers import (
    alexnet_features,
    alexnet_params,
    squeezenet_features,
    squeezenet_params,
)
from jaxsr.networks.features import MEAN, STD, vgg_features, vgg_params
from jaxsr.networks.layers import convolve, per_channel, relu

State = Mapping[str, np.ndarray]

# the last layer of each stage that is looked at, of VGG16
_VGG_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")

# In LPIPS's and DISTS's own files, torchvision's `features.N` are parts of slices or of stages.
_SLICED = re.compile(r"(?:net\.slice|stage)\d+\.")
_HEAD = re.compile(r"lin(\d+)\.(?:model\.\d+\.)?weight")

_TINY = 1e-6  # c1 and c2 of DISTS


class Backbone(NamedTuple):
    """A network that LPIPS can stand on: how to know it, to read it and to run it."""

    only: str  # a tensor that no other has
    params: Callable[[State], Any]
    features: Callable[[Any, Array], list[Array]]
    smallest: int  # side of a picture


def _vgg_layers(params: Any, image: Array) -> list[Array]:
    features = vgg_features(params, image, _VGG_LAYERS)
    return [features[layer] for layer in _VGG_LAYERS]


def _vgg_params(state: State) -> Any:
    return vgg_params(state, _VGG_LAYERS)


BACKBONES = {
    "alex": Backbone("features.3.weight", alexnet_params, alexnet_features, 31),
    "vgg": Backbone("features.17.weight", _vgg_params, _vgg_layers, 16),
    "squeeze": Backbone("features.3.squeeze.weight", squeezenet_params, squeezenet_features, 17),
}


def lpips_params(*states: State) -> dict[str, Any]:
    """Return {backbone: its parameters, "heads": [[C], ...]} of one file's tensors or of several.

    Backbones in torchvision's names or in those of `lpips`, of the kinds in BACKBONES; heads
    `lin0`, `lin1` ... of version 0.1. Raises ValueError where either is missing.
    """
    state = _named(states)
    kinds = [kind for kind, backbone in BACKBONES.items() if backbone.only in state]
    if not kinds:
        raise ValueError(
            "it holds no AlexNet, VGG16 or SqueezeNet 1.1 in torchvision's names;"
            " name the network's file beside that of the heads"
        )
    heads = {int(match[1]): state[name] for name in state if (match := _HEAD.fullmatch(name))}
    params = BACKBONES[kinds[0]].params(state)
    widths = _widths(kinds[0], params)
    found = [heads[i].size for i in sorted(heads)]
    if found != widths:
        raise ValueError(
            f"it holds LPIPS heads of {found} channels, wanted {widths} for {kinds[0]};"
            " name the heads of that network (lin0 ...) too"
        )
    return {kinds[0]: params, "heads": [_vector(heads[i]) for i in sorted(heads)]}


def lpips(params: dict[str, Any], sr: Array, hr: Array, *, crop: int) -> Array:
    """Give the LPIPS distance, 0 for equal pictures: two [N, H, W, 3] in [0, 1] to [N] float32.

    Version 0.1 (Zhang et al., 2018, equation 1), as `lpips.LPIPS` has it with `normalize=True`.
    `crop` pixels are cut off every border. Raises ValueError for what is too small for the network.
    """
    kind = next(name for name in BACKBONES if name in params)
    pair = _colours(sr, hr, crop, smallest=BACKBONES[kind].smallest)
    with jax.default_matmul_precision("highest"):
        ours, theirs = (BACKBONES[kind].features(params[kind], x) for x in pair)
    distances = [
        jnp.mean(jnp.square(_unit(a) - _unit(b)) * per_channel(head, a), (1, 2)).sum(-1)
        for a, b, head in zip(ours, theirs, params["heads"], strict=True)
    ]
    return reduce(jnp.add, distances)


def dists_params(*states: State) -> dict[str, Any]:
    """Return {"vgg", "alpha", "beta"} of one file's tensors or of several.

    VGG16 in torchvision's names or in those of DISTS, and its weights `alpha` and `beta`. Raises
    ValueError where any is missing.
    """
    state = _named(states)
    if BACKBONES["vgg"].only not in state or not {"alpha", "beta"} <= state.keys():
        raise ValueError(
            "it holds no VGG16 or no alpha and beta of DISTS;"
            " name the network's file beside that of DISTS's weights"
        )
    params = _vgg_params(state)
    weights = {name: _vector(state[name]) for name in ("alpha", "beta")}
    wanted = 3 + sum(_widths("vgg", params))
    for name, weight in weights.items():
        if weight.size != wanted:
            raise ValueError(
                f"{name} has {weight.size} channels, wanted {wanted}; name the VGG16 and the"
                " weights that belong together"
            )
    return {"vgg": params} | weights


def dists(params: dict[str, Any], sr: Array, hr: Array, *, crop: int) -> Array:
    """Give the DISTS distance, 0 for equal pictures: two [N, H, W, 3] in [0, 1] to [N] float32.

    Ding, Ma, Wang and Simoncelli, "Image quality assessment: unifying structure and texture
    similarity" (2020), on the pictures as they are: the authors' demonstration makes the shorter
    side 256 pixels first. `crop` pixels are cut off every border.
    """
    pair = _colours(sr, hr, crop, smallest=1)
    with jax.default_matmul_precision("highest"):
        ours, theirs = (_dists_features(params["vgg"], x) for x in pair)
    terms = [_texture_and_structure(a, b) for a, b in zip(ours, theirs, strict=True)]
    texture, structure = (jnp.concatenate(parts, axis=-1) for parts in zip(*terms, strict=True))
    alpha, beta = per_channel(params["alpha"], texture), per_channel(params["beta"], structure)
    similar = jnp.sum(alpha * texture + beta * structure, axis=-1)
    return 1 - similar / (jnp.sum(alpha) + jnp.sum(beta))


def _named(states: tuple[State, ...]) -> dict[str, np.ndarray]:
    """The tensors of all, of networks in torchvision's names."""
    return {_SLICED.sub("features.", name): x for state in states for name, x in state.items()}


def _vector(weight: np.ndarray) -> Array:
    return jnp.asarray(weight.reshape(-1), jnp.float32)


def _widths(kind: str, params: Any) -> list[int]:
    """The channels of each of a backbone's features."""
    side = BACKBONES[kind].smallest
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    return [x.shape[-1] for x in jax.eval_shape(BACKBONES[kind].features, params, image)]


def _colours(sr: Array, hr: Array, crop: int, *, smallest: int) -> tuple[Array, Array]:
    if sr.shape[-1] != 3:
        raise ValueError(
            f"got pictures of shape {sr.shape}, wanted [N, H, W, 3]; repeat grey to RGB"
        )
    return metrics.cropped(sr, hr, crop=crop, smallest=smallest)


def _unit(x: Array) -> Array:
    """Divide by the length over the channels, where there is any."""
    return x / jnp.sqrt(jnp.sum(jnp.square(x), axis=-1, keepdims=True) + 1e-20)


def _dists_features(params: Any, image: Array) -> list[Array]:
    """The picture and the stages of VGG16, each pooling replaced by `_l2_pool`."""
    x = (image - per_channel(jnp.array(MEAN), image)) / per_channel(jnp.array(STD), image)
    features = [image]
    for name in sorted(params):
        if name.endswith("_1") and name != "conv1_1":
            features.append(x)
            x = _l2_pool(x)
        x = convolve(x, params[name]["kernel"])
        x = relu(x + per_channel(params[name]["bias"], x))
    return [*features, x]


def _l2_pool(x: Array) -> Array:
    """The root of the weighed mean square of 3 x 3 pixels at every second one, 0 beyond them."""
    x = jnp.square(x)
    for axis in (1, 2):
        pads = [(1, 1) if i == axis else (0, 0) for i in range(4)]
        padded = jnp.pad(x, pads)
        stop = x.shape[axis] + (x.shape[axis] % 2)
        a, b, c = (
            jax.lax.slice_in_dim(padded, i, i + stop - 1, stride=2, axis=axis) for i in range(3)
        )
        x = (a + 2 * b + c) / 4
    return jnp.sqrt(x + 1e-12)


def _texture_and_structure(x: Array, y: Array) -> tuple[Array, Array]:
    """Similarity of means, and of what is left, of each channel: two [N, C]."""
    mean_x, mean_y = (jnp.mean(z, axis=(1, 2), keepdims=True) for z in (x, y))
    x, y = x - mean_x, y - mean_y
    mean_x, mean_y = mean_x[:, 0, 0], mean_y[:, 0, 0]
    texture = (2 * mean_x * mean_y + _TINY) / (mean_x**2 + mean_y**2 + _TINY)
    variances = jnp.mean(jnp.square(x) + jnp.square(y), axis=(1, 2))
    structure = (2 * jnp.mean(x * y, axis=(1, 2)) + _TINY) / (variances + _TINY)
    return texture, structure
