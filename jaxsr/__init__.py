"""GAN image super-resolution: `jaxsr.upscale(jaxsr.load(PATH), image)`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxsr.inference.sample import sample
    from jaxsr.inference.tiled import upscale_tiled
    from jaxsr.inference.upscale import upscale
    from jaxsr.interop.export import load_exported
    from jaxsr.interop.load import load
    from jaxsr.networks.weights import Weights

__version__ = "0.1.0"

__all__ = [
    "Weights",
    "__version__",
    "load",
    "load_exported",
    "sample",
    "upscale",
    "upscale_tiled",
]

_HOMES = {
    "Weights": "jaxsr.networks.weights",
    "load": "jaxsr.interop.load",
    "load_exported": "jaxsr.interop.export",
    "sample": "jaxsr.inference.sample",
    "upscale": "jaxsr.inference.upscale",
    "upscale_tiled": "jaxsr.inference.tiled",
}


def __getattr__(name: str) -> Any:
    # On first use: the workers that decode pictures, and `jaxsr --help`, need neither JAX nor Flax.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
