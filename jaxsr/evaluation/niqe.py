"""NIQE: how unnatural a picture looks, without another to compare it with.

Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer" (2013), in the
definition of BasicSR, which follows the authors' MATLAB: Y of BT.601 rounded to levels, blocks of
96 x 96 that do not overlap, all of them used. The model of natural pictures that ships beside this
module, niqe_pris_params.npz, is the authors' as BasicSR distributes it (Apache-2.0).
"""

import math
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.imaging import color
from jaxsr.imaging.resize import resize

BLOCK = 96
SMALLEST = (BLOCK, 2 * BLOCK)  # two blocks, the fewest that have a covariance

_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # to the neighbours whose products are looked at


class Natural(NamedTuple):
    """What is known of natural pictures, for 36 features f: whiten @ (f - mean) is standard."""

    mean: np.ndarray  # [36]
    whiten: np.ndarray  # [36, 36]
    window: np.ndarray  # [7, 7], a Gaussian of sum 1


class Shapes(NamedTuple):
    """Of generalised Gaussians with shape 0.2, 0.201 ... 10."""

    shape: np.ndarray
    borders: np.ndarray  # of E[|x|]^2 / E[x^2], halfway between two shapes
    spread: np.ndarray  # their parameter beta, where the deviation is 1
    mean: np.ndarray  # E[|x|] / beta


