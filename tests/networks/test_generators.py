import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from toys import OF_PICTURES, toy

from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.resample import upsample_nearest
from jaxsr.networks.weights import init_weights

SCALES = [
    pytest.param(name, scale, marks=[pytest.mark.slow] if scale in (3, 8) else [])
    for name, cls in GENERATORS.items()
    for scale in cls.scales
]
NORMED = ["srresnet", "concat", "restore", "dcgan"]


def pictures(channels: int = 3, height: int = 7, width: int = 6) -> jax.Array:
    return jax.random.uniform(jax.random.key(1), (2, height, width, channels))


def inputs(arch) -> jax.Array:
    if hasattr(arch, "latent"):
        return jax.random.normal(jax.random.key(1), (2, arch.latent))
    return pictures(arch.channels)


def output_shape(arch) -> tuple[int, ...]:
    height, width = (arch.size,) * 2 if hasattr(arch, "size") else (7 * arch.scale, 6 * arch.scale)
    return 2, height, width, arch.channels


def output_and_variables(arch) -> tuple:
    return jax.eval_shape(arch.init_with_output, jax.random.key(0), inputs(arch))


def parameter_count(arch) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(output_and_variables(arch)[1]["params"]))


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_output_is_float32_of_the_scaled_size_and_every_parameter_has_a_gradient(name, scale, draw):
    arch = toy(name, scale)
    x = inputs(arch)
    variables = draw(arch, x)

    def weighted_sum(params):
        y, _ = arch.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return (y * jax.random.normal(jax.random.key(2), y.shape)).sum(), y

    value_and_grad = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))
    (_, y), gradient = jax.device_get(value_and_grad(variables["params"]))
    assert (y.shape, y.dtype) == (output_shape(arch), jnp.float32)
    for path, leaf in flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all() and leaf.any(), path
        assert leaf.dtype == jnp.float32


@pytest.mark.parametrize("name", GENERATORS)
def test_bf16_computes_nearly_the_same_and_returns_float32(name, draw, conv_dtypes):
    arch = toy(name)
    x = inputs(arch)
    variables = draw(arch, x)
    y = jax.jit(arch.apply)(variables, x)
    apply = arch.clone(dtype=jnp.bfloat16).apply
    half = jax.jit(apply)(variables, x)
    dtypes = conv_dtypes(apply, variables, x)
    last = 4 if name in ("encdec", "dcgan") else 1  # a transposed convolution is four
    assert set(dtypes[:-last]) == {jnp.dtype(jnp.bfloat16)}
    assert set(dtypes[-last:]) == {jnp.dtype(jnp.float32)}
    assert half.dtype == jnp.float32
    assert jnp.any(half != half.astype(jnp.bfloat16))  # more than a wider dtype
    y, half = jax.device_get((y, half))
    assert 0 < np.abs(half - y).max() < 0.02 * np.abs(y).max()


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("name", GENERATORS)
def test_any_channel_count_and_only_explicit_names(name, channels):
    arch = toy(name, channels=channels)
    y, variables = output_and_variables(arch)
    assert y.shape == output_shape(arch) and y.shape[-1] == channels
    names = "/".join(flatten_dict(variables, sep="/"))
    assert not re.search(r"[A-Z]\w*_\d", names), names


@pytest.mark.parametrize("name", GENERATORS)
def test_equal_generators_share_a_trace_and_all_take_an_axis_name(name):
    traces = []

    @partial(jax.jit, static_argnums=0)
    def trace(arch, x):
        traces.append(arch)
        return x

    assert toy(name) == toy(name) and hash(toy(name)) == hash(toy(name))
    assert toy(name).clone(axis_name="data").axis_name == "data"
    for arch in (toy(name), toy(name), toy(name).clone(axis_name="data").clone(axis_name=None)):
        trace(arch, 0.0)
    assert len(traces) == 1


