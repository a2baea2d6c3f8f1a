"""How far a network looks, from the bookkeeping of its row stream."""

from functools import cache
from typing import Any

from jaxsr.networks.rows import begin


@cache  # a deep network is traced for seconds
def receptive_radius(arch: Any) -> int:
    """How many LR pixels beside its own an output pixel depends on, on each side at most.

    Where `arch.multiple` is not 1, that is what a window on the grid of `multiple` needs around
    it, itself a multiple. Raises ValueError for a network without a finite radius.
    """
    if hasattr(arch, "latent"):
        raise ValueError(
            f"{type(arch).__name__} has no receptive radius: it makes pictures of noise, whose"
            " every number counts everywhere; use jaxsr.sample"
        )
    _, lag = begin(arch, arch.multiple)
    return -(-lag // (arch.scale * arch.multiple)) * arch.multiple
