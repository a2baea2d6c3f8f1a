"""What enlarges the pictures of a job: a network with its options, or a classical method."""

import hashlib
import json
import math
from dataclasses import replace
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

    The self-ensemble comes first, then the size, then the consistency.
    """
    options = options or Options()
    _check(weights, options)
    plain = options == Options(options.tiling)

    def enlarge(pixels: np.ndarray) -> Enlarged:
        if not weights.ranges:
            check_unit(pixels)
        if plain:
            sr, notes = upscale_noted(weights, pixels, options.tiling)
            return Enlarged(within(weights, sr), notes)
        return Enlarged(*_refined(weights, options, pixels))

    return enlarge


def within(weights: Weights, sr: np.ndarray) -> np.ndarray:
    """Floats without units clipped to [0, 1], which they may not leave on the way in either."""
    return sr.clip(0, 1) if sr.dtype.kind == "f" and not weights.ranges else sr


def _check(weights: Weights, options: Options) -> None:
    check_tiling(options.tiling)
    _check_target(options.scale, options.size)
    factor = weights.arch.scale if options.scale is None else options.scale
    if options.consistency and options.size is None and factor <= 1:
        raise ValueError(
            f"consistency: got the scale {factor}, wanted a result larger than the input; leave it "
            "out"
        )


def _check_target(scale: float | None, size: tuple[int, int] | None) -> None:
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale: got {scale}, wanted more than 0")
    if size is not None and min(size) < 1:
        raise ValueError(f"size: got {size}, wanted a height and a width of 1 or more")
    if scale is not None and size is not None:
        raise ValueError("got a scale and a size; give one of them")


def _refined(
    weights: Weights, options: Options, pixels: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Through the network in floats, with what the options add to it."""
    unit = replace(weights, ranges=())
    notes: list[str] = []

    def plain(image: np.ndarray) -> np.ndarray:
        sr, said = upscale_noted(unit, image, options.tiling)
        notes.extend(note for note in said if note not in notes)
        return sr

    network: Network = plain
    if options.self_ensemble:
        network = self_ensemble(network)
    if options.scale is not None or options.size is not None:
        network = resized(network, scale=options.scale, size=options.size)
    if options.consistency:
        network = consistent(network, clip=not weights.ranges)
    image = np.asarray(to_unit(pixels, weights.ranges))
    sr = within(weights, network(image))
    sr = np.asarray(from_unit(sr, weights.ranges, pixels.dtype))
    if options.consistency:
        left = residual(np.asarray(to_unit(sr, weights.ranges)), image)
        told = f"{left:.3g} of the bands' range" if weights.ranges else f"{255 * left:.2f} of 255"
        notes.append(f"reduced again, it differs from the input by {told} at most")
    return sr, notes


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
        got = f"the size {size}" if scale is None else f"the scale {scale}"
        raise ValueError(f"wiener: got {got}, wanted a whole scale; take another method")

    def enlarge(pixels: np.ndarray) -> np.ndarray:
        image = to_float(pixels)
        colours = image.size and 0 <= image.min() <= image.max() <= 1
        if whole:
            sr = classical.enlarge(image, int(scale or 1), method=method)
        else:
            target = size or target_size(image.shape[-3:-1], scale or 1)
            sr = resize(image, target, method=method)
        # What lay in [0, 1] stays there; measurements keep their units.
        return from_float(np.clip(sr, 0, 1) if colours else sr, pixels.dtype)

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