@pytest.mark.parametrize("name", ["msrresnet", *NORMED])
def test_vmap_over_pictures_equals_the_batch(name, draw):
    arch = toy(name)
    x = inputs(arch)
    variables = draw(arch, x)
    singly = jax.jit(jax.vmap(lambda x: arch.apply(variables, x[None])[0]))(x)
    np.testing.assert_allclose(singly, jax.jit(arch.apply)(variables, x), atol=1e-6)


@pytest.mark.parametrize("name", NORMED)
def test_batch_statistics_are_those_of_all_devices(name, draw):
    """Two devices with one input each, which vmap stands for, against both inputs at once."""
    arch = toy(name)
    x = inputs(arch)
    variables = draw(arch, x)

    def apply(arch, x):
        return arch.apply(variables, x, train=True, mutable=["batch_stats"])

    whole, stats = jax.jit(partial(apply, arch))(x)
    split = jax.vmap(partial(apply, arch.clone(axis_name="data")), axis_name="data")
    parts, stats_of_parts = jax.jit(split)(x[:, None])
    np.testing.assert_allclose(parts[:, 0], whole, atol=1e-5)
    for device in (0, 1):
        jax.tree.map(
            lambda a, b, i=device: np.testing.assert_allclose(a[i], b, atol=1e-5),
            stats_of_parts,
            stats,
        )
    assert len(jax.tree.leaves(stats)) >= 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (2, 9)])
@pytest.mark.parametrize("name", OF_PICTURES)
def test_any_picture_size(name, height, width):
    for scale in GENERATORS[name].scales:
        arch, x = toy(name, scale), pictures(3, height, width)
        y, _ = jax.eval_shape(arch.init_with_output, jax.random.key(0), x)
        assert y.shape == (2, height * scale, width * scale, 3)


@pytest.mark.parametrize(
    ("arch", "count"),
    [
        (GENERATORS["rrdbnet"](4), 16_697_987),
        (GENERATORS["rrdbnet"](2), 16_703_171),
        (GENERATORS["rrdbnet"](4, num_blocks=6), 4_467_779),
        (GENERATORS["compact"](4, num_convs=32), 1_213_296),
        (GENERATORS["compact"](4), 621_424),
        (GENERATORS["msrresnet"](4), 1_517_571),
        (GENERATORS["edsr"](4), 1_517_571),
        (GENERATORS["edsr"](2), 1_369_859),
    ],
)
def test_parameter_counts_are_the_published_ones(arch, count):
    assert parameter_count(arch) == count


def test_srresnet_has_the_layers_of_the_paper():
    norm = 64 + 64
    first = 9 * 9 * 3 * 64 + 64 + 1
    block = 3 * 3 * 64 * 64 + norm + 1 + 3 * 3 * 64 * 64 + norm
    body = 3 * 3 * 64 * 64 + norm
    stage = 3 * 3 * 64 * 256 + 256 + 1
    last = 9 * 9 * 64 * 3 + 3
    assert first + 16 * block + body + 2 * stage + last == 1_547_350
    assert parameter_count(GENERATORS["srresnet"](4)) == 1_547_350


def conv(kernel: int, inputs: int, outputs: int) -> int:
    """How many parameters a convolution has, its bias among them."""
    return kernel**2 * inputs * outputs + outputs


def test_the_systems_have_the_layers_that_were_asked_for():
    concat, width = conv(3, 3, 64) + conv(3, 64 + 64 * 5, 3), 64
    for _ in range(4):
        concat += conv(3, width, 64) + conv(3, 64, 64) + 2 * 128
        width += 64
    encoder = conv(3, 3, 64) + conv(3, 64, 128) + conv(4, 128, 128)
    restore = conv(3, 1, 64) + 128 + conv(3, 64, 64) + 128 + conv(3, 64, 32) + 64 + conv(3, 32, 1)
    dcgan = 100 * 4 * 4 * 512 + 2 * (512 + 256 + 128 + 64) + conv(4, 64, 3)
    dcgan += 16 * (512 * 256 + 256 * 128 + 128 * 64)
    for arch, count in (
        (GENERATORS["concat"](2), concat),
        (GENERATORS["encdec"](1), encoder + conv(4, 128, 3)),
        (GENERATORS["encdec"](2), encoder + conv(4, 128, 64) + conv(4, 64, 3)),
        (
            GENERATORS["encdec"](4),
            encoder + conv(4, 128, 64) + conv(4, 64, 32) + conv(4, 32, 3),
        ),
        (GENERATORS["espcn"](4), conv(5, 3, 64) + conv(3, 64, 32) + conv(3, 32, 48)),
        (
            GENERATORS["espcn"](4, kernels=(9, 1, 3), activation="relu"),
            conv(9, 3, 64) + conv(1, 64, 32) + conv(3, 32, 48),
        ),
        (GENERATORS["restore"](channels=1), restore),
        (GENERATORS["dcgan"](), dcgan),
    ):
        assert parameter_count(arch) == count, arch


