"""`load`: a file, a run directory, and everything that is neither."""

import jax
import numpy as np
import pytest

import jaxsr
from jaxsr.networks.generators import SRResNet
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
    with pytest.raises(ValueError, match="no weights at .*absent; name a .safetensors file or"):
        jaxsr.load(tmp_path / "absent")


def test_a_file_of_something_else(tmp_path):
    (tmp_path / "net.safetensors").write_text("no weights")
    with pytest.raises(ValueError, match="is no whole .safetensors file"):
        jaxsr.load(tmp_path / "net.safetensors")
