import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.weights import init_weights

CROPS = {"vgg_style": 70, "srgan": 48, "patch": 25, "strided": 13, "dcgan": 70, "unet": 16}
LOGITS = {"unet": (2, 16, 16, 1), "patch": (2, 1, 1, 1)}
NORMED = ["vgg_style", "srgan", "patch", "strided", "dcgan"]


def toy(name: str, **fields):
    widths = {"features": (2, 3), "use_norm": True} if name == "strided" else {"num_features": 2}
    return DISCRIMINATORS[name](**(widths | fields))


def pictures(size: int, channels: int = 3) -> jax.Array:
    return jax.random.uniform(jax.random.key(1), (2, size, size, channels))


def parameter_count(arch, size: int) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(arch, size)[1]["params"]))


def shapes(arch, size: int):
    x = pictures(size, arch.channels)
    return jax.eval_shape(arch.init_with_output, jax.random.key(0), x)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_logits_are_float32_and_every_parameter_has_a_gradient(name, draw):
    arch, x = toy(name), pictures(CROPS[name])
    variables = draw(arch, x)

    def weighted_sum(params):
        y, _ = arch.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return (y * jax.random.normal(jax.random.key(2), y.shape)).sum(), y

    value_and_grad = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))
    (_, y), gradient = jax.device_get(value_and_grad(variables["params"]))
    assert (y.shape, y.dtype) == (LOGITS.get(name, (2, 1)), jnp.float32)
    for path, leaf in flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all() and leaf.any(), path


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_bf16_computes_nearly_the_same_and_returns_float32(name, draw, conv_dtypes):
    arch, x = toy(name), pictures(CROPS[name])
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


@pytest.mark.parametrize("name", NORMED)
def test_batch_statistics_are_those_of_all_devices(name, draw):
    """Two devices with one picture each, which vmap stands for, against both pictures at once."""
    arch, x = toy(name), pictures(CROPS[name])
    variables = draw(arch, x)

    def apply(arch, x):
        return arch.apply(variables, x, train=True, mutable=["batch_stats"])

    whole, stats = jax.jit(partial(apply, arch))(x)
    split = jax.vmap(partial(apply, arch.clone(axis_name="data")), axis_name="data")
    parts, stats_of_parts = jax.jit(split)(x[:, None])
    np.testing.assert_allclose(parts[:, 0], whole, atol=1e-4)
    first = jax.tree.map(lambda leaf: leaf[0], stats_of_parts)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), first, stats)
    assert jax.tree.leaves(stats)


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_any_channel_count_only_explicit_names_and_an_axis_name(name, channels):
    arch = toy(name, channels=channels)
    _, variables = shapes(arch.clone(axis_name="data"), CROPS[name])
    names = "/".join(flatten_dict(variables, sep="/"))
    assert not re.search(r"[A-Z]\w*_\d", names), names
    assert hash(arch) == hash(toy(name, channels=channels))


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
        # pix2pix's published 2,764,737 with instance normalisation: 896 biases, not 2 * 896 of BN
        ("patch", 70, 2_764_737 - 896 + 2 * 896),
    ):
        assert parameter_count(DISCRIMINATORS[name](), size) == count


def conv(kernel: int, inputs: int, outputs: int) -> int:
    """How many parameters a convolution has, its bias among them."""
    return kernel**2 * inputs * outputs + outputs