def test_dense_blocks_start_small_and_the_other_convolutions_as_in_torch():
    params = jax.device_get(init_weights(jax.random.key(0), toy("rrdbnet", 4)).params)
    dense, body = params["block_0"]["rdb2"]["conv3"], params["conv_body"]
    np.testing.assert_allclose(dense["kernel"].std(), 0.1 * (2 / (8 * 9)) ** 0.5, rtol=0.2)
    np.testing.assert_allclose(body["kernel"].std(), (4 * 9) ** -0.5 / 3**0.5, rtol=0.2)
    assert body["bias"].any() and not dense["bias"].any()


@pytest.mark.parametrize("depth", [16, 32])
def test_a_plain_network_hears_the_picture_however_deep(depth):
    """It starts at its base, and what it adds there is of the picture, as no bias could be."""
    arch = toy("compact", 2, num_features=16, num_convs=depth)
    params = init_weights(jax.random.key(0), arch).params
    x = jnp.asarray(np.random.default_rng(0).random((2, 16, 16, 3)), jnp.float32)
    added = jax.jit(arch.apply)({"params": params}, x) - upsample_nearest(x, 2)
    assert 0 < jnp.abs(added).max() < 0.05
    assert jnp.abs(added[0] - added[1]).mean() > 0.1 * jnp.abs(added).mean()


def test_dcgan_starts_with_small_normal_kernels():
    params = init_weights(jax.random.key(0), toy("dcgan", num_features=16)).params
    for name in ("linear", "deconv1", "deconv_last"):
        kernel = jax.device_get(params[name]["kernel"])
        np.testing.assert_allclose(kernel.std(), 0.02, rtol=0.1)
        assert np.abs(kernel).max() > 2.5 * 0.02
    assert not params["deconv_last"]["bias"].any()


def test_edsr_blocks_start_as_in_torch():
    params = init_weights(jax.random.key(0), toy("edsr")).params
    np.testing.assert_allclose(
        jax.device_get(params["block_0"]["conv1"]["kernel"]).std(), 36**-0.5 / 3**0.5, rtol=0.2
    )


@pytest.mark.parametrize(
    ("name", "scale", "multiple"), [("rrdbnet", 1, 4), ("rrdbnet", 2, 2), ("encdec", 2, 4)]
)
def test_generators_that_divide_take_any_size_by_reflection(name, scale, multiple, draw):
    arch, x = toy(name, scale), pictures()
    assert arch.multiple == multiple
    variables = draw(arch, x)
    padded = np.pad(x, ((0, 0), (0, 1), (0, -6 % multiple), (0, 0)), mode="reflect")
    apply = jax.jit(arch.apply)
    wanted = apply(variables, padded)[:, : 7 * scale, : 6 * scale]
    np.testing.assert_allclose(apply(variables, x), wanted, atol=1e-6)


@pytest.mark.parametrize(("name", "scale"), [("rrdbnet", 1), ("encdec", 2)])
def test_a_single_pixel_is_repeated(name, scale, draw):
    arch, x = toy(name, scale), pictures(3, 1, 1)
    variables = draw(arch, x)
    padded = np.pad(x, ((0, 0), (0, 3), (0, 3), (0, 0)), mode="edge")
    apply = jax.jit(arch.apply)
    wanted = apply(variables, padded)[:, :scale, :scale]
    np.testing.assert_allclose(apply(variables, x), wanted, atol=1e-6)


