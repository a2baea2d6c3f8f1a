"""How fresh kernels and biases are drawn: `INITS` by name."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array


def uniform_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """PyTorch's default for kernels and biases: uniform in +-1/sqrt(fan_in)."""
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def he_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Kaiming normal (He et al. 2015, equation 10): signals keep their size through ReLUs."""
    return (2.0 / fan_in) ** 0.5 * jax.random.normal(key, shape, jnp.float32)


def scaled_normal_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """ESRGAN's kernels: Kaiming normal, a tenth as large, so that residual branches start small."""
    return 0.1 * he_init(key, shape, fan_in)


def faint_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Kaiming normal, a hundredth as large: a network starts as the base that it adds to."""
    return 0.01 * he_init(key, shape, fan_in)


def identity_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """The identity and a tenth of Kaiming normal, for [k, k, C, C], k odd.

    However many layers follow one another, the picture arrives (after Zagoruyko and Komodakis,
    DiracNets, 2017).
    """
    middle = shape[0] // 2
    return scaled_normal_init(key, shape, fan_in).at[middle, middle].add(jnp.eye(shape[-1]))


def dcgan_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """DCGAN's kernels (Radford et al. 2016, section 3): normal, of standard deviation 0.02."""
    del fan_in
    return 0.02 * jax.random.normal(key, shape, jnp.float32)


def zeros_init(key: Array, shape: Sequence[int], fan_in: int) -> Array:
    """Zeros, for biases."""
    del key, fan_in
    return jnp.zeros(shape, jnp.float32)


# name -> (kernel, bias)
INITS: dict[str, tuple[Callable[..., Array], Callable[..., Array]]] = {
    "torch": (uniform_init, uniform_init),
    "he": (he_init, zeros_init),
    "scaled": (scaled_normal_init, zeros_init),
    "faint": (faint_init, zeros_init),
    "identity": (identity_init, zeros_init),
    "dcgan": (dcgan_init, zeros_init),
}
