"""What enlarges the pictures of a job: a network with its options, or a classical method."""

import hashlib
import json
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxsr.imaging import classical
from jaxsr.imaging.bands import check_unit, from_unit, to_unit
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.resize import resize
from jaxsr.inference.pipeline import Enlarge, Enlarged
from jaxsr.inference.refine import Network, consistent, residual, self_ensemble, to_scale
from jaxsr.inference.tiled import Tiling, check_tiling, upscale_noted
from jaxsr.networks.weights import Weights


class Options(NamedTuple):
    """What is done around a network; `scale` is the factor wanted, where not the network's."""

    tiling: Tiling = Tiling()
    scale: float | None = None
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
    if options.scale is not None and not options.scale > 0:
        raise ValueError(f"scale: got {options.scale}, wanted more than 0")
    if options.consistency and scale == 1:
        raise ValueError(
            "consistency: got a network of scale 1, which reduces nothing; leave it out"
        )


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
    if options.scale is not None:
        sr = to_scale(lambda _: sr, options.scale)(image)
    return np.asarray(from_unit(sr, weights.ranges, pixels.dtype))


def by_method(method: str, *, scale: float) -> Enlarge:
    """Enlarge by a classical method, which takes any channels and needs no units."""
    if method not in classical.CLASSICAL:
        raise ValueError(f"method: got {method}, wanted one of {', '.join(classical.CLASSICAL)}")
    if scale <= 0 or method == "wiener" and scale != int(scale):
        raise ValueError(
            f"scale: got {scale} for {method}, wanted more than 0, and of wiener a whole number"
        )

    def enlarge(pixels: np.ndarray) -> np.ndarray:
        image = to_float(pixels)
        if scale == int(scale):
            sr = classical.enlarge(image, int(scale), method=method)
        else:
            size = [max(1, round(n * scale)) for n in image.shape[-3:-1]]
            sr = resize(image, (size[0], size[1]), method=method)
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
