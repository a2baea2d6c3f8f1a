"""Degradations on the device against the host's resize."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.imaging.degrade import DEGRADATIONS, Bicubic, degrade
from jaxsr.imaging.resize import resize

# Black and white blocks, at whose edges bicubic overshoots [0, 1].
HR = np.random.default_rng(0).integers(0, 2, (2, 3, 2, 3)).repeat(4, 1).repeat(4, 2)
HR = HR.astype(np.float32)


@pytest.fixture
def keys():
    return jax.random.split(jax.random.key(0), len(HR))


def bicubic(scale):
    return resize(HR.astype(np.float64), (12 // scale, 8 // scale)).clip(0, 1)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_bicubic_is_the_hosts(keys, scale):
    compiled = jax.jit(degrade, static_argnames="spec")
    lr, target, hr = compiled(keys, jnp.asarray(HR), Bicubic(scale, levels=0))
    np.testing.assert_allclose(lr, bicubic(scale), atol=1e-6)
    np.testing.assert_array_equal(target, HR)
    np.testing.assert_array_equal(hr, HR)


@pytest.mark.parametrize("levels", [255, 65535])
def test_levels_are_those_of_a_file(keys, levels):
    lr, _, _ = degrade(keys, jnp.asarray(HR), Bicubic(2, levels=levels))
    assert lr.dtype == jnp.float32
    expected = np.round(bicubic(2) * levels)
    assert np.abs(np.round(np.asarray(lr, np.float64) * levels) - expected).max() <= levels // 65535
    np.testing.assert_allclose(lr, np.round(np.asarray(lr) * levels) / levels, atol=1e-7)


def test_a_file_has_8_bits_unless_told():
    assert DEGRADATIONS["bicubic"](scale=4) == Bicubic(4, levels=255)


def test_a_picture_is_degraded_alike_in_any_batch(keys):
    whole, _, _ = degrade(keys, jnp.asarray(HR), Bicubic(2))
    alone, _, _ = degrade(keys[1:], jnp.asarray(HR[1:]), Bicubic(2))
    np.testing.assert_array_equal(whole[1:], alone)


def test_sizes_must_divide(keys):
    with pytest.raises(ValueError, match="12 x 8 cannot be reduced 3 times; crop"):
        degrade(keys, jnp.asarray(HR), Bicubic(3))
