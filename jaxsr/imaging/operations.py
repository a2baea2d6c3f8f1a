"""The steps of a degradation: one picture in, one of the same shape out, drawn from its key.

An operation is a frozen dataclass, hashable and so static under jit. A pair of numbers is a range,
from which each picture draws uniformly. Nothing is clipped except where an operation must.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import pi
from typing import Any

import jax

from jaxsr.imaging import kernels, noise
from jaxsr.imaging.blur import blur
from jaxsr.imaging.jpeg import SUBSAMPLINGS, jpeg
from jaxsr.imaging.rescale import KERNELS, down_up

Range = tuple[float, float]
Draws = dict[str, Any]  # what happens to a picture, by name: scalars, and dicts of them

# What a step draws, each from a key of its own; the numbers stay, or seeds change their meaning.
# Those of the last two are far from the positions of steps, which are folded into the same key.
DRAWS = {"gate": 0, "sigma": 1, "ratio": 2, "angle": 3, "grey": 4, "noise": 5, "peak": 6}
DRAWS |= {"quality": 7, "factor": 8, "kernel": 9, "sinc": 10, "blur": 11, "size": 12, "sigma_y": 13}
DRAWS |= {"beta": 14, "cutoff": 15, "resize": 16, "up": 17, "down": 18, "method": 19, "kind": 20}
DRAWS |= {"deviation": 21, "scale": 22, "order": 23, "row": 1024, "column": 1025}


def stream(key: jax.Array, draw: str) -> jax.Array:
    """Gives the key of one named draw from the key of a step."""
    return jax.random.fold_in(key, DRAWS[draw])


def uniform(key: jax.Array, draw: str, between: Range) -> jax.Array:
    """Draws a number from a range."""
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
        check_range(self, "sigma", 0, self.size)
        check_range(self, "ratio", 0, 1)
        check_share(self, "probability")

    def draw(self, key: jax.Array) -> Draws:
        """Draws the deviation, the ratio and the angle."""
        ranges = {"sigma": self.sigma, "ratio": self.ratio, "angle": (0, pi)}
        return {name: uniform(key, name, between) for name, between in ranges.items()}

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Blurs [H, W, C]."""
        drawn = self.draw(key)
        sigmas = drawn["sigma"], drawn["sigma"] * drawn["ratio"]
        return blur(image, kernels.gaussian(self.size, *sigmas, drawn["angle"], side=self.size))


@dataclass(frozen=True)
class Noise:
    """Adds Gaussian noise of deviation `sigma`, in levels of 255.

    `grey` is the probability that all channels of a picture share one draw.
    """

    sigma: Range = (5.0, 25.0)
    grey: float = 0.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "sigma", 0, 255)
        check_share(self, "grey")
        check_share(self, "probability")

    def draw(self, key: jax.Array) -> Draws:
        """Draws the deviation, and whether the channels share the noise."""
        grey = jax.random.bernoulli(stream(key, "grey"), self.grey)
        return {"sigma": uniform(key, "sigma", self.sigma), "grey": grey}

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Adds the noise to [H, W, C]."""
        return noise.gaussian(stream(key, "noise"), image, **self.draw(key))


@dataclass(frozen=True)
class Poisson:
    """Counts photons, of which white sends `peak`: x becomes Poisson(x peak) / peak.

    The variance is x / peak, so few photons are much noise. What is below 0 counts as black.
    """

    peak: Range = (30.0, 300.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "peak", 1, 1e6)
        check_share(self, "probability")

    def draw(self, key: jax.Array) -> Draws:
        """Draws the photons of white."""
        return {"peak": uniform(key, "peak", self.peak)}

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Counts the photons of [H, W, C]."""
        peak = self.draw(key)["peak"]
        u = noise.open_uniform(stream(key, "noise"), image.shape)
        return noise.poisson_quantile(u, image.clip(0) * peak) / peak


@dataclass(frozen=True)
class Jpeg:
    """The round trip through a JPEG file, which rounds to 8 bits; see `jaxsr.imaging.jpeg`."""

    quality: tuple[int, int] = (30, 95)
    subsampling: str = "4:2:0"
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "quality", 1, 100)
        check_choice(self, "subsampling", SUBSAMPLINGS)
        check_share(self, "probability")

    def draw(self, key: jax.Array) -> Draws:
        """Draws the quality."""
        low, high = self.quality
        return {"quality": jax.random.randint(stream(key, "quality"), (), low, high + 1)}

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Codes and decodes [H, W, C]."""
        return jpeg(image, self.draw(key)["quality"], subsampling=self.subsampling)


@dataclass(frozen=True)
class DownUp:
    """Reduces both sides `factor` times, to whole pixels, and enlarges them to what they were."""

    factor: Range = (1.0, 4.0)
    method: str = "bicubic"
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_range(self, "factor", 1, 64)
        check_choice(self, "method", KERNELS)
        check_share(self, "probability")

    def draw(self, key: jax.Array) -> Draws:
        """Draws the factor."""
        return {"factor": uniform(key, "factor", self.factor)}

    def apply(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """Resizes [H, W, C] down and up."""
        return down_up(image, self.draw(key)["factor"], method=self.method)


OPS = {"blur": Blur, "noise": Noise, "poisson": Poisson, "jpeg": Jpeg, "down_up": DownUp}


def check_range(op: Any, field: str, least: float, most: float) -> None:
    """Raise ValueError unless a field is a range within bounds."""
    low, high = getattr(op, field)
    if not least <= low <= high <= most:
        raise ValueError(
            f"{field}: got [{low:g}, {high:g}], wanted [low, high] "
            f"with {least:g} <= low <= high <= {most:g}"
        )


def check_share(op: Any, field: str) -> None:
    """Raise ValueError unless a field is a probability."""
    value = getattr(op, field)
    if not 0 <= value <= 1:
        raise ValueError(f"{field}: got {value:g}, wanted a number from 0 to 1")


def check_choice(op: Any, field: str, choices: Iterable[str]) -> None:
    """Raise ValueError unless a field is one of the choices."""
    value = getattr(op, field)
    if value not in choices:
        raise ValueError(f"{field}: got {value!r}, wanted one of {', '.join(choices)}")


def check_size(spec: Any, hr: jax.Array) -> None:
    """Raise ValueError unless pictures [N, H, W, C] are grey or RGB, and not too small."""
    _, height, width, channels = hr.shape
    if min(height, width) < spec.least:
        raise ValueError(
            f"got pictures of {height} x {width}, wanted {spec.least} pixels a side at least; "
            "degrade larger ones"
        )
    if channels not in (1, 3):
        raise ValueError(f"got pictures of {channels} channels, wanted grey or RGB: 1 or 3")


def check_output(spec: Any) -> None:
    """Raise ValueError unless `levels` and `crop` of a spec are None or as they can be."""
    if spec.levels is not None and spec.levels < 0:
        raise ValueError(f"levels: got {spec.levels}, wanted 0 (unrounded) or more, such as 255")
    if spec.crop is not None and spec.crop < 1:
        raise ValueError(f"crop: got {spec.crop}, wanted the pixels of a side, such as 400")
