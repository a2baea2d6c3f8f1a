"""One pass of Real-ESRGAN's degradation: what may happen to a picture, and the kernels of its blur.

Wang, Xie, Dong and Shan (2021), with the parameters of the authors' options.
"""

from dataclasses import dataclass
from math import pi
from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.imaging import kernels
from jaxsr.imaging.operations import Draws, Range, check_range, check_share, stream, uniform
from jaxsr.imaging.rescale import INTERPOLATIONS

# What a draw's number stands for; the first six kernels have the probabilities of `Pass.kernels`.
KERNELS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
KERNELS += ("sinc", "none")
RESIZES = ("up", "down", "keep")
NAMES = {"kernel": KERNELS, "resize": RESIZES, "method": tuple(INTERPOLATIONS)}

METHOD_SHARES = (1 / 3, 1 / 3, 1 / 3)  # of the methods in `NAMES`
SINC, NONE = KERNELS.index("sinc"), KERNELS.index("none")
_SIZES = range(7, kernels.SIDE + 1, 2)
_WIDE = 13  # pixels, from which on a sinc may cut lower frequencies


def choose(key: jax.Array, draw: str, shares: tuple[float, ...]) -> jax.Array:
    """Draws one of as many as there are shares, int32."""
    return jax.random.choice(stream(key, draw), len(shares), p=jnp.array(shares))


def happens(key: jax.Array, draw: str, probability: float) -> jax.Array:
    """Draws whether something happens."""
    return jax.random.bernoulli(stream(key, draw), probability)


def draw_size(key: jax.Array) -> jax.Array:
    """Draws the side of a kernel."""
    return 2 * jax.random.randint(stream(key, "size"), (), 0, len(_SIZES)) + _SIZES[0]


def _draw_beta(key: jax.Array, between: Range) -> jax.Array:
    """Uniform from the lower end to 1, or, as often, from 1 to the upper end."""
    low, high = between
    share = jax.random.uniform(stream(key, "beta"), minval=-1.0)
    return 1 + jnp.where(share < 0, share * (1 - low), share * (high - 1))


def _check_shares(op: Any, field: str) -> None:
    shares = getattr(op, field)
    if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-3):  # nan is neither
        raise ValueError(f"{field}: got {list(shares)}, wanted probabilities that add up to 1")


@dataclass(frozen=True)
class Pass:
    """Blur, resize, noise and JPEG, one after the other; the fields are probabilities and ranges.

    There is a blur with the probability `blur`; its kernel is a `sinc` or else one of `kernels`: an
    isotropic or anisotropic Gaussian, generalised Gaussian, or plateau. `sigma` is in pixels; of
    each beta one half is drawn below 1 and one above. `resize` enlarges, reduces or keeps, by a
    factor of `factor` above or below 1. The noise is Gaussian with the probability `gaussian`, of
    `noise` levels of 255, and else `poisson` times that of counted photons; all channels share it
    with the probability `grey`. `quality` is libjpeg's.
    """

    blur: float = 1.0
    kernels: tuple[float, float, float, float, float, float] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sigma: Range = (0.2, 3.0)
    beta_generalized: Range = (0.5, 4.0)
    beta_plateau: Range = (1.0, 2.0)
    sinc: float = 0.1
    resize: tuple[float, float, float] = (0.2, 0.7, 0.1)
    factor: Range = (0.15, 1.5)
    gaussian: float = 0.5
    noise: Range = (1.0, 30.0)
    poisson: Range = (0.05, 3.0)
    grey: float = 0.4
    quality: tuple[int, int] = (30, 95)

    def __post_init__(self) -> None:
        for field in ("blur", "sinc", "gaussian", "grey"):
            check_share(self, field)
        for field in ("kernels", "resize"):
            _check_shares(self, field)
        check_range(self, "sigma", 0, kernels.SIDE)
        for field in ("beta_generalized", "beta_plateau"):
            check_range(self, field, 0.1, 10)
            low, high = getattr(self, field)
            if not low <= 1 <= high:
                raise ValueError(f"{field}: got {[low, high]}, wanted a range with 1 in it")
        check_range(self, "factor", 0.01, 8)
        check_range(self, "noise", 0, 255)
        check_range(self, "poisson", 0, 100)
        check_range(self, "quality", 1, 100)

    def draw(self, key: jax.Array) -> Draws:
        """Draws what happens to one picture, the noise itself excepted."""
        low, high = self.factor
        resize = choose(key, "resize", self.resize)
        up = uniform(key, "up", (1.0, max(high, 1.0)))
        down = uniform(key, "down", (min(low, 1.0), 1.0))
        worst, best = self.quality
        return self._draw_kernel(key) | {
            "resize": resize,
            "factor": jnp.stack([up, down, jnp.float32(1)])[resize],
            "method": choose(key, "method", METHOD_SHARES),
            "gaussian": happens(key, "kind", self.gaussian),
            "noise": uniform(key, "deviation", self.noise),
            "poisson": uniform(key, "scale", self.poisson),
            "grey": happens(key, "grey", self.grey),
            "quality": jax.random.randint(stream(key, "quality"), (), worst, best + 1),
        }

    def _draw_kernel(self, key: jax.Array) -> Draws:
        kind = choose(key, "kernel", self.kernels)
        kind = jnp.where(happens(key, "sinc", self.sinc), SINC, kind)
        turned = (kind % 2 == 1) & (kind < SINC)
        sigma_x, sigma_y = (uniform(key, name, self.sigma) for name in ("sigma", "sigma_y"))
        betas = [_draw_beta(key, range_) for range_ in (self.beta_generalized, self.beta_plateau)]
        size = draw_size(key)
        lowest = jnp.where(size < _WIDE, pi / 3, pi / 5)
        share = jax.random.uniform(stream(key, "cutoff"))
        return {
            "kernel": jnp.where(happens(key, "blur", self.blur), kind, NONE),
            "size": size,
            "sigma_x": sigma_x,
            "sigma_y": jnp.where(turned, sigma_y, sigma_x),
            "angle": jnp.where(turned, uniform(key, "angle", (-pi, pi)), 0.0),
            "beta": jnp.stack([jnp.float32(1), *betas])[kind.clip(0, 5) // 2],
            "cutoff": lowest + share * (pi - lowest),
        }


@dataclass(frozen=True)
class SecondPass(Pass):
    """`Pass` with what Real-ESRGAN has the second time; its JPEG is the last."""

    blur: float = 0.8
    sigma: Range = (0.2, 1.5)
    resize: tuple[float, float, float] = (0.3, 0.4, 0.3)
    factor: Range = (0.3, 1.2)
    noise: Range = (1.0, 25.0)
    poisson: Range = (0.05, 2.5)


def make_kernel(draws: Draws) -> jax.Array:
    """The kernel [21, 21] that was drawn."""
    kind, size = draws["kernel"], draws["size"]
    pulse = jnp.zeros((kernels.SIDE, kernels.SIDE)).at[kernels.SIDE // 2, kernels.SIDE // 2].set(1)
    made = {"sinc": kernels.sinc(size, draws["cutoff"]), "none": pulse}
    if "beta" not in draws:
        return jnp.where(kind == SINC, made["sinc"], made["none"])
    shape = [draws[name] for name in ("sigma_x", "sigma_y", "angle", "beta")]
    # With a beta of 1 the generalised Gaussian is the plain one.
    bell, flat = kernels.generalized(size, *shape), kernels.plateau(size, *shape)
    return jnp.stack([bell, bell, bell, bell, flat, flat, made["sinc"], made["none"]])[kind]
