import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import init_weights

TOY = {
    "msrresnet": {"num_features": 4, "num_blocks": 1},
    "srresnet": {"num_features": 4, "num_blocks": 1},
    "rrdbnet": {"num_features": 4, "num_blocks": 1, "growth": 2},
    "compact": {"num_features": 4, "num_convs": 1},
}
SCALES = [(name, scale) for name, cls in GENERATORS.items() for scale in cls.scales]


def toy(name: str, scale: int = 2, **fields):
    return GENERATORS[name](scale, **TOY[name], **fields)


def pictures(channels: int = 3) -> jax.Array:
    return jax.random.uniform(jax.random.key(1), (2, 7, 6, channels))


def parameter_count(arch) -> int:
    shapes = jax.eval_shape(arch.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize(("name", "scale"), SCALES)
def test_output_is_float32_of_the_scaled_size_and_every_parameter_has_a_gradient(name, scale, draw):
    arch, x = toy(name, scale), pictures()
    variables = draw(arch, x)

    def weighted_sum(params):
        y, _ = arch.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
        return (y * jax.random.normal(jax.random.key(2), y.shape)).sum(), y

    value_and_grad = jax.jit(jax.value_and_grad(weighted_sum, has_aux=True))
    (_, y), gradient = jax.device_get(value_and_grad(variables["params"]))
    assert (y.shape, y.dtype) == ((2, 7 * scale, 6 * scale, 3), jnp.float32)
    for path, leaf in flatten_dict(gradient, sep="/").items():
        assert np.isfinite(leaf).all() and leaf.any(), path
        assert leaf.dtype == jnp.float32


@pytest.mark.parametrize("name", GENERATORS)
def test_bf16_computes_nearly_the_same_and_returns_float32(name, draw, conv_dtypes):
    arch, x = toy(name), pictures()
    variables = draw(arch, x)
    y = jax.jit(arch.apply)(variables, x)
    apply = arch.clone(dtype=jnp.bfloat16).apply
    half = jax.jit(apply)(variables, x)
    *others, last = conv_dtypes(apply, variables, x)
    assert set(others) == {jnp.dtype(jnp.bfloat16)} and last == jnp.float32
    assert half.dtype == jnp.float32
    assert jnp.any(half != half.astype(jnp.bfloat16))  # more than a wider dtype
    y, half = jax.device_get((y, half))
    assert 0 < np.abs(half - y).max() < 0.02 * np.abs(y).max()


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", GENERATORS)
def test_any_channel_count_and_only_explicit_names(name, channels):
    arch, x = toy(name, 4, channels=channels), pictures(channels)
    y, variables = jax.eval_shape(arch.init_with_output, jax.random.key(0), x)
    assert y.shape == (2, 28, 24, channels)
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


def test_vmap_over_pictures_equals_the_batch(draw):
    arch, x = toy("msrresnet"), pictures()
    variables = draw(arch, x)
    singly = jax.jit(jax.vmap(lambda x: arch.apply(variables, x[None])[0]))(x)
    np.testing.assert_allclose(singly, jax.jit(arch.apply)(variables, x), atol=1e-6)


@pytest.mark.parametrize(
    ("arch", "count"),
    [
        (GENERATORS["rrdbnet"](4), 16_697_987),
        (GENERATORS["rrdbnet"](2), 16_703_171),
        (GENERATORS["rrdbnet"](4, num_blocks=6), 4_467_779),
        (GENERATORS["compact"](4, num_convs=32), 1_213_296),
        (GENERATORS["compact"](4), 621_424),
        (GENERATORS["msrresnet"](4), 1_517_571),
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


def test_dense_blocks_start_small_and_the_other_convolutions_as_in_torch():
    params = jax.device_get(init_weights(jax.random.key(0), toy("rrdbnet", 4)).params)
    dense, body = params["block_0"]["rdb2"]["conv3"], params["conv_body"]
    np.testing.assert_allclose(dense["kernel"].std(), 0.1 * (2 / (8 * 9)) ** 0.5, rtol=0.2)
    np.testing.assert_allclose(body["kernel"].std(), (4 * 9) ** -0.5 / 3**0.5, rtol=0.2)
    assert body["bias"].any() and not dense["bias"].any()


@pytest.mark.parametrize("scale", [1, 2])
def test_unshuffling_generators_take_any_size_by_reflection(scale, draw):
    arch, x = toy("rrdbnet", scale), pictures()
    variables = draw(arch, x)
    padded = np.pad(x, ((0, 0), (0, 1), (0, {1: 2, 2: 0}[scale]), (0, 0)), mode="reflect")
    apply = jax.jit(arch.apply)
    wanted = apply(variables, padded)[:, : 7 * scale, : 6 * scale]
    np.testing.assert_allclose(apply(variables, x), wanted, atol=1e-6)


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


def test_unsupported_fields_are_refused():
    with pytest.raises(ValueError, match="scale 3, wanted one of 1, 2, 4, 8"):
        GENERATORS["rrdbnet"](3)
    with pytest.raises(ValueError, match="'gelu', wanted prelu, relu or lrelu"):
        GENERATORS["compact"](4, activation="gelu")


@pytest.mark.parametrize("name", GENERATORS)
def test_pictures_with_other_channels_are_refused(name):
    with pytest.raises(ValueError, match=r"wanted \[N, H, W, 3\]"):
        jax.eval_shape(toy(name).init, jax.random.key(0), pictures(1))
