"""`save`: each form as its own reader gives it back, and what a form cannot hold."""

import re

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxsr.interop.load import load, load_discriminator, read
from jaxsr.interop.pth import read_pth
from jaxsr.interop.save import save
from jaxsr.networks.discriminators import UNetDiscriminatorSN
from jaxsr.networks.generators import EDSR, ESPCN, RRDBNet, SRResNet, SRVGGNetCompact
from jaxsr.networks.weights import Weights, init_weights

RRDB = RRDBNet(4, num_features=4, num_blocks=1, growth=2)
COMPACT = SRVGGNetCompact(2, num_features=4, num_convs=1)


def fresh(arch) -> Weights:
    return init_weights(jax.random.key(0), arch)


def assert_same(got: Weights, wanted: Weights, rtol=0.0, atol=0.0):
    assert (got.arch, got.ranges) == (wanted.arch, wanted.ranges)
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize(
    "arch, name, layout",
    [
        (RRDB, "a.safetensors", None),
        (RRDB, "a.safetensors", "old"),
        (RRDB, "a.pth", None),
        (RRDB, "a.pt", "middle"),
        (RRDB, "a.param", None),
        (COMPACT, "a.param", None),
        (SRResNet(2, num_features=2, num_blocks=1), "a.pth", None),
    ],
)
@pytest.mark.parametrize(
    "dtype, tolerances", [("float32", {}), ("float16", {"rtol": 2.0**-11, "atol": 2.0**-25})]
)
def test_round_trips(tmp_path, arch, name, layout, dtype, tolerances):
    weights = fresh(arch)
    save(tmp_path / name, weights, layout=layout, dtype=dtype)
    assert_same(load(tmp_path / name), weights, **tolerances)
    assert dtype in read(tmp_path / name).dtypes


def test_the_names_are_those_of_the_layout(tmp_path):
    save(tmp_path / "a.pth", fresh(RRDB))
    assert "body.0.rdb1.conv1.weight" in read_pth(tmp_path / "a.pth")["params_ema"]
    save(tmp_path / "a.safetensors", fresh(RRDB), layout="old")
    assert "model.1.sub.0.RDB1.conv1.0.weight" in load_file(tmp_path / "a.safetensors")


def test_metadata_stays_in_our_form(tmp_path):
    save(tmp_path / "a.safetensors", fresh(COMPACT), metadata={"step": "7"})
    assert read(tmp_path / "a.safetensors").metadata["step"] == "7"


@pytest.mark.parametrize(
    "arch, ranges, told",
    [
        (EDSR(2, num_features=2, num_blocks=1, res_scale=0.5), (), "res_scale 0.5, not 1.0"),
        (SRVGGNetCompact(2, num_features=2, num_convs=1, activation="relu"), (), "activation relu"),
        (ESPCN(2, num_features=2, activation="relu"), (), "activation relu, not tanh"),
        (COMPACT, ((0.0, 10.0),), r"ranges \(\(0.0, 10.0\),\)"),
    ],
)
def test_says_what_is_lost(tmp_path, arch, ranges, told):
    weights = fresh(arch).replace(ranges=ranges)
    assert re.search(told, save(tmp_path / "a.pth", weights))
    assert save(tmp_path / "a.safetensors", weights) == ""
    assert_same(load(tmp_path / "a.safetensors"), weights)


@pytest.mark.parametrize(
    "arch, name, layout, told",
    [
        (RRDBNet(4, num_features=4, num_blocks=1, plus=True), "a.pth", "new", "that it is ESRGAN+"),
        (RRDBNet(4, num_features=4, num_blocks=1, plus=True), "a.pth", "middle", "it is ESRGAN+"),
        (RRDBNet(4, num_features=4, num_blocks=1, plus=True), "a.pth", None, ""),
        (RRDB, "a.pth", None, "spandrel its growth 2, which takes 32 alone"),
        (
            RRDBNet(2, num_features=4, num_blocks=1),
            "a.param",
            None,
            "sides that are multiples of 2",
        ),
        (COMPACT, "a.param", None, ""),
    ],
)
def test_says_what_others_miss(tmp_path, arch, name, layout, told):
    got = save(tmp_path / name, fresh(arch), layout=layout)
    assert told in got and bool(told) == bool(got), got


@pytest.mark.parametrize("name", ["d.pth", "d.safetensors"])
def test_discriminators_have_the_names_of_pytorch(tmp_path, name):
    weights = fresh(UNetDiscriminatorSN(num_features=2))
    assert save(tmp_path / name, weights) == ""
    assert_same(load_discriminator(tmp_path / name), weights)


def test_refuses_what_a_form_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="a.npz: got .npz, wanted .safetensors, .pth"):
        save(tmp_path / "a.npz", fresh(COMPACT))
    with pytest.raises(ValueError, match="a.param: ncnn's files have no layouts; leave out 'old'"):
        save(tmp_path / "a.param", fresh(RRDB), layout="old")
    with pytest.raises(ValueError, match="got layout 'old', wanted one of new for SRVGGNetCompact"):
        save(tmp_path / "a.pth", fresh(COMPACT), layout="old")
    large = jax.tree.map(lambda x: x + 1e5, fresh(COMPACT))
    for name in ("a.pth", "a.safetensors", "a.param"):
        with pytest.raises(ValueError, match=r"weights up to 1000\d\d(\.\d+)?, beyond float16"):
            save(tmp_path / name, large, dtype="float16")
    assert list(tmp_path.iterdir()) == []
