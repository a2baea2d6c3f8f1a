"""Noise: Gaussian, and that of counted photons, of which each picture has parameters of its own.

Every number may be traced, so that one compiled program serves all pictures of a batch.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

_GRID = 2**-23  # the step of `jax.random.uniform`
_MANY = 10.0  # photons: from this rate on the expansion serves
_MOST = 32  # photons: more are rarer than `_GRID` at any rate below `_MANY`

# Of the inverse error function, from the highest power down.
_CENTRAL = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)


def gaussian(key: jax.Array, image: jax.Array, sigma: ArrayLike, grey: ArrayLike) -> jax.Array:
    """Adds Gaussian noise of deviation `sigma`, in levels of 255, to [H, W, C].

    Where `grey`, a bool, all channels share one draw.
    """
    noise = jax.random.normal(key, image.shape, image.dtype)
    return image + jnp.divide(sigma, 255) * jnp.where(grey, noise[..., :1], noise)


def poisson(
    key: jax.Array,
    image: jax.Array,
    height: ArrayLike,
    width: ArrayLike,
    scale: ArrayLike,
    grey: ArrayLike,
) -> jax.Array:
    """Adds `scale` times the noise of counted photons to [H, W, C], as BasicSR does.

    Counted is the picture rounded to levels of 8 bits, and white sends as many photons as the top
    left `height` x `width` of the canvas, where the picture lies, has distinct levels, rounded up
    to a power of two. What is beyond may hold anything, and does after. Where `grey`, a bool, the
    photons are those of the grey picture, and all channels share one noise. The gradient is that of
    the identity.
    """
    counted = jnp.where(grey, _grey(image), image)
    levels = jnp.round(counted.clip(0, 1) * 255)
    peak = _photons_of_white(levels, height, width)
    # A channel at a time, or XLA makes no vector code for CPUs and takes ten times as long.
    rate = jnp.moveaxis(levels, -1, 0) / 255 * peak
    u = open_uniform(key, rate.shape)
    u = jnp.where(grey, u[:1], u)
    photons = lax.map(lambda channel: poisson_quantile(*channel), (u, rate))
    noise = jnp.moveaxis(photons - rate, 0, -1) / peak
    return image + jnp.multiply(scale, noise)


def _grey(image: jax.Array) -> jax.Array:
    if image.shape[-1] == 1:
        return image
    if image.shape[-1] != 3:
        raise ValueError(
            f"a picture of shape {image.shape} has no grey; the last axis must hold one channel "
            "or three"
        )
    red, green, blue = (image[..., channel : channel + 1] for channel in range(3))
    # torchvision's weights, hence BasicSR's: the first differs from those of `color`.
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def _photons_of_white(levels: jax.Array, height: ArrayLike, width: ArrayLike) -> jax.Array:
    rows, columns = (jnp.arange(side) for side in levels.shape[:2])
    inside = (rows < height)[:, None, None] & (columns < width)[None, :, None]
    # By scatter, which takes a fifth of the time of a sort; beyond the picture into no bin.
    bins = jnp.where(inside, levels, 256).astype(jnp.int32).reshape(-1)
    distinct = jnp.zeros(256, jnp.int32).at[bins].set(1, mode="drop").sum()
    # In whole numbers, for the logarithm of 64 may be a little more than 6.
    return jnp.left_shift(1, 32 - lax.clz(distinct - 1)).astype(levels.dtype)


def open_uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draws from (0, 1), float32: the centres of equal intervals, never 0 or 1 itself."""
    return jax.random.uniform(key, shape) + _GRID / 2


def poisson_quantile(u: jax.Array, rate: jax.Array) -> jax.Array:
    """Gives the least whole number that a Poisson variable of mean `rate` exceeds by at most 1 - u.

    Of u from `open_uniform` it makes Poisson draws, float32, without rejection. Exact but for
    rounding below rate 10; up to 10,000 one draw in 1,000 at most is off, by one, above that,
    where float32 has few digits left, more. The gradient is 0.
    """
    few = _by_summation(u, jnp.minimum(rate, _MANY))
    many = _by_expansion(u, jnp.maximum(rate, _MANY))
    return jnp.where(rate < _MANY, few, many)


def _by_summation(u: jax.Array, rate: jax.Array) -> jax.Array:
    """Counts how many terms of the distribution can be taken from u before it is used up."""
    term = jnp.exp(-rate)
    left = u - term
    count = jnp.zeros_like(left)
    for k in range(1, _MOST + 1):
        term = term * (rate * (1 / k))
        # All terms together may be a rounding less than u, but none below the grid is ever drawn.
        count = jnp.where((left > 0) & (term > _GRID / 4), k, count)
        left = left - term
    return count


def _by_expansion(u: jax.Array, rate: jax.Array) -> jax.Array:
    """Cornish and Fisher's expansion, rounded as Giles has it (2016, Algorithm 955 of the ACM)."""
    w = _normal_quantile(u)
    root = jnp.sqrt(rate)
    # rate + w rate^(1/2) + (2 + w^2) / 6 - (2 w + w^3) / 72 rate^(-1/2)
    #   + (-16 + 7 w^2 + 3 w^4) / 810 rate^(-1), and all of it rounded down
    last = (-16 + w**2 * (7 + 3 * w**2)) / (810 * root)
    correction = (2 + w**2) / 6 + (last - w * (2 + w**2) / 72) / root
    return jnp.floor(rate + w * root + correction).clip(0)


def _normal_quantile(u: jax.Array) -> jax.Array:
    """Inverts the normal distribution by Giles' polynomials (2012, GPU Computing Gems)."""
    # lax.erf_inv is the same, but beside its log1p XLA makes no vector code for CPUs.
    distance = -jnp.log(4 * u * (1 - u))
    central = distance < 5
    x = jnp.where(central, distance - 2.5, jnp.sqrt(distance) - 3)
    value = jnp.zeros_like(x)
    for coefficients in zip(_CENTRAL, _TAIL, strict=True):
        value = value * x + jnp.where(central, *coefficients)
    return jnp.sqrt(2.0) * (2 * u - 1) * value
