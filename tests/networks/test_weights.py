import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import (
    Weights,
    arch_spec,
    init_weights,
    make_arch,
    read_metadata,
    read_weights,
    save_weights,
)

ARCH = GENERATORS["srresnet"](2, num_features=2, num_blocks=1)


@pytest.fixture
def weights(draw) -> Weights:
    variables = draw(ARCH, jnp.zeros((1, 8, 8, 3)))
    return Weights(variables["params"], variables["batch_stats"], ARCH)


@pytest.fixture
def path(tmp_path, weights) -> Path:
    save_weights(tmp_path / "a.safetensors", weights, metadata={"step": "7"})
    return tmp_path / "a.safetensors"


def rewrite(path: Path, *, metadata: dict[str, str] | None = None, **tensors) -> None:
    """Change tensors (None removes one) or metadata of the file."""
    kept = {k: v for k, v in (load_file(path) | tensors).items() if v is not None}
    save_file(kept, path, metadata=read_metadata(path) if metadata is None else metadata)


def test_a_file_returns_the_same_weights_network_and_provenance(path, weights):
    back = read_weights(path)
    assert back.arch == ARCH and hash(back.arch) == hash(ARCH)
    assert jax.tree.structure(back) == jax.tree.structure(weights)
    jax.tree.map(np.testing.assert_array_equal, back, weights)
    assert read_metadata(path)["step"] == "7"
    assert "params/conv_first/kernel" in load_file(path)
    assert "stats/block_0/bn1/mean" in load_file(path)


def test_ranges_travel_with_the_weights(tmp_path, weights):
    weights = weights.replace(ranges=((0.0, 4096.0), (-40.0, 60.0)))
    save_weights(tmp_path / "w.safetensors", weights)
    assert read_weights(tmp_path / "w.safetensors").ranges == weights.ranges
    wrong = read_metadata(tmp_path / "w.safetensors") | {"jaxsr.ranges": "[[0]]"}
    rewrite(tmp_path / "w.safetensors", metadata=wrong)
    with pytest.raises(ValueError, match="describes its ranges wrongly"):
        read_weights(tmp_path / "w.safetensors")


def test_generators_without_statistics_round_trip(tmp_path, draw):
    arch = GENERATORS["compact"](2, num_features=2, num_convs=1, activation="lrelu", channels=1)
    variables = draw(arch, jnp.zeros((1, 8, 8, 1)))
    save_weights(tmp_path / "b.safetensors", Weights(variables["params"], {}, arch))
    back = read_weights(tmp_path / "b.safetensors")
    assert back.arch == arch and back.stats == {}


def test_weights_are_a_pytree_that_jit_takes_without_a_model(path, weights):
    traces = []

    @jax.jit
    def apply(weights, x):
        traces.append(weights.arch)
        variables = {"params": weights.params, "batch_stats": weights.stats}
        return weights.arch.apply(variables, x)

    x = np.random.default_rng(0).random((1, 4, 4, 3), np.float32)
    blend = jax.tree.map(lambda a, b: (a + b) / 2, read_weights(path), weights)
    np.testing.assert_array_equal(apply(blend, x), apply(read_weights(path), x))
    assert len(traces) == 1


def test_fresh_weights_have_the_shapes_of_the_network_and_depend_on_the_key():
    arch = GENERATORS["compact"](2, num_features=2, num_convs=1)
    first, again, other = (init_weights(jax.random.key(seed), arch) for seed in (0, 0, 1))
    wanted = jax.eval_shape(arch.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    assert jax.tree.map(jnp.shape, first.params) == jax.tree.map(jnp.shape, wanted["params"])
    kernels = [w.params["conv_0"]["kernel"] for w in (first, again, other)]
    assert (kernels[0] == kernels[1]).all() and not (kernels[0] == kernels[2]).any()


def small(name: str):
    """A generator with few features and whatever else it cannot do without."""
    needs_scale = not hasattr(GENERATORS[name], "scale")
    return GENERATORS[name](num_features=5, **({"scale": 2} if needs_scale else {}))


@pytest.mark.parametrize("name", GENERATORS)
def test_specs_are_complete_json_and_rebuild_the_network(name):
    arch = small(name)
    spec = json.loads(json.dumps(arch_spec(arch.clone(dtype=jnp.bfloat16, axis_name="data"))))
    back = make_arch(GENERATORS, spec)
    assert back == arch and hash(back) == hash(arch)
    assert spec["name"] == name and spec["num_features"] == 5 and spec["channels"] == 3
    assert not {"dtype", "axis_name", "parent"} & spec.keys()


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_specs_of_discriminators_too(name):
    arch = DISCRIMINATORS[name](channels=2)
    spec = json.loads(json.dumps(arch_spec(arch, registry=DISCRIMINATORS)))
    back = make_arch(DISCRIMINATORS, spec)
    assert back == arch and hash(back) == hash(arch)


@pytest.mark.parametrize(
    "arch",
    [
        GENERATORS["edsr"](2, num_features=2, num_blocks=1, res_scale=0.5),
        GENERATORS["espcn"](2, num_features=2, kernels=(9, 1, 3), activation="relu"),
        GENERATORS["concat"](2, num_features=2, num_blocks=1, add_input=False),
        GENERATORS["encdec"](2, num_features=2),
        GENERATORS["restore"](num_features=2, channels=1),
        GENERATORS["dcgan"](size=8, num_features=2, latent=3),
    ],
)
def test_every_kind_of_field_and_input_round_trips(arch, tmp_path):
    weights = init_weights(jax.random.key(0), arch)
    save_weights(tmp_path / "c.safetensors", weights)
    back = read_weights(tmp_path / "c.safetensors")
    assert back.arch == arch and hash(back.arch) == hash(arch)
    assert jax.tree.structure(back) == jax.tree.structure(weights)
    jax.tree.map(np.testing.assert_array_equal, back, weights)


def test_the_example_is_large_enough_for_deep_discriminators():
    arch = DISCRIMINATORS["patch"](num_features=1, num_layers=4)
    assert set(init_weights(jax.random.key(0), arch).params) >= {"conv4", "conv_last"}


def test_a_scale_with_a_default_need_not_be_given():
    assert make_arch(GENERATORS, {"name": "restore"}).scale == 1
    assert make_arch(GENERATORS, {"name": "dcgan"}).scale == 1


def test_lists_become_tuples():
    arch = make_arch(DISCRIMINATORS, {"name": "strided", "features": [4, 5], "use_norm": True})
    assert arch.features == (4, 5) and arch.use_norm is True
    assert make_arch(DISCRIMINATORS, {"name": "strided", "use_norm": False}).use_norm is False


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "strided", "features": []}, "strided.features is empty"),
        ({"name": "strided", "features": [4, 0]}, r"features is \(4, 0\), wanted at least 1"),
        ({"name": "strided", "features": [4, "5"]}, "strided.features is .*Expected `int`"),
        ({"name": "strided", "features": 4}, "strided.features is 4: Expected `array`"),
        ({"name": "patch", "use_norm": 1}, "patch.use_norm is 1: Expected `bool`"),
        ({"name": "srgan", "num_convs": 9}, "num_convs 9, wanted 1 to 8"),
    ],
)
def test_wrong_specs_of_discriminators_name_the_field(spec, message):
    with pytest.raises(ValueError, match=message):
        make_arch(DISCRIMINATORS, spec)


