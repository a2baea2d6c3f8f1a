import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxsr.networks.discriminators import DISCRIMINATORS

CROPS = {"vgg_style": 70, "srgan": 48, "unet": 16}


def pictures(size: int, channels: int = 3) -> jax.Array:
    return jax.random.uniform(jax.random.key(1), (2, size, size, channels))


def shapes(arch, size: int):
    x = pictures(size, arch.channels)
    return jax.eval_shape(arch.init_with_output, jax.random.key(0), x)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_logits_are_float32_and_every_parameter_has_a_gradient(name, draw):
    arch, x = DISCRIMINATORS[name](num_features=2), pictures(CROPS[name])
    variables = draw(arch, x)

    def weighted_sum(params):
        y, _ = arch.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return (y * jax.random.normal(jax.random.key(2), y.shape)).sum(), y

    value_and_grad = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))
    (_, y), gradient = jax.device_get(value_and_grad(variables["params"]))
    assert (y.shape, y.dtype) == ((2, 16, 16, 1) if name == "unet" else (2, 1), jnp.float32)
    for path, leaf in flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all() and leaf.any(), path


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_bf16_computes_nearly_the_same_and_returns_float32(name, draw, conv_dtypes):
    arch, x = DISCRIMINATORS[name](num_features=2), pictures(CROPS[name])
    variables = draw(arch, x)

    @partial(jax.jit, static_argnums=0)
    def apply(arch, variables, x):
        return arch.apply(variables, x, train=True, mutable=["batch_stats"])[0]

    y = apply(arch, variables, x)
    bf16 = arch.clone(dtype=jnp.bfloat16)
    half = apply(bf16, variables, x)
    dtypes = conv_dtypes(bf16.apply, variables, x)
    assert set(dtypes[:-1]) == {jnp.dtype(jnp.bfloat16)}
    assert half.dtype == jnp.float32
    assert jnp.any(half != half.astype(jnp.bfloat16))  # more than a wider dtype
    y, half = jax.device_get((y, half))
    assert 0 < np.abs(half - y).max() < 0.05 * np.abs(y).max()


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_any_channel_count_only_explicit_names_and_an_axis_name(name, channels):
    arch = DISCRIMINATORS[name](num_features=2, channels=channels)
    _, variables = shapes(arch.clone(axis_name="data"), CROPS[name])
    names = "/".join(flatten_dict(variables, sep="/"))
    assert not re.search(r"[A-Z]\w*_\d", names), names
    assert hash(arch) == hash(DISCRIMINATORS[name](num_features=2, channels=channels))


def test_parameter_counts_are_the_published_ones():
    paper = 3 * 3 * 3 * 64 + 64  # the first convolution is the only one with a bias
    widths = [64, 64, 128, 128, 256, 256, 512, 512]
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        paper += 3 * 3 * inputs * outputs + 2 * outputs
    paper += 6 * 6 * 512 * 1024 + 1024 + 1024 + 1
    for name, size, count in (
        ("vgg_style", 128, 14_499_401),
        ("unet", 8, 4_376_897),
        ("srgan", 96, paper),
    ):
        _, variables = shapes(DISCRIMINATORS[name](), size)
        assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count


@pytest.mark.parametrize(("name", "large"), [("vgg_style", 128), ("srgan", 96)])
def test_the_same_parameters_serve_every_crop(name, large):
    arch = DISCRIMINATORS[name](num_features=2)
    (_, variables) = shapes(arch, large)
    for size in (arch.min_size, large - 7):
        assert jax.tree.map(jnp.shape, shapes(arch, size)[1]) == jax.tree.map(jnp.shape, variables)


@pytest.mark.parametrize(("name", "least"), [("vgg_style", 32), ("srgan", 16), ("unet", 8)])
def test_the_least_crop_passes_and_one_below_is_refused(name, least):
    arch = DISCRIMINATORS[name](num_features=2)
    assert arch.min_size == least
    assert shapes(arch, least)[0].shape[0] == 2
    with pytest.raises(ValueError, match=f"wanted sides of at least {least}"):
        shapes(arch, least - 1)


def test_the_unet_refuses_sides_that_eight_does_not_divide():
    with pytest.raises(ValueError, match="12 x 12 pixels.* multiples of 8"):
        shapes(DISCRIMINATORS["unet"](num_features=2), 12)
