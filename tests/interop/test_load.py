"""`load`: a file, a run directory, and everything that is neither."""

import os
import pickle
from hashlib import sha256
from pathlib import Path

import jax
import numpy as np
import platformdirs
import pytest
from safetensors.numpy import save_file

import jaxsr
from jaxsr.interop.fetch import cache_path
from jaxsr.interop.graphs import to_ncnn
from jaxsr.interop.layouts import from_weights
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
    with pytest.raises(ValueError, match="net.pth: .*it has no PReLU slopes: give its activation"):
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
    with pytest.raises(ValueError, match=f"{name}: .*is no network known here"):
        jaxsr.load(tmp_path / name)


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
