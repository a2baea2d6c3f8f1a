"""What enlarges the pictures of a job: a network with its options, or a classical method."""

import hashlib
import json
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr.imaging import classical
from jaxsr.imaging.bands import check_unit, from_unit, to_unit
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.resize import resize
from jaxsr.inference.pipeline import Enlarge, Enlarged
from jaxsr.inference.refine import (
    Network,
    consistent,
    residual,
    resized,
    self_ensemble,
    target_size,
)
from jaxsr.inference.tiled import Tiling, check_tiling, upscale_noted
from jaxsr.networks.weights import Weights


class Options(NamedTuple):
    """What is done around a network.

    `scale` is the factor wanted, where it is not the network's, or `size` the (height, width).
    """

    tiling: Tiling = Tiling()
    scale: float | None = None
    size: tuple[int, int] | None = None
    self_ensemble: bool = False
    consistency: bool = False


def by_network(weights: Weights, *, options: Options | None = None) -> Enlarge:
    """Enlarge by a network, in the units of its bands; ValueError for options that do not fit.

    The order is that of `Options`' names from the second backwards: the self-ensemble comes first,
    then the consistency, then the size. Floats without units are clipped to [0, 1], for they may
    not leave it on the way in either.
    """
    options = options or Options()
    _check(weights, options)
    plain = options[1:] == Options()[1:]

    def enlarge(pixels: np.ndarray) -> Enlarged:
        if not weights.ranges:
            check_unit(pixels)
        notes: list[str] = []
        if plain:
            sr, notes = upscale_noted(weights, pixels, options.tiling)
        else:
            sr = _refined(weights, options, pixels, notes)
        if not weights.ranges and sr.dtype.kind == "f":
            sr = sr.clip(0, 1)
        return Enlarged(sr, notes)

    return enlarge


def _check(weights: Weights, options: Options) -> None:
    check_tiling(options.tiling)
    scale = weights.arch.scale
    _check_target(options.scale, options.size)
    if options.consistency and scale == 1:
        raise ValueError(
            "consistency: got a network of scale 1, which reduces nothing; leave it out"
        )


def _check_target(scale: float | None, size: tuple[int, int] | None) -> None:
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: got {scale}, wanted more than 0")
    if size is not None and min(size) < 1:
        raise ValueError(f"size: got {size}, wanted a height and a width of 1 or more")
    if scale is not None and size is not None:
        raise ValueError("got a scale and a size; give one of them")


def _refined(
    weights: Weights, options: Options, pixels: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Through the network in floats, and what the options add to it."""
    unit = weights.replace(ranges=())  # pyright: ignore[reportAttributeAccessIssue]

    def plain(image: np.ndarray) -> np.ndarray:
        sr, said = upscale_noted(unit, image, options.tiling)
        notes.extend(note for note in said if note not in notes)
        return sr

    network: Network = plain
    image = np.asarray(to_unit(pixels, weights.ranges))
    if options.self_ensemble:
        network = self_ensemble(network)
    if options.consistency:
        network = consistent(network)
    sr = network(image)
    if options.consistency:
        left = 255 * residual(sr, image)
        notes.append(f"reduced again, it differs from the input by {left:.2f} of 255 at most")
    if options.scale is not None or options.size is not None:
        sr = resized(lambda _: sr, scale=options.scale, size=options.size)(image)
    return np.asarray(from_unit(sr, weights.ranges, pixels.dtype))


def by_method(
    method: str, *, scale: float | None = None, size: tuple[int, int] | None = None
) -> Enlarge:
    """Enlarge by a classical method, which takes any channels and needs no units.

    To `scale` times the picture, or to `size`, (height, width); Wiener by whole numbers only.
    """
    if method not in classical.CLASSICAL:
        raise ValueError(f"method: got {method}, wanted one of {', '.join(classical.CLASSICAL)}")
    _check_target(scale, size)
    if scale is None and size is None:
        raise ValueError(f"{method} needs to know how far; give a scale or a size")
    whole = scale is not None and scale == int(scale)
    if method == "wiener" and not whole:
        raise ValueError(f"got the scale {scale} and the size {size}, wanted a whole scale")

    def enlarge(pixels: np.ndarray) -> np.ndarray:
        image = to_float(pixels)
        if whole:
            sr = classical.enlarge(image, int(scale or 1), method=method)
        else:
            target = size or target_size(image.shape[-3:-1], scale or 1)
            sr = resize(image, target, method=method)
        return from_float(sr, pixels.dtype)

    return enlarge


def digest(weights: Weights | None, **options: Any) -> str:
    """A short hash of weights and of every option that changes what is written.

    Options are what JSON holds; None where no network is used.
    """
    state = hashlib.blake2b(digest_size=8)
    state.update(json.dumps(options, sort_keys=True).encode())
    if weights is not None:
        state.update(repr((weights.arch, weights.ranges)).encode())
    for path, leaf in jax.tree.leaves_with_path(weights):
        array = np.ascontiguousarray(leaf)
        state.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()
