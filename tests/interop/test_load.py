"""`load`: a file, a run directory, and everything that is neither."""

import os
import pickle
import struct
import time
from hashlib import sha256
from pathlib import Path

import jax
import numpy as np
import platformdirs
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import jaxsr
from jaxsr.interop.fetch import cache_path
from jaxsr.interop.graphs import to_ncnn
from jaxsr.interop.layouts import from_weights, to_weights
from jaxsr.interop.load import load_degradation, load_discriminator, read
from jaxsr.interop.ncnn import write_ncnn
from jaxsr.interop.pth import write_pth
from jaxsr.interop.public import PUBLIC
from jaxsr.networks.discriminators import UNetDiscriminatorSN
from jaxsr.networks.generators import SRResNet, SRVGGNetCompact
from jaxsr.networks.weights import Weights, init_weights, save_weights


@pytest.fixture(scope="module")
def weights() -> Weights:
    """A network with batch statistics that are not those it began with."""
    fresh = init_weights(jax.random.key(0), SRResNet(scale=2, num_features=2, num_blocks=1))
    return fresh.replace(stats=jax.tree.map(lambda x: x + 1 / 3, fresh.stats))


def assert_same(got: Weights, wanted: Weights):
    assert got.arch == wanted.arch
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_file(tmp_path, weights, kind):
    save_weights(tmp_path / "net.safetensors", weights)
    assert_same(jaxsr.load(kind(tmp_path / "net.safetensors")), weights)


def test_a_run_directory_gives_its_last_weights(tmp_path, weights):
    (tmp_path / "weights").mkdir()
    (tmp_path / "config.toml").touch()
    save_weights(tmp_path / "weights" / "last.safetensors", weights)
    other = weights.replace(params=jax.tree.map(lambda x: x + 1, weights.params))
    save_weights(tmp_path / "weights" / "best.safetensors", other)
    assert_same(jaxsr.load(tmp_path), weights)


def test_a_run_without_weights(tmp_path):
    (tmp_path / "config.toml").touch()
    with pytest.raises(ValueError, match="holds no weights yet; train it up to its first"):
        jaxsr.load(tmp_path)


def test_a_folder_that_is_no_run(tmp_path, weights):
    (tmp_path / "weights").mkdir()
    save_weights(tmp_path / "weights" / "last.safetensors", weights)
    with pytest.raises(ValueError, match="is not a run directory .it has no config.toml"):
        jaxsr.load(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ValueError, match="no weights at .*absent; name a .safetensors, .pth"):
        jaxsr.load(tmp_path / "absent")


