"""What `info` says of a network, against counts by hand."""

import json
import math

import jax
import pytest

from jaxsr.interop.info import describe
from jaxsr.interop.load import read
from jaxsr.interop.save import save
from jaxsr.networks.generators import DCGANGenerator, RRDBNet, SRVGGNetCompact
from jaxsr.networks.weights import init_weights, save_weights


def described(path, arch, **metadata):
    save_weights(path, init_weights(jax.random.key(0), arch), metadata=metadata)
    return describe(read(path))


def test_of_a_small_network(tmp_path):
    path = tmp_path / "net.safetensors"
    facts = described(path, SRVGGNetCompact(2, num_features=8, num_convs=3), step="7")
    kernels = [9 * 3 * 8, *[9 * 8 * 8] * 3, 9 * 8 * 12]
    assert facts["parameters"] == sum(kernels) + 4 * 8 + 12 + 4 * 8  # kernels, biases, slopes
    assert facts["receptive_radius"] == 5
    # Two for each weight and pixel, but where a kernel lies over the border; the rest is little.
    assert facts["megapixel"]["flops"] == pytest.approx(2 * sum(kernels) * 2**20, rel=0.05)
    assert facts["megapixel"]["bytes_whole"] > 2**20 * 12 * 4
    assert facts["megapixel"]["bytes_stream"] < facts["megapixel"]["bytes_whole"] / 8
    assert facts["family"] == "SRVGGNetCompact" and facts["network"]["num_convs"] == 3
    assert facts["stored_in"] == ("float32",) and facts["bytes"] == path.stat().st_size
    assert facts["metadata"] == {"step": "7"}
    assert json.loads(json.dumps(facts))["network"] == facts["network"]


def test_of_others_files(tmp_path):
    weights = init_weights(jax.random.key(0), RRDBNet(4, num_features=4, num_blocks=1, growth=2))
    for name, form in {"a.pth": "PyTorch", "a.param": "ncnn"}.items():
        save(tmp_path / name, weights, dtype="float16")
        facts = describe(read(tmp_path / name))
        assert (facts["form"], facts["family"], facts["receptive_radius"]) == (form, "RRDBNet", 19)
        assert "float16" in facts["stored_in"]


def test_noise_to_image_has_no_megapixel(tmp_path):
    facts = described(tmp_path / "net.safetensors", DCGANGenerator(num_features=2, latent=4))
    assert "megapixel" not in facts and "receptive_radius" not in facts
    assert math.isfinite(facts["parameters"])