def test_a_discriminator_has_no_generator_spec():
    with pytest.raises(ValueError, match="UNetDiscriminatorSN is unknown"):
        arch_spec(DISCRIMINATORS["unet"]())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "rrdb", "scale": 4}, "unknown network 'rrdb'; did you mean 'rrdbnet'"),
        ({"scale": 4}, "unknown network 'None'"),
        ({"name": "rrdbnet"}, "set the field `scale`"),
        ({"name": "rrdbnet", "scale": 3}, "scale 3, wanted one of 1, 2, 4, 8"),
        ({"name": "rrdbnet", "scale": "4"}, "rrdbnet.scale is '4': Expected `int`"),
        ({"name": "rrdbnet", "scale": 4, "num_blocks": True}, "rrdbnet.num_blocks is True"),
        ({"name": "rrdbnet", "scale": 4, "num_blocks": 0}, "num_blocks is 0, wanted at least 1"),
        ({"name": "rrdbnet", "scale": 4, "num_block": 3}, "did you mean 'num_blocks'"),
        ({"name": "rrdbnet", "scale": 4, "dtype": "bfloat16"}, "unknown field of rrdbnet 'dtype'"),
        ({"name": "compact", "scale": 4, "activation": "elu"}, "compact.activation is 'elu'"),
        ({"name": "espcn", "scale": 4, "kernels": [5, 3]}, "espcn.kernels is .* length 3"),
        ({"name": "dcgan", "scale": 4}, "unknown field of dcgan 'scale'"),
    ],
)
def test_wrong_specs_name_the_field(spec, message):
    with pytest.raises(ValueError, match=message):
        make_arch(GENERATORS, spec)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {}}, "was not written by jaxsr"),
        ({"metadata": {"jaxsr.format": "2", "jaxsr.arch": "{}"}}, "format 2, .* up to 1"),
        ({"metadata": {"jaxsr.format": "1", "jaxsr.arch": "{"}}, "describes its network wrongly"),
        ({"metadata": {"jaxsr.format": "1", "jaxsr.arch": "[]"}}, "describes its network wrongly"),
        ({"params/conv_first/bias": None}, "params/conv_first/bias missing"),
        ({"params/extra": np.zeros(1)}, "params/extra not of this network"),
        ({"params/conv_first/bias": np.zeros(3, np.float32)}, "bias of another shape or type"),
        ({"params/conv_first/bias": np.zeros(2, np.float64)}, "bias of another shape or type"),
        ({f"params/{i}": np.zeros(1) for i in range(9)}, "params/2 and 6 more not of this network"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, message, path):
    rewrite(path, **change)
    with pytest.raises(ValueError, match=message):
        read_weights(path)


def test_missing_and_truncated_files_are_refused(path):
    with pytest.raises(ValueError, match="no weights file at"):
        read_weights(path.parent)
    path.write_bytes(path.read_bytes()[:-4])
    for read in (read_weights, read_metadata):
        with pytest.raises(ValueError, match="no whole .safetensors file"):
            read(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, weights, monkeypatch):
    def half_written(target, content):
        with target.open("wb") as file:
            file.write(content[:9])
        raise OSError("disk full")

    before = path.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, weights)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_others_may_read_a_file(path):
    plain = path.parent / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_weights_are_shown_in_a_line():
    weights = init_weights(jax.random.key(0), GENERATORS["compact"](2, num_features=2, num_convs=1))
    assert repr(weights) == "Weights(SRVGGNetCompact, 326 parameters)"
