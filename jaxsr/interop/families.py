"""The families of published networks: what PyTorch's names for their layers are, and what they say.

A layout names every layer of ours: {our path: its name in the state dict}, the path a pattern and
the name its replacement, of a network with so many blocks and enlarging convolutions. Paths that
no pattern matches keep their name, with dots.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from jaxsr.networks.discriminators import UNetDiscriminatorSN, VGGStyleDiscriminator
from jaxsr.networks.plain import ESPCN, SRVGGNetCompact
from jaxsr.networks.resnet import EDSR, MSRResNet, SRResNet
from jaxsr.networks.rrdbnet import RRDBNet
from jaxsr.networks.weights import DEPTHS

Layout = Callable[[int, int], dict[str, str]]

UPS = (1, 2, 3, 4)  # enlarging convolutions: one more than any network of ours has


UNTOLD = ("activation", "res_scale")  # fields that no tensor tells, but families assume

DEEPEST = 128  # blocks: a network is described one by one, and nobody has published such


def require_shallow(arch: Any) -> None:
    """Raise ValueError for a network of more blocks than anybody trains, before it is described."""
    for name in DEPTHS:
        if getattr(arch, name, 0) > DEEPEST:
            raise ValueError(f"{name} is {getattr(arch, name)}, wanted {DEEPEST} at most")


def rename(path: str, rules: Mapping[str, str]) -> str:
    """Return the name of the layer at `path`, such as `block_0/conv1`."""
    for pattern, name in rules.items():
        if match := re.fullmatch(pattern, path):
            return match.expand(name)
    return path.replace("/", ".")


@dataclass(frozen=True)
class Found:
    """A state dict that looks like one of a layout, and the fields that the caller gave."""

    state: Mapping[str, np.ndarray]
    layout: Layout
    assumed: Mapping[str, Any]

    def shape(self, path: str, *, blocks: int = 0, ups: int = 0) -> tuple[int, ...]:
        """Return the shape [out, in, k, k] of a convolution; ValueError where there is none."""
        name = self._name(path, blocks, ups)
        if name not in self.state:
            raise ValueError(f"{name} is missing")
        shape = self.state[name].shape
        if len(shape) != 4 or 0 in shape:
            raise ValueError(f"{name} is {shape}, wanted [out, in, height, width]")
        return shape

    def count(self, path: str, *, start: int = 0) -> int:
        """Return for how many successive numbers from `start` there is a layer at `path`."""
        numbers = itertools.count(start)
        return next(i for i in numbers if not self.holds(path.format(i))) - start

    def holds(self, path: str) -> bool:
        """Return whether the layer at `path` has a weight."""
        return self._name(path, 0, 0) in self.state

    def _name(self, path: str, blocks: int, ups: int) -> str:
        return rename(path, self.layout(blocks, ups)) + ".weight"


def _rrdbnet(found: Found) -> dict[str, Any]:
    blocks, ups = found.count("block_{}/rdb1/conv1"), found.count("conv_up{}", start=1)
    features, inputs = found.shape("conv_first")[:2]
    channels = found.shape("conv_last", ups=ups)[0]
    unshuffle = isqrt(inputs // channels)
    scale = 2**ups // max(unshuffle, 1)
    if (inputs, 2**ups) != (channels * unshuffle**2, scale * unshuffle):
        raise ValueError(
            f"it takes {inputs} channels, gives {channels} and doubles the size {ups} times;"
            " wanted as many as it gives, or 4 or 16 times as many and 1 or 2 doublings at least"
        )
    return {
        "scale": scale,
        "channels": channels,
        "num_features": features,
        "num_blocks": blocks,
        "growth": found.shape("block_0/rdb1/conv1")[0],
        "unshuffle": unshuffle,
        "plus": found.holds("block_0/rdb1/conv1x1"),
    }


def _resnet(found: Found) -> dict[str, Any]:
    features, channels = found.shape("conv_first")[:2]
    ups = range(1, 1 + found.count("upconv{}", start=1))
    return {
        "scale": prod(isqrt(found.shape(f"upconv{i}")[0] // features) for i in ups),
        "channels": channels,
        "num_features": features,
        "num_blocks": found.count("block_{}/conv1"),
    }


def _edsr(found: Found) -> dict[str, Any]:
    fields = _resnet(found)
    # No tensor tells: the two that are published, EDSR and its baseline.
    large = (fields["num_blocks"], fields["num_features"]) == (32, 256)
    return fields | {"res_scale": 0.1 if large else 1.0}


def _compact(found: Found) -> dict[str, Any]:
    if not found.holds("act_first") and "activation" not in found.assumed:
        raise ValueError(
            "it has no PReLU slopes: say its activation, relu or lrelu, by"
            " `jaxsr convert FILE OUT.safetensors --set activation=relu`"
        )
    features, channels = found.shape("conv_first")[:2]
    layers = [int(match[1]) for name in found.state if (match := re.match(r"body\.(\d+)\.", name))]
    # However large the numbers, there are no more layers than tensors.
    blocks = min(max(layers) // 2 - 1, len(found.state))
    return {
        "scale": isqrt(found.shape("conv_last", blocks=blocks)[0] // channels),
        "channels": channels,
        "num_features": features,
        "num_convs": blocks,
    }


def _espcn(found: Found) -> dict[str, Any]:
    first, body, last = (found.shape(f"conv_{part}") for part in ("first", "body", "last"))
    return {
        "scale": isqrt(last[0] // first[1]),
        "channels": first[1],
        "num_features": first[0],
        "kernels": (first[2], body[2], last[2]),
    }


def _unet(found: Found) -> dict[str, Any]:
    features, channels = found.shape("conv0")[:2]
    return {"num_features": features, "channels": channels}


def _vgg_style(found: Found) -> dict[str, Any]:
    if found.holds("conv5_0"):
        raise ValueError("it is BasicSR's for crops of 256, whose conv5_0 and on ours has not")
    features, channels = found.shape("conv0_0")[:2]
    return {"num_features": features, "channels": channels}


def _same(blocks: int, ups: int) -> dict[str, str]:
    """BasicSR's names, after which ours are called."""
    del blocks, ups
    return {r"block_(\d+)/(conv\d)": r"body.\1.\2"}


