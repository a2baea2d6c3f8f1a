"""Down and up by a traced factor against the host's resize to the same sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.rescale import KERNELS, down_up
from jaxsr.imaging.resize import resize

# No two sides in this range round to a half; the last two leave two pixels and a single one.
FACTORS = np.array([1.0, 1.05, 1.34, 2.0, 3.0, 3.7, 8.0, 60.0], np.float32)


@pytest.mark.parametrize("method", KERNELS)
@pytest.mark.parametrize("height, width, channels", [(24, 17, 3), (13, 32, 1), (9, 1, 6)])
def test_equals_resize(method, height, width, channels):
    image = np.random.default_rng(0).random((height, width, channels)).astype(np.float32)
    every = jax.jit(jax.vmap(lambda factor: down_up(jnp.asarray(image), factor, method=method)))
    for result, factor in zip(every(jnp.asarray(FACTORS)), FACTORS, strict=True):
        small = [max(1, round(side / float(factor))) for side in (height, width)]
        expected = resize(image.astype(np.float64), (small[0], small[1]), method=method)
        expected = resize(expected, (height, width), method=method)
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_factor_of_one_changes_nothing():
    image = jnp.asarray(np.random.default_rng(1).random((11, 8, 3)), jnp.float32)
    for method in KERNELS:
        result = jax.jit(down_up, static_argnames="method")(image, 1.0, method=method)
        np.testing.assert_allclose(result, image, atol=1e-6)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="got method 'cubic', wanted one of area, bilinear, bic"):
        down_up(jnp.zeros((8, 8, 3)), 2.0, method="cubic")