def test_a_file_of_something_else(tmp_path):
    (tmp_path / "net.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match="is no whole .safetensors file"):
        jaxsr.load(tmp_path / "net.safetensors")


def compact(**fields) -> Weights:
    arch = SRVGGNetCompact(**{"scale": 2, "num_features": 4, "num_convs": 1, **fields})
    return init_weights(jax.random.key(1), arch)


FORMS = {
    "net.pth": lambda path, w: write_pth(path, from_weights(w)),
    "net.pt": lambda path, w: write_pth(path, from_weights(w), wrapper=None),
    "net.CKPT": lambda path, w: write_pth(path, from_weights(w), wrapper="state_dict"),
    "pytorch_model.bin": lambda path, w: write_pth(path, from_weights(w)),
    "net.safetensors": lambda path, w: save_file(from_weights(w), path),
    "net.param": lambda path, w: write_ncnn(path, to_ncnn(w)),
}


@pytest.mark.parametrize("name", FORMS)
def test_others_files(tmp_path, name):
    wanted = compact()
    FORMS[name](tmp_path / name, wanted)
    assert_same(jaxsr.load(tmp_path / name), wanted)


def test_either_file_of_a_pair_names_both(tmp_path):
    write_ncnn(tmp_path / "net.v2.param", to_ncnn(compact()))
    assert_same(jaxsr.load(tmp_path / "net.v2.bin"), compact())


def test_a_legacy_file_of_pytorch(tmp_path):
    """Written by torch.save(..., _use_new_zipfile_serialization=False); see tests/parity/pth.py."""
    arrays = np.load(Path(__file__).parents[1] / "parity" / "pth.npz")
    legacy = next(name for name in arrays if "legacy" in name)
    (tmp_path / "net.pth").write_bytes(arrays[legacy].tobytes())
    with pytest.raises(ValueError, match="net.pth: .*is no network known here"):
        jaxsr.load(tmp_path / "net.pth")


def test_what_no_tensor_tells_is_asked_for(tmp_path):
    wanted = compact(activation="lrelu")
    write_pth(tmp_path / "net.pth", from_weights(wanted))
    with pytest.raises(ValueError, match="net.pth: .*it has no PReLU slopes: say its activation"):
        jaxsr.load(tmp_path / "net.pth")
    assert_same(jaxsr.load(tmp_path / "net.pth", activation="lrelu"), wanted)
    save_weights(tmp_path / "net.safetensors", wanted)
    write_ncnn(tmp_path / "net.param", to_ncnn(wanted))
    for name in ("net.safetensors", "net.param"):
        with pytest.raises(ValueError, match=f"{name} tells all of its network; leave out activ"):
            jaxsr.load(tmp_path / name, activation="lrelu")


def test_half_a_network_never_loads(tmp_path):
    state = from_weights(compact())
    del state["body.2.bias"]
    write_pth(tmp_path / "net.pth", state)
    with pytest.raises(ValueError, match="net.pth: .* 1 missing: body.2.bias"):
        jaxsr.load(tmp_path / "net.pth")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "net.onnx").touch()
    with pytest.raises(ValueError, match="net.onnx holds no weights that can be read; name a .saf"):
        jaxsr.load(tmp_path / "net.onnx")


def test_code_in_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"params": os.system}))
    with pytest.raises(ValueError, match=r"net.pth .*posix.system|net.pth .*nt.system"):
        jaxsr.load(tmp_path / "net.pth")


def test_others_metadata_says_nothing_of_a_degradation(tmp_path):
    save_file(from_weights(compact()), tmp_path / "net.safetensors", metadata={"config": "{"})
    assert load_degradation(tmp_path / "net.safetensors") is None
    write_ncnn(tmp_path / "net.param", to_ncnn(compact()))
    assert load_degradation(tmp_path / "net.param") is None


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_discriminator(tmp_path, name):
    wanted = init_weights(jax.random.key(2), UNetDiscriminatorSN(num_features=2))
    FORMS[name](tmp_path / name, wanted)
    assert_same(load_discriminator(tmp_path / name), wanted)
    with pytest.raises(ValueError, match=f"{name}: this is a UNetDiscriminatorSN, wanted a gen"):
        jaxsr.load(tmp_path / name)


def test_discriminators_are_told_apart(tmp_path):
    d = init_weights(jax.random.key(2), UNetDiscriminatorSN(num_features=2))
    write_pth(tmp_path / "d.pth", from_weights(d))
    assert_same(read(tmp_path / "d.pth", discriminators=True).weights, d)
    with pytest.raises(
        ValueError, match="d.pth: this is a UNetDiscriminatorSN, wanted a generator"
    ):
        jaxsr.load(tmp_path / "d.pth")
    write_pth(tmp_path / "g.pth", from_weights(compact()))
    assert_same(read(tmp_path / "g.pth", discriminators=True).weights, compact())
    with pytest.raises(
        ValueError, match="g.pth: this is a SRVGGNetCompact, wanted a discriminator"
    ):
        load_discriminator(tmp_path / "g.pth")
    save_weights(tmp_path / "g.safetensors", compact())
    with pytest.raises(ValueError, match="g.safetensors holds a generator"):
        load_discriminator(tmp_path / "g.safetensors")


def test_nothing_is_passed_over():
    """A network beside its wrapper's other tensors is not the whole of the file."""
    state = from_weights(compact())
    with pytest.raises(ValueError, match="got extra beside 'params'; save what belongs together"):
        to_weights({"params": state, "extra": state["body.0.bias"]})


