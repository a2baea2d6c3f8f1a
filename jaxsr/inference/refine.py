"""What may be done around a network: self-ensemble, blended weights, consistency, another size.

Each takes and gives float32 pictures [..., H, W, C] on the host, or functions between them.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from jaxsr.imaging.resize import resize, taps
from jaxsr.networks.weights import Weights, arch_spec

Network = Callable[[np.ndarray], np.ndarray]

ROUNDS = 8  # of projection and clipping: what clipping undoes shrinks by a third with each


def self_ensemble(network: Network) -> Network:
    """The mean over the eight flips and quarter turns of the picture (Timofte et al. 2016, 3.6)."""

    def ensemble(image: np.ndarray) -> np.ndarray:
        total: Any = 0.0
        for turns in range(4):
            for flip in (False, True):
                turned = np.rot90(image, turns, axes=(-3, -2))
                turned = np.flip(turned, -2) if flip else turned
                sr = network(np.ascontiguousarray(turned))
                sr = np.flip(sr, -2) if flip else sr
                total = total + np.rot90(sr, -turns, axes=(-3, -2))
        return total / np.float32(8)

    return ensemble


def blend(weights: Weights, other: Weights, *, strength: float) -> Weights:
    """Interpolate two checkpoints of one network: 0 is `weights`, 1 is `other`.

    ESRGAN's network interpolation (Wang et al. 2018, section 3.4). Raises ValueError for different
    networks, and a strength outside [0, 1].
    """
    if (weights.arch, weights.ranges) != (other.arch, other.ranges):
        kinds = [f"{arch_spec(each.arch)}, ranges {each.ranges}" for each in (weights, other)]
        raise ValueError(
            f"got weights of {' and of '.join(kinds)}, wanted two checkpoints of one network; "
            "blend a network with the one that was trained from it"
        )
    if not 0 <= strength <= 1:
        raise ValueError(f"strength: got {strength}, wanted 0 (all of the first) to 1")
    return jax.tree.map(lambda a, b: (1 - strength) * a + strength * b, weights, other)


def resized(
    network: Network, *, scale: float | None = None, size: tuple[int, int] | None = None
) -> Network:
    """Resize what the network gives by MATLAB's bicubic: to `scale` times its input, or to `size`.

    `size` is (height, width).
    """

    def sized(image: np.ndarray) -> np.ndarray:
        sr = network(image)
        wanted = size or target_size(image.shape[-3:-1], scale or 1)
        return sr if sr.shape[-3:-1] == wanted else resize(sr, wanted, method="bicubic")

    return sized


def target_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor, whole and at least 1."""
    height, width = (max(1, round(n * scale)) for n in size)
    return height, width


def consistent(network: Network, *, clip: bool = True) -> Network:
    """Project what the network gives so that its bicubic reduction is the input again.

    The nearest picture with that property (least squares), then clipped to [0, 1], in turn, as
    often as `ROUNDS` says; `residual` tells what clipping left. Without `clip` one projection is
    all. Raises ValueError for a result that is smaller than the input.
    """

    def projected(image: np.ndarray) -> np.ndarray:
        sr = network(image)
        if any(n < m for n, m in zip(sr.shape, image.shape, strict=True)):
            raise ValueError(
                f"consistency: got a result of {sr.shape[-3:-1]} for an input of "
                f"{image.shape[-3:-1]}, wanted none smaller; leave it out"
            )
        for _ in range(ROUNDS if clip else 1):
            sr = project(sr, image)
            sr = sr.clip(0, 1) if clip else sr
        return sr

    return projected


def residual(sr: np.ndarray, lr: np.ndarray) -> float:
    """The largest absolute difference between the bicubic reduction of `sr` and `lr`."""
    return float(np.abs(resize(sr, lr.shape[-3:-1]) - lr).max())


def project(sr: np.ndarray, lr: np.ndarray) -> np.ndarray:
    """The picture nearest to `sr` whose bicubic reduction to the size of `lr` is `lr`.

    sr + D^T (D D^T)^-1 (lr - D sr), which falls apart into rows and columns as D does.
    """
    difference = lr - resize(sr, lr.shape[-3:-1])
    for axis in (-3, -2):
        difference = _lift(difference, sr.shape[axis], axis=axis)
    return sr + difference


def _lift(image: np.ndarray, size: int, *, axis: int) -> np.ndarray:
    """Apply D^T (D D^T)^-1 along one axis, D reducing `size` pixels to those of the axis."""
    from scipy.linalg import solveh_banded

    reduce, bands = _reduction(size, image.shape[axis])
    moved = np.moveaxis(image, axis, 0)
    flat = moved.reshape(len(moved), -1)
    lifted = reduce.T @ solveh_banded(bands, flat, lower=True, check_finite=False)
    lifted = lifted.astype(np.float32).reshape(size, *moved.shape[1:])
    return np.moveaxis(lifted, 0, axis)


@lru_cache(maxsize=16)
def _reduction(n_in: int, n_out: int) -> tuple[Any, np.ndarray]:
    """D as a sparse matrix, and the lower diagonals of the banded D D^T."""
    from scipy.sparse import csr_array

    index, weight = taps(n_in, n_out, "bicubic")
    rows = np.broadcast_to(np.arange(n_out)[:, None], index.shape)
    reduce = csr_array((weight.ravel(), (rows.ravel(), index.ravel())), shape=(n_out, n_in))
    square = reduce @ reduce.T
    reach = int(np.abs(np.subtract(*square.nonzero())).max())
    bands = np.zeros((reach + 1, n_out))
    for k in range(reach + 1):
        bands[k, : n_out - k] = square.diagonal(-k)
    return reduce, bands
