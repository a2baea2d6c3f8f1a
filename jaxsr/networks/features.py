"""Frozen VGG16 and VGG19 features, for perceptual losses.

Layers are named as in the VGG paper: `conv1_1` ... `conv5_4` before the ReLU, `relu1_1` ...
`relu5_4` after it; `pooled` is the mean of the last ReLU over the picture, `head` the classifier's
1000 logits. Parameters are a plain dict {layer: {"kernel": HWIO or [in, out], "bias": [C]}} of what
the wanted layers need, so that they can be an argument of a jitted function.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxsr.networks.layers import adaptive_avg_pool, convolve, max_pool, per_channel, relu

# convolutions in each of the five blocks
BLOCKS = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}

# linear layer: its name in torchvision
HEAD = {"linear1": "classifier.0", "linear2": "classifier.3", "linear3": "classifier.6"}

# of ImageNet's training pictures, RGB in [0, 1]
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

VGGParams = dict[str, dict[str, Array]]


def vgg_params(state: Mapping[str, np.ndarray], layers: Collection[str]) -> VGGParams:
    """Return what `layers` need of a VGG16 or VGG19 in torchvision's names, as float32.

    Raises ValueError for the state of another network and for a layer that the network has not.
    """
    indices = _indices(state)
    wanted = _convolutions(layers, indices)
    params = {name: _conv(state, indices[name]) for name in wanted}
    return params | (_head(state) if "head" in layers else {})


def vgg_features(params: VGGParams, image: Array, layers: Collection[str]) -> dict[str, Array]:
    """Return {layer: float32 [N, h, w, c]} of RGB or grey pictures in [0, 1].

    `pooled` and `head` are [N, c]. Computed in float32: two pictures that are nearly alike differ
    by less than bfloat16 rounds.
    """
    wanted = _convolutions(layers, params)
    x = _normalise(image, smallest=smallest(layers))
    features = {}
    block = "1"
    for name in wanted:
        if name[4] != block:
            block = name[4]
            x = max_pool(x)
        x = convolve(x, params[name]["kernel"], dtype=jnp.float32)
        x = x + per_channel(params[name]["bias"], x)
        features[name] = x
        x = relu(x)
        features[name.replace("conv", "relu")] = x
    features["pooled"] = x.mean((1, 2))
    if "head" in layers:
        features["head"] = _classify(params, x)
    return {name: features[name] for name in layers}


def smallest(layers: Collection[str]) -> int:
    """Return the least side of a picture that reaches these layers: each pooling halves it."""
    blocks = {"pooled": 5, "head": 6}
    return 2 ** max((blocks.get(name) or int(name[4]) for name in layers), default=1) // 2


def _classify(params: VGGParams, x: Array) -> Array:
    """Return the logits [N, 1000] of the last block's output."""
    x = adaptive_avg_pool(max_pool(x), 7)
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)  # PyTorch's order
    for name in HEAD:
        x = x @ params[name]["kernel"]
        x = x + per_channel(params[name]["bias"], x)
        x = x if name == "linear3" else relu(x)
    return x


def _normalise(image: Array, *, smallest: int) -> Array:
    if image.ndim != 4 or image.shape[-1] not in (1, 3):
        raise ValueError(
            f"got pictures of shape {image.shape}, wanted [N, H, W, 3] or [N, H, W, 1] for VGG"
            " features: turn the perceptual loss off or convert the pictures"
        )
    if min(image.shape[1:3]) < smallest:
        raise ValueError(
            f"got pictures of {image.shape[1]} x {image.shape[2]} pixels, wanted at least"
            f" {smallest} x {smallest} for these VGG layers: use a larger crop or earlier layers"
        )
    if image.shape[-1] == 1:
        image = jnp.repeat(image, 3, axis=-1)
    image = image.astype(jnp.float32)
    return (image - per_channel(jnp.array(MEAN), image)) / per_channel(jnp.array(STD), image)


def _indices(state: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Return {convolution: its N in torchvision's `features.N`} for the network in the state."""
    for blocks in BLOCKS.values():
        indices, index = {}, 0
        for block, count in enumerate(blocks, 1):
            for i in range(1, count + 1):
                indices[f"conv{block}_{i}"] = index
                index += 2  # a convolution and its ReLU
            index += 1  # the pooling
        if {f"features.{i}.weight" for i in indices.values()} <= state.keys():
            return indices
    raise ValueError(
        "it holds neither VGG19 nor VGG16 in torchvision's names (`features.0.weight` ...);"
        " `jaxsr fetch vgg19` brings one"
    )


def _convolutions(layers: Collection[str], known: Iterable[str]) -> list[str]:
    """Return the convolutions up to the deepest of `layers`, in order."""
    known = sorted(name for name in known if name.startswith("conv"))
    valid = known + [name.replace("conv", "relu") for name in known] + ["pooled", "head"]
    for layer in layers:
        if layer not in valid:
            nearest = difflib.get_close_matches(layer, valid, 1, 0.0)
            raise ValueError(f"this VGG has no layer {layer!r}; the nearest is {nearest[0]!r}")
    depths = {name: depth for depth, name in enumerate(known, 1)}
    wanted = (depths.get(layer.replace("relu", "conv"), len(known)) for layer in layers)
    return known[: max(wanted, default=0)]


def _head(state: Mapping[str, np.ndarray]) -> VGGParams:
    if f"{HEAD['linear3']}.weight" not in state:
        raise ValueError(
            "it holds VGG's convolutions without its classifier: set"
            ' loss.perceptual.content = "pooled", or save the state_dict() of the whole network'
        )
    tensors = {
        name: [state[f"{theirs}.{part}"] for part in ("weight", "bias")]
        for name, theirs in HEAD.items()
    }
    return {
        name: {"kernel": jnp.asarray(weight.T, jnp.float32), "bias": jnp.asarray(bias, jnp.float32)}
        for name, (weight, bias) in tensors.items()
    }


def _conv(state: Mapping[str, np.ndarray], index: int) -> dict[str, Array]:
    weight, bias = (state[f"features.{index}.{part}"] for part in ("weight", "bias"))
    if weight.ndim != 4 or weight.shape[2:] != (3, 3) or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"features.{index} has shapes {weight.shape} and {bias.shape}, wanted [out, in, 3, 3]"
            " and [out]: `jaxsr fetch vgg19` brings a whole file"
        )
    return {
        "kernel": jnp.asarray(weight.transpose(2, 3, 1, 0), jnp.float32),
        "bias": jnp.asarray(bias, jnp.float32),
    }
