"""Other unshuffling, and files from before there was any."""

import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from toys import toy

from jaxsr.networks.generators import RRDBNet
from jaxsr.networks.weights import Weights, read_metadata, read_weights, save_weights


@pytest.mark.parametrize(
    ("scale", "unshuffle", "ups", "inputs"),
    [
        (1, None, 2, 48),
        (1, 1, 0, 3),
        (2, None, 2, 12),
        (2, 1, 1, 3),
        (4, 2, 3, 12),
        (8, None, 3, 3),
    ],
)
def test_the_size_is_doubled_as_the_unshuffling_asks(scale, unshuffle, ups, inputs):
    arch = toy("rrdbnet", scale, unshuffle=unshuffle)
    x = np.zeros((1, 8, 8, 3), np.float32)
    params = jax.eval_shape(arch.init, jax.random.key(0), x)["params"]
    assert params["conv_first"]["kernel"].shape[2] == inputs
    assert sum(name.startswith("conv_up") for name in params) == ups


def test_the_usual_unshuffling_is_none():
    assert RRDBNet(1, unshuffle=4) == RRDBNet(1) and RRDBNet(8, unshuffle=1) == RRDBNet(8)
    assert RRDBNet(1, unshuffle=1) != RRDBNet(1)


@pytest.mark.parametrize(
    ("scale", "unshuffle", "wanted"), [(1, 8, "1 or 2 or 4"), (2, 3, "1 or 2 or 4"), (8, 2, "1")]
)
def test_unshuffling_that_cannot_be_is_refused(scale, unshuffle, wanted):
    message = f"got unshuffle {unshuffle}, wanted {wanted} for scale {scale}$"
    with pytest.raises(ValueError, match=message):
        RRDBNet(scale, unshuffle=unshuffle)


def test_a_file_from_before_the_variants_holds_the_usual_network(tmp_path, draw):
    arch = toy("rrdbnet", 2)
    variables = draw(arch, np.zeros((1, 8, 8, 3), np.float32))
    path = tmp_path / "w.safetensors"
    save_weights(path, Weights(variables["params"], {}, arch))
    metadata = read_metadata(path)
    spec = json.loads(metadata["jaxsr.arch"])
    assert (spec.pop("unshuffle"), spec.pop("plus")) == (None, False)
    save_file(load_file(path), path, metadata=metadata | {"jaxsr.arch": json.dumps(spec)})
    assert read_weights(path).arch == arch