def niqe(image: jax.Array, *, crop: int) -> jax.Array:
    """Give the distance from natural pictures, lower being better: [N, H, W, C] to [N] float32.

    RGB, or grey that stands for its own Y, floats in [0, 1]; `crop` pixels are cut off every
    border, then what is left of the blocks at the right and the bottom. NaN where fewer than two
    blocks have any texture. Raises ValueError for pictures of fewer than two blocks.
    """
    _check(image, crop)
    rows, columns = ((n - 2 * crop) // BLOCK * BLOCK for n in image.shape[1:3])
    inner = jnp.asarray(image, jnp.float32)[:, crop : crop + rows, crop : crop + columns]
    levels = jnp.round(color.luma(inner) * 255)
    # Halves of whole levels are exact in float32, so that what is flat stays so.
    half = resize(levels, (rows // 2, columns // 2))
    features = [_features(levels, BLOCK), _features(half, BLOCK // 2)]
    return _distance(jnp.concatenate(features, axis=-1))


def _check(image: jax.Array, crop: int) -> None:
    if image.ndim != 4 or image.shape[-1] not in (1, 3):
        raise ValueError(
            f"got pictures of shape {image.shape}, wanted [N, H, W, 3] or [N, H, W, 1] for NIQE; "
            "leave it out for other bands"
        )
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise ValueError(
            f"NIQE takes floats in [0, 1], not {image.dtype}; apply color.to_float first"
        )
    sides = [n - 2 * crop for n in image.shape[1:3]]
    if crop < 0 or min(sides) < SMALLEST[0] or max(sides) < SMALLEST[1]:
        raise ValueError(
            f"pictures of {image.shape[1]} x {image.shape[2]} with {crop} pixels cut off every "
            f"border leave less than the {SMALLEST[0]} x {SMALLEST[1]} of NIQE; use larger pictures"
        )


def _features(levels: jax.Array, block: int) -> jax.Array:
    """Statistics of each block (Mittal et al., section II.B): [N, H, W, 1] to [N, blocks, 18]."""
    n, height, width, _ = levels.shape
    x = _normalise(levels[..., 0])
    x = x.reshape(n, height // block, block, width // block, block)
    x = x.transpose(0, 1, 3, 2, 4).reshape(n, -1, block, block)
    products = [x * jnp.roll(x, shift, (2, 3)) for shift in _SHIFTS]
    shape, mean, left, right = _fit(jnp.stack([x, *products]))
    first = jnp.stack([shape[0], (left[0] + right[0]) / 2], axis=-1)
    others = jnp.stack([shape, mean, left, right], axis=-1)[1:]
    others = jnp.moveaxis(others, 0, 2).reshape(*first.shape[:2], -1)
    return jnp.concatenate([first, others], axis=-1)


def _normalise(x: jax.Array) -> jax.Array:
    """(x - mean) / (deviation + 1), both local (equation 1): [N, H, W] to the same.

    Of differences from the pixel in the middle, so that flat areas give exactly 0: the square of
    the mean taken from that of the squares leaves rounding there, and of either sign.
    """
    window = jnp.asarray(natural().window)
    padded = jnp.pad(x, ((0, 0), (3, 3), (3, 3)), mode="edge")

    def add(k: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        i, j = k // 7, k % 7
        difference = jax.lax.dynamic_slice(padded, (0, i, j), x.shape) - x
        weighed = window[i, j] * difference
        return sums[0] + weighed, sums[1] + weighed * difference

    mean, power = jax.lax.fori_loop(0, 49, add, (jnp.zeros_like(x), jnp.zeros_like(x)))
    return -mean / (jnp.sqrt(jnp.abs(power - jnp.square(mean))) + 1)


def _fit(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Fit asymmetric generalised Gaussians (equations 4 to 7) to [..., h, w].

    Gives shape, mean and spread to the left and to the right, [...] each. What is nowhere
    negative, or nowhere positive, has the least shape and NaN otherwise, as in the references.
    """
    known = shapes()
    power = jnp.square(x)
    left, right = (
        jnp.sqrt(jnp.sum(power, (-2, -1), where=side) / jnp.sum(side, (-2, -1)))
        for side in (x < 0, x > 0)
    )
    ratio = left / right
    r = jnp.square(jnp.mean(jnp.abs(x), (-2, -1))) / jnp.mean(power, (-2, -1))
    r = r * (ratio**3 + 1) * (ratio + 1) / jnp.square(ratio**2 + 1)
    index = jnp.where(jnp.isnan(r), 0, jnp.searchsorted(jnp.asarray(known.borders), r))
    shape, spread, mean = (
        jnp.asarray(table)[index] for table in (known.shape, known.spread, known.mean)
    )
    left, right = left * spread, right * spread
    return shape, (right - left) * mean, left, right


def _distance(features: jax.Array) -> jax.Array:
    """The distance of two normal distributions (equation 10): [N, blocks, 36] to [N].

    sqrt(d^T ((A + B) / 2)^-1 d), d the difference of the means, A the covariance of natural
    pictures and B that of the blocks; in coordinates where A is 1, in which float32 does.
    """
    known = natural()
    highest = jax.lax.Precision.HIGHEST
    f = features - jnp.asarray(known.mean).reshape(1, 1, -1)
    whole = ~jnp.any(jnp.isnan(f), axis=-1, keepdims=True)
    mean = jnp.nanmean(f, axis=1)
    count = jnp.sum(whole, axis=1)
    centre = jnp.sum(f, axis=1, where=whole) / count
    f = jnp.where(whole, f - centre[:, None], 0)
    f = jnp.einsum("nbf,gf->nbg", f, known.whiten, precision=highest)
    mean = jnp.einsum("nf,gf->ng", mean, known.whiten, precision=highest)
    covariance = jnp.einsum("nbf,nbg->nfg", f, f, precision=highest) / (count[..., None] - 1)
    half = (covariance + jnp.eye(mean.shape[-1])[None]) / 2
    solved = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(half), True), mean[..., None])
    return jnp.sqrt(jnp.sum(mean * solved[..., 0], axis=-1))


@cache
def natural() -> Natural:
    """Read the model that ships with the package."""
    with np.load(Path(__file__).with_name("niqe_pris_params.npz")) as file:
        lower = np.linalg.cholesky(file["cov_pris_param"])
        arrays = file["mu_pris_param"][0], np.linalg.inv(lower), file["gaussian_window"]
    return Natural(*(array.astype(np.float32) for array in arrays))


@cache
def shapes() -> Shapes:
    """Tabulate the shapes among which the references search the nearest."""
    shape = np.arange(0.2, 10.001, 0.001)
    one, two, three = (np.array([math.gamma(k / a) for a in shape]) for k in (1, 2, 3))
    r = two**2 / (one * three)
    tables = shape, (r[1:] + r[:-1]) / 2, np.sqrt(one / three), two / one
    return Shapes(*(table.astype(np.float32) for table in tables))
