"""The steps of a degradation: one picture in, one of the same shape out, drawn from its key.

An operation is a frozen dataclass, hashable and so static under jit. A pair of numbers is a range,
from which each picture draws uniformly. Nothing is clipped except where an operation must.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import pi
from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.imaging.blur import blur, gaussian_kernel
from jaxsr.imaging.jpeg import SUBSAMPLINGS, jpeg
from jaxsr.imaging.rescale import KERNELS, down_up

Range = tuple[float, float]

# What a step draws, each from a key of its own; the numbers stay, or seeds change their meaning.
DRAWS = {"gate": 0, "sigma": 1, "ratio": 2, "angle": 3, "grey": 4, "noise": 5, "peak": 6}
DRAWS |= {"quality": 7, "factor": 8}


def stream(key: jax.Array, draw: str) -> jax.Array:
    """Gives the key of one named draw from the key of a step."""
    return jax.random.fold_in(key, DRAWS[draw])


def _uniform(key: jax.Array, draw: str, between: Range) -> jax.Array:
    low, high = between
    return jax.random.uniform(stream(key, draw), minval=low, maxval=high)


@dataclass(frozen=True)
class Blur:
    """Gaussian blur of deviation `sigma` (pixels) along an axis of random direction.

    Across it the deviation is `ratio` times as large: 1 is isotropic. The kernel has `size` pixels
    a side. The border is mirrored.
    """

    sigma: Range = (0.5, 2.0)
    ratio: Range = (1.0, 1.0)
    size: int = 15
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.size not in range(3, 22, 2):
            raise ValueError(f"size: got {self.size}, wanted an odd number from 3 to 21")
        _check_range(self, "sigma", 0, self.size)
        _check_range(self, "ratio", 0, 1)
        _check_share(self, "probability")

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Blurs [H, W, C]."""
        sigma, ratio = (_uniform(key, name, getattr(self, name)) for name in ("sigma", "ratio"))
        angle = _uniform(key, "angle", (0, pi))
        return blur(image, gaussian_kernel(sigma, ratio, angle, size=self.size))


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise of deviation `sigma`, in levels of 255.

    `grey` is the probability that all channels of a picture share one draw.
    """

    sigma: Range = (5.0, 25.0)
    grey: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self, "sigma", 0, 255)
        _check_share(self, "grey")
        _check_share(self, "probability")

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Adds the noise to [H, W, C]."""
        noise = jax.random.normal(stream(key, "noise"), image.shape, image.dtype)
        if self.grey:
            shared = jax.random.bernoulli(stream(key, "grey"), self.grey)
            noise = jnp.where(shared, noise[..., :1], noise)
        return image + _uniform(key, "sigma", self.sigma) / 255 * noise


@dataclass(frozen=True)
class Poisson:
    """Counts photons, of which white sends `peak`: x becomes Poisson(x peak) / peak.

    The variance is x / peak, so few photons are much noise. What is below 0 counts as black. Exact
    by rejection, it takes some fifty times as long as Gaussian noise on the CPU.
    """

    peak: Range = (30.0, 300.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self, "peak", 1, 1e6)
        _check_share(self, "probability")

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Counts the photons of [H, W, C]."""
        peak = _uniform(key, "peak", self.peak)
        photons = jax.random.poisson(stream(key, "noise"), image.clip(0) * peak)
        return photons.astype(image.dtype) / peak


@dataclass(frozen=True)
class Jpeg:
    """The round trip through a JPEG file, which rounds to 8 bits; see `jaxsr.imaging.jpeg`."""

    quality: tuple[int, int] = (30, 95)
    subsampling: str = "4:2:0"
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self, "quality", 1, 100)
        _check_choice(self, "subsampling", SUBSAMPLINGS)
        _check_share(self, "probability")

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Codes and decodes [H, W, C]."""
        low, high = self.quality
        quality = jax.random.randint(stream(key, "quality"), (), low, high + 1)
        return jpeg(image, quality, subsampling=self.subsampling)


@dataclass(frozen=True)
class DownUp:
    """Reduces both sides `factor` times, to whole pixels, and enlarges them to what they were."""

    factor: Range = (1.0, 4.0)
    method: str = "bicubic"
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self, "factor", 1, 64)
        _check_choice(self, "method", KERNELS)
        _check_share(self, "probability")

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Resizes [H, W, C] down and up."""
        return down_up(image, _uniform(key, "factor", self.factor), method=self.method)


OPS = {"blur": Blur, "noise": Noise, "poisson": Poisson, "jpeg": Jpeg, "down_up": DownUp}


def _check_range(op: Any, field: str, least: float, most: float) -> None:
    low, high = getattr(op, field)
    if not least <= low <= high <= most:
        raise ValueError(
            f"{field}: got [{low:g}, {high:g}], wanted [low, high] "
            f"with {least:g} <= low <= high <= {most:g}"
        )


def _check_share(op: Any, field: str) -> None:
    value = getattr(op, field)
    if not 0 <= value <= 1:
        raise ValueError(f"{field}: got {value:g}, wanted a number from 0 to 1")


def _check_choice(op: Any, field: str, choices: Iterable[str]) -> None:
    value = getattr(op, field)
    if value not in choices:
        raise ValueError(f"{field}: got {value!r}, wanted one of {', '.join(choices)}")
