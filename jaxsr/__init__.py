"""GAN image super-resolution: `jaxsr.upscale(jaxsr.load(PATH), image)`."""

from jaxsr.inference.upscale import upscale
from jaxsr.interop.load import load
from jaxsr.networks.weights import Weights

__version__ = "0.1.0"

__all__ = ["Weights", "__version__", "load", "upscale"]
