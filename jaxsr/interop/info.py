"""What there is to know of a weight file: network, size, cost, and where it comes from."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp

from jaxsr.inference import budget
from jaxsr.inference.upscale import apply
from jaxsr.interop.load import Loaded
from jaxsr.interop.public import PUBLIC
from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.receptive import receptive_radius
from jaxsr.networks.weights import Weights, arch_spec

MEGAPIXEL = (1, 1024, 1024)  # what is given to the network


def describe(loaded: Loaded) -> dict[str, Any]:
    """Facts by name, fit for JSON; those of a megapixel only for networks that take pictures.

    `receptive_radius` is in LR pixels, `flops` counts a multiplication and an addition as two, the
    memory of both ways is an estimate in bytes. All three are of the computation in float32.
    """
    weights = loaded.weights
    arch: Any = weights.arch
    # A discriminator makes no picture, and of noise none is made larger.
    enlarges = hasattr(arch, "scale") and not hasattr(arch, "latent")
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in loaded.files]
    facts = {
        "file": str(loaded.files[0]),
        "form": loaded.form,
        "family": type(arch).__name__,
        "network": arch_spec(arch, registry=_registry(arch)),
        "ranges": weights.ranges,
        "parameters": sum(array.size for array in jax.tree.leaves(weights.params)),
        "stored_in": loaded.dtypes,
        "bytes": sum(file.stat().st_size for file in loaded.files),
    }
    if enlarges:
        facts |= {"receptive_radius": receptive_radius(arch), "megapixel": _megapixel(weights)}
    public = [file for file in PUBLIC.values() if file.sha256 in digests]
    return facts | {
        "sha256": digests,
        "public": [{"what": f.what, "url": f.url, "licence": f.licence} for f in public],
        "metadata": {k: v for k, v in loaded.metadata.items() if k[:6] != "jaxsr."},
    }


def _registry(arch: Any) -> dict[str, Any]:
    return GENERATORS if type(arch) in GENERATORS.values() else DISCRIMINATORS


def _megapixel(weights: Weights) -> dict[str, int]:
    """What 1024 x 1024 LR pixels cost."""
    arch: Any = weights.arch
    picture = jax.ShapeDtypeStruct((*MEGAPIXEL, arch.channels), jnp.float32)
    cost: Any = jax.jit(apply).lower(weights, picture).cost_analysis()
    held = budget.held(arch, picture.shape)
    return {"flops": int(cost["flops"])} | {f"bytes_{mode}": n for mode, n in held.items()}
