"""Degradations: from a clean batch to what a network sees, on the device.

A kind of degradation is a frozen dataclass, hashable and so static under jit, with `scale` and
`apply(keys, hr) -> (lr, target)`. Each draws only from `keys`, one per picture, so that a picture
is degraded alike in any batch and on any number of devices.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jaxsr.imaging.resize import resize


@dataclass(frozen=True)
class Bicubic:
    """MATLAB's bicubic reduction, clipped to [0, 1], rounded to `levels` steps (0: unrounded)."""

    scale: int
    levels: int = 255

    def apply(self, keys: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Makes (lr, target) of hr [N, H, W, C]; draws nothing."""
        size = hr.shape[1] // self.scale, hr.shape[2] // self.scale
        lr = jnp.clip(resize(hr, size, method="bicubic"), 0, 1)
        if self.levels:
            lr = jnp.round(lr * self.levels) / self.levels
        return lr, hr


DEGRADATIONS = {"bicubic": Bicubic}


def degrade(
    keys: jax.Array, hr: jax.Array, spec: Bicubic
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Makes low-resolution pictures: hr [N, H, W, C] in [0, 1] to (lr, target, hr).

    `keys` [N] are typed PRNG keys, one per picture. lr is [N, H / scale, W / scale, C]; target,
    [N, H, W, C], is what the network is to make of it: hr itself, or a sharpened hr.
    """
    if hr.shape[1] % spec.scale or hr.shape[2] % spec.scale:
        raise ValueError(
            f"pictures of {hr.shape[1]} x {hr.shape[2]} cannot be reduced {spec.scale} times; "
            f"crop height and width to multiples of {spec.scale}"
        )
    lr, target = spec.apply(keys, hr)
    return lr, target, hr