def test_the_systems_have_the_layers_that_were_asked_for():
    four = conv(3, 3, 64) + conv(3, 64, 64) + conv(3, 64, 128) + conv(3, 128, 128)
    normed = 9 * (1 * 32 + 32 * 64 + 64 * 128) + 2 * (32 + 64 + 128)
    dcgan = conv(4, 3, 64) + 16 * (64 * 128 + 128 * 256 + 256 * 512) + 2 * (128 + 256 + 512)
    for name, fields, count in (
        ("strided", {}, conv(3, 3, 64) + conv(3, 64, 128) + 128 + 1),
        (
            "strided",
            {"features": (32, 64, 128), "use_norm": True, "channels": 1},
            normed + 128 + 1,
        ),
        (
            "patch",
            {"num_layers": 1, "use_norm": False},
            conv(4, 3, 64) + conv(4, 64, 128) + conv(4, 128, 1),
        ),
        (
            "srgan",
            {"num_convs": 4, "use_norm": False},
            four + 36 * 128 * 1024 + 1024 + 1024 + 1,
        ),
        ("dcgan", {}, dcgan + 4 * 4 * 512 + 1),
    ):
        assert parameter_count(DISCRIMINATORS[name](**fields), 64) == count, (name, fields)


def test_a_picture_of_256_has_30_x_30_patches_as_in_pix2pix():
    assert shapes(toy("patch"), 256)[0].shape == (2, 30, 30, 1)


@pytest.mark.parametrize(("num_layers", "reach"), [(3, 70), (1, 16)])
def test_a_patch_has_the_published_size(num_layers, reach, draw):
    arch, x = toy("patch", num_layers=num_layers, use_norm=False), pictures(128)[:1]
    variables = draw(arch, x)
    gradient = jax.jit(jax.grad(lambda x: arch.apply(variables, x)[0, 8, 8, 0]))(x)
    rows = np.flatnonzero(np.abs(gradient).sum((0, 2, 3)))
    assert rows[-1] - rows[0] + 1 == reach


def test_dcgan_starts_with_small_normal_kernels():
    params = init_weights(jax.random.key(0), toy("dcgan", num_features=8)).params
    for name in ("conv0", "conv3", "linear"):
        np.testing.assert_allclose(params[name]["kernel"].std(), 0.02, rtol=0.15)
    assert not params["conv0"]["bias"].any() and not params["linear"]["bias"].any()


@pytest.mark.parametrize(
    ("name", "large"), [("vgg_style", 128), ("srgan", 96), ("strided", 40), ("dcgan", 64)]
)
def test_the_same_parameters_serve_every_crop(name, large):
    arch = toy(name)
    (_, variables) = shapes(arch, large)
    for size in (arch.min_size, large - 7):
        assert jax.tree.map(jnp.shape, shapes(arch, size)[1]) == jax.tree.map(jnp.shape, variables)


@pytest.mark.parametrize(
    ("name", "fields", "least"),
    [
        ("vgg_style", {}, 32),
        ("srgan", {}, 16),
        ("unet", {}, 8),
        ("patch", {}, 24),
        ("patch", {"num_layers": 1}, 6),
        ("patch", {"num_layers": 4}, 48),
        ("dcgan", {}, 16),
        ("dcgan", {"num_layers": 1}, 2),
        ("strided", {}, 1),
    ],
)
def test_the_least_crop_passes_and_one_below_is_refused(name, fields, least):
    arch = toy(name, **fields)
    assert arch.min_size == least
    assert shapes(arch, least)[0].size >= 2
    with pytest.raises(ValueError, match=f"wanted sides of at least {least}"):
        shapes(arch, least - 1)


def test_the_unet_refuses_sides_that_eight_does_not_divide():
    with pytest.raises(ValueError, match="12 x 12 pixels.* multiples of 8"):
        shapes(DISCRIMINATORS["unet"](num_features=2), 12)


@pytest.mark.parametrize("num_convs", [0, 9])
def test_srgan_has_one_to_eight_convolutions(num_convs):
    with pytest.raises(ValueError, match=f"num_convs {num_convs}, wanted 1 to 8"):
        toy("srgan", num_convs=num_convs)


@pytest.mark.parametrize("name", ["srgan", "patch", "strided"])
def test_normalisation_can_be_left_out(name):
    _, variables = shapes(toy(name, use_norm=False), CROPS[name])
    assert list(variables) == ["params"]
    convs = [layer for key, layer in variables["params"].items() if key.startswith("conv")]
    assert all("bias" in layer for layer in convs)