def _rrdbnet_new(blocks: int, ups: int) -> dict[str, str]:
    del blocks, ups
    return {r"block_(\d+)/(rdb\d)/(conv\w+)": r"body.\1.\2.\3"}


def _rrdbnet_middle(blocks: int, ups: int) -> dict[str, str]:
    """Of xinntao/ESRGAN."""
    del blocks, ups
    return {
        r"block_(\d+)/rdb(\d)/(conv\w+)": r"RRDB_trunk.\1.RDB\2.\3",
        "conv_body": "trunk_conv",
        r"conv_up(\d)": r"upconv\1",
        "conv_hr": "HRconv",
    }


def _rrdbnet_old(blocks: int, ups: int) -> dict[str, str]:
    """Of the first BasicSR, and most community models: places in nested sequences.

    Its x3 has the names and shapes of x2, and passes for that.
    """
    return {
        "conv_first": "model.0",
        r"block_(\d+)/rdb(\d)/(conv\d)": r"model.1.sub.\1.RDB\2.\3.0",
        r"block_(\d+)/rdb(\d)/conv1x1": r"model.1.sub.\1.RDB\2.conv1x1",
        "conv_body": f"model.1.sub.{blocks}",
        # Each is an enlargement, a convolution and an activation.
        **{f"conv_up{i}": f"model.{3 * i}" for i in UPS},
        "conv_hr": f"model.{3 * ups + 2}",
        "conv_last": f"model.{3 * ups + 4}",
    }


def _edsr_new(blocks: int, ups: int) -> dict[str, str]:
    """BasicSR's, which works on [0, 255] less the mean as ours does."""
    ours = {f"upconv{i}": f"upsample.{2 * i - 2}" for i in UPS}
    return _same(blocks, ups) | ours | {"conv_body": "conv_after_body"}


def _srresnet(blocks: int, ups: int, *, conv: str) -> dict[str, str]:
    """Of Lornatang/SRGAN-PyTorch."""
    del blocks, ups
    parts = enumerate(("conv1", "bn1", "act", "conv2", "bn2"))
    return {
        "conv_first": f"{conv}1.0",
        "act_first": f"{conv}1.1",
        **{rf"block_(\d+)/{part}": rf"trunk.\1.rcb.{i}" for i, part in parts},
        "conv_body": f"{conv}2.0",
        "bn_body": f"{conv}2.1",
        **{f"upconv{i}": f"upsampling.{i - 1}.upsample_block.0" for i in UPS},
        **{f"act_up{i}": f"upsampling.{i - 1}.upsample_block.2" for i in UPS},
        "conv_last": f"{conv}3",
    }


def _srresnet_new(blocks: int, ups: int) -> dict[str, str]:
    return _srresnet(blocks, ups, conv="conv")


def _srresnet_old(blocks: int, ups: int) -> dict[str, str]:
    return _srresnet(blocks, ups, conv="conv_block")


def _compact_new(blocks: int, ups: int) -> dict[str, str]:
    del ups
    return {
        "conv_first": "body.0",
        "act_first": "body.1",
        **{f"conv_{i}": f"body.{2 * i + 2}" for i in range(blocks)},
        **{f"act_{i}": f"body.{2 * i + 3}" for i in range(blocks)},
        "conv_last": f"body.{2 * blocks + 2}",
    }


def _espcn_new(blocks: int, ups: int) -> dict[str, str]:
    """Of Lornatang/ESPCN-PyTorch."""
    del blocks, ups
    names = ("feature_maps.0", "feature_maps.2", "sub_pixel.0")
    return dict(zip(("conv_first", "conv_body", "conv_last"), names, strict=True))


def _espcn_old(blocks: int, ups: int) -> dict[str, str]:
    """Of yjn870/ESPCN-pytorch."""
    del blocks, ups
    names = ("first_part.0", "first_part.2", "last_part.0")
    return dict(zip(("conv_first", "conv_body", "conv_last"), names, strict=True))


class Family(NamedTuple):
    """A small network of the family, what infers the fields of others, and the layouts."""

    example: nn.Module
    infer: Callable[[Found], dict[str, Any]]
    layouts: dict[str, Layout]


GENERATOR_FAMILIES = {
    "rrdbnet": Family(
        RRDBNet(4, num_blocks=1),
        _rrdbnet,
        {"new": _rrdbnet_new, "middle": _rrdbnet_middle, "old": _rrdbnet_old},
    ),
    "compact": Family(SRVGGNetCompact(4, num_convs=1), _compact, {"new": _compact_new}),
    "msrresnet": Family(MSRResNet(4, num_blocks=1), _resnet, {"new": _same}),
    "srresnet": Family(
        SRResNet(4, num_blocks=1), _resnet, {"new": _srresnet_new, "old": _srresnet_old}
    ),
    "edsr": Family(EDSR(4, num_blocks=1), _edsr, {"new": _edsr_new}),
    "espcn": Family(ESPCN(4), _espcn, {"new": _espcn_new, "old": _espcn_old}),
}

DISCRIMINATOR_FAMILIES = {
    "unet": Family(UNetDiscriminatorSN(), _unet, {"new": _same}),
    "vgg_style": Family(VGGStyleDiscriminator(), _vgg_style, {"new": _same}),
}