def test_concat_adds_the_enlarged_input_unless_told_otherwise(draw):
    """A constant picture is its own bilinear enlargement."""
    x = jnp.full((1, 4, 4, 3), 0.25)
    arch = toy("concat", 3)
    variables = draw(arch, x)
    without = arch.clone(add_input=False).apply(variables, x)
    np.testing.assert_allclose(arch.apply(variables, x), without + 0.25, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "field"), [("encdec", "num_pools"), ("restore", "num_convs"), ("concat", "num_blocks")]
)
def test_depth_is_a_field(name, field):
    arch = toy(name, **{field: 3})
    y, variables = output_and_variables(arch)
    assert y.shape == output_shape(arch)
    # A pooling brings a convolution and a transposed one; a convolution its normalisation.
    per_unit = {"num_pools": 2, "num_convs": 2, "num_blocks": 1}[field]
    shallow = output_and_variables(toy(name, **{field: 1}))[1]
    assert len(variables["params"]) == len(shallow["params"]) + 2 * per_unit


def test_compact_activations(draw):
    x = pictures()
    for activation, negative in (("relu", 0.0), ("lrelu", 0.1), ("prelu", 0.25)):
        arch = toy("compact", 1, activation=activation)
        variables = draw(arch, x)
        assert any("act" in name for name in variables["params"]) == (activation == "prelu")
        y = x
        for name in ("conv_first", "conv_0", "conv_last"):
            p = variables["params"][name]
            y = jax.lax.conv_general_dilated(
                y, p["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            y = y + p["bias"].reshape(1, 1, 1, -1)
            y = y if name == "conv_last" else np.maximum(y, 0) + negative * np.minimum(y, 0)
        np.testing.assert_allclose(jax.jit(arch.apply)(variables, x), y + x, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("rrdbnet", {"scale": 3}, "scale 3, wanted one of 1, 2, 4, 8"),
        ("restore", {"scale": 2}, "scale 2, wanted one of 1 for"),
        ("encdec", {"scale": 3}, "scale 3, wanted one of 1, 2, 4, 8"),
        ("concat", {"scale": 5}, "scale 5, wanted one of 1, 2, 3, 4, 8"),
        ("compact", {"scale": 4, "activation": "gelu"}, "'gelu', wanted prelu, relu or lrelu"),
        ("espcn", {"scale": 4, "activation": "gelu"}, "'gelu', wanted tanh or relu"),
        ("espcn", {"scale": 4, "kernels": (5, 4, 3)}, r"\(5, 4, 3\), wanted three odd"),
        ("espcn", {"scale": 4, "kernels": (5, 3)}, r"\(5, 3\), wanted three odd"),
        ("edsr", {"scale": 4, "res_scale": 0.0}, "res_scale 0.0, wanted above 0"),
        ("edsr", {"scale": 4, "res_scale": float("nan")}, "res_scale nan, wanted above 0"),
        ("dcgan", {"size": 4}, "size 4, wanted a power of two from 8 up"),
        ("dcgan", {"size": 48}, "size 48, wanted a power of two from 8 up"),
    ],
)
def test_unsupported_fields_are_refused(name, fields, message):
    with pytest.raises(ValueError, match=message):
        GENERATORS[name](**fields)


@pytest.mark.parametrize("name", OF_PICTURES)
def test_pictures_with_other_channels_are_refused(name):
    with pytest.raises(ValueError, match=r"wanted \[N, H, W, 3\]"):
        jax.eval_shape(toy(name).init, jax.random.key(0), pictures(1))


@pytest.mark.parametrize("shape", [(2, 5, 6, 3), (2, 6)])
def test_what_is_no_noise_is_refused(shape):
    with pytest.raises(ValueError, match=r"wanted noise \[N, 5\]"):
        jax.eval_shape(toy("dcgan").init, jax.random.key(0), jnp.zeros(shape))