def test_numbers_that_float32_cannot_hold_are_refused(tmp_path):
    state = {name: x.astype(np.float64) for name, x in from_weights(compact()).items()}
    state["body.0.bias"][0] = 1e300
    write_pth(tmp_path / "net.pth", state)
    with pytest.raises(ValueError, match=r"net.pth: got weights up to 1e\+300, beyond float32"):
        jaxsr.load(tmp_path / "net.pth")


def test_types_that_numpy_lacks_are_named(tmp_path):
    header = b'{"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}'
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(ValueError, match="net.safetensors: a is F8_E4M3; convert it to F32"):
        jaxsr.load(tmp_path / "net.safetensors")


@pytest.mark.parametrize("config", ["[train]\nsteps = 1", "["])
def test_a_config_that_cannot_be_read_is_named(tmp_path, config):
    save_weights(tmp_path / "net.safetensors", compact(), metadata={"config": config})
    with pytest.raises(ValueError, match="net.safetensors keeps a config that cannot be read"):
        load_degradation(tmp_path / "net.safetensors")


def test_depths_that_nobody_trains_are_refused_at_once(tmp_path):
    state = from_weights(compact(num_convs=1))
    for i in range(4, 1200, 2):
        state[f"body.{i}.weight"] = np.zeros((4, 4, 3, 3), np.float32)
    write_pth(tmp_path / "net.pth", state)
    begun = time.monotonic()
    with pytest.raises(ValueError, match="net.pth: .*num_convs is 598, wanted 128 at most"):
        jaxsr.load(tmp_path / "net.pth")
    save_weights(tmp_path / "net.safetensors", compact())
    with safe_open(tmp_path / "net.safetensors", framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    metadata["jaxsr.arch"] = metadata["jaxsr.arch"].replace(
        '"num_convs": 1', '"num_convs": 1000000000'
    )
    save_file(tensors, tmp_path / "net.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match="names a network of 1000000000 blocks and holds 8 arrays"):
        jaxsr.load(tmp_path / "net.safetensors")
    assert time.monotonic() - begun < 5


def test_a_bin_without_its_graph(tmp_path):
    (tmp_path / "net.bin").write_bytes(b"\0" * 64)
    with pytest.raises(
        ValueError, match="net.bin .*; if it is ncnn's, its .param is not beside it"
    ):
        jaxsr.load(tmp_path / "net.bin")


def test_what_a_file_was(tmp_path):
    halves = {k: v.astype(np.float16) for k, v in from_weights(compact()).items()}
    write_pth(tmp_path / "net.pth", halves)
    loaded = read(tmp_path / "net.pth")
    assert (loaded.form, loaded.dtypes, loaded.metadata) == ("PyTorch", ("float16",), {})
    write_ncnn(tmp_path / "net.param", to_ncnn(compact(), dtype="float16"))
    assert read(tmp_path / "net.param").dtypes == ("float16", "float32")  # slopes and biases
    save_weights(tmp_path / "net.safetensors", compact(), metadata={"step": "7"})
    own = read(tmp_path / "net.safetensors")
    assert (own.form, own.dtypes, own.metadata["step"]) == ("jaxsr", ("float32",), "7")


def test_a_name_stands_for_what_was_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *a, **k: tmp_path)
    with pytest.raises(ValueError, match="RealESRGAN_x4plus is not on this machine; `jaxsr fetch"):
        jaxsr.load("RealESRGAN_x4plus")
    path = cache_path("RealESRGAN_x4plus")
    path.parent.mkdir()
    write_pth(path, from_weights(compact()))
    with pytest.raises(ValueError, match="sha256"):
        jaxsr.load("RealESRGAN_x4plus")
    mine = PUBLIC["RealESRGAN_x4plus"]._replace(sha256=sha256(path.read_bytes()).hexdigest())
    monkeypatch.setitem(PUBLIC, "RealESRGAN_x4plus", mine)
    assert_same(jaxsr.load("RealESRGAN_x4plus"), compact())
