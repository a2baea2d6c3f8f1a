"""Losses: arrays in, a float32 scalar out.

Pictures are [N, H, W, C] in [0, 1]; logits are any shape with the batch in front. Every loss is a
mean over the examples it is given, so that the mean over devices of equal shares is the loss of
the whole batch.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.imaging import metrics

Mean = Callable[[jax.Array], jax.Array]
Logits = Callable[[jax.Array], jax.Array]


def l1(sr: jax.Array, hr: jax.Array) -> jax.Array:
    """Mean absolute difference."""
    return jnp.mean(jnp.abs(sr - hr))


def l2(sr: jax.Array, hr: jax.Array) -> jax.Array:
    """Mean squared difference."""
    return jnp.mean(jnp.square(sr - hr))


def charbonnier(sr: jax.Array, hr: jax.Array, *, eps: float = 1e-12) -> jax.Array:
    """Mean of sqrt(d^2 + eps): L1 with a gradient at zero (Lai et al. 2017, eq. 5)."""
    return jnp.mean(jnp.sqrt(jnp.square(sr - hr) + eps))


def ssim(sr: jax.Array, hr: jax.Array) -> jax.Array:
    """1 - SSIM over all channels (Wang et al. 2004, eq. 13); at least 11 pixels a side."""
    return 1.0 - jnp.mean(metrics.ssim(sr, hr, crop=0, luma=False))


PIXEL_LOSSES = {"l1": l1, "l2": l2, "charbonnier": charbonnier, "ssim": ssim}

CRITERIA = {"l1": l1, "l2": l2}


def feature_distance(
    sr: Mapping[str, jax.Array],
    hr: Mapping[str, jax.Array],
    *,
    layers: Mapping[str, float],
    criterion: str,
) -> jax.Array:
    """Weighted sum over `layers` (name -> weight) of the distance between two sets of features."""
    distance = CRITERIA[criterion]
    return sum(
        (weight * distance(sr[name], hr[name]) for name, weight in layers.items()), jnp.zeros(())
    )


# Adversarial pairs. `real` and `fake` are logits; `mean` is the mean over the whole batch, across
# devices: the relativistic terms compare with it, so a local mean would make the loss depend on
# the device count.


def _vanilla_d(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    # -log s(real) - log(1 - s(fake)), s the sigmoid
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def _vanilla_g(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    # -log s(fake): the non-saturating form
    return jnp.mean(jax.nn.softplus(-fake))


def _relativistic(winner: jax.Array, loser: jax.Array, mean: Mean) -> jax.Array:
    # (-log s(winner - E[loser]) - log(1 - s(loser - E[winner]))) / 2
    won = jax.nn.softplus(-(winner - mean(loser)))
    lost = jax.nn.softplus(loser - mean(winner))
    return (jnp.mean(won) + jnp.mean(lost)) / 2


def _least_squares_d(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    return jnp.mean(jnp.square(real - 1.0)) + jnp.mean(jnp.square(fake))


def _least_squares_g(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    return jnp.mean(jnp.square(fake - 1.0))


def _hinge_d(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    return jnp.mean(jax.nn.relu(1.0 - real)) + jnp.mean(jax.nn.relu(1.0 + fake))


def _wasserstein_d(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    return jnp.mean(fake) - jnp.mean(real)


def _critic_g(real: jax.Array, fake: jax.Array, mean: Mean) -> jax.Array:
    return -jnp.mean(fake)


class Adversarial(NamedTuple):
    """Both players' losses of (real logits, fake logits, mean), each to be minimised."""

    d: Callable[[jax.Array, jax.Array, Mean], jax.Array]
    g: Callable[[jax.Array, jax.Array, Mean], jax.Array]
    g_sees_real: bool = False


ADVERSARIAL = {
    # Goodfellow et al. 2014
    "vanilla": Adversarial(_vanilla_d, _vanilla_g),
    # Jolicoeur-Martineau 2018 and ESRGAN eq. 1-2, halved as BasicSR does; BasicSR also stops the
    # gradient of D through the mean of the other side, the papers do not
    "relativistic": Adversarial(
        _relativistic, lambda real, fake, mean: _relativistic(fake, real, mean), g_sees_real=True
    ),
    # Mao et al. 2017
    "lsgan": Adversarial(_least_squares_d, _least_squares_g),
    # Lim and Ye 2017
    "hinge": Adversarial(_hinge_d, _critic_g),
    # Arjovsky et al. 2017
    "wgan": Adversarial(_wasserstein_d, _critic_g),
}


def _squared_norms(logits: Logits, images: jax.Array) -> jax.Array:
    """|d sum(logits) / d image|^2 of each example, [N]."""
    gradient = jax.grad(lambda x: jnp.sum(logits(x)))(images)
    return jnp.sum(jnp.square(gradient), axis=(1, 2, 3))


def r1(keys: jax.Array, logits: Logits, real: jax.Array, fake: jax.Array) -> jax.Array:
    """E |grad D(real)|^2 / 2 (Mescheder et al. 2018, eq. 9)."""
    return jnp.mean(_squared_norms(logits, real)) / 2


def wgan_gp(keys: jax.Array, logits: Logits, real: jax.Array, fake: jax.Array) -> jax.Array:
    """E (|grad D(x)| - 1)^2, x between real and fake by a draw of each key (Gulrajani 2017)."""
    share = jax.vmap(jax.random.uniform)(keys)[:, None, None, None]
    between = share * real + (1.0 - share) * fake
    # The square root has no gradient at zero.
    norm = jnp.sqrt(_squared_norms(logits, between) + 1e-12)
    return jnp.mean(jnp.square(norm - 1.0))


PENALTIES = {"r1": r1, "wgan_gp": wgan_gp}
