"""Published weights on a photograph, against PyTorch: tests/parity/real_networks.py."""

from pathlib import Path

import numpy as np
import pytest

import jaxsr
from jaxsr.interop.graphs import from_ncnn
from jaxsr.interop.layouts import from_weights, to_weights
from jaxsr.interop.ncnn import read_ncnn
from jaxsr.interop.pth import read_pth
from jaxsr.networks.generators import RRDBNet

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "real_networks.npz")


@pytest.fixture
def foreign(data_dir):
    """The path of a file of that name; skips where it is absent."""

    def foreign(name: str) -> Path:
        path = data_dir / "weights" / "foreign" / name
        if not path.is_file():
            pytest.skip(f"{path} is absent")
        return path

    return foreign


def assert_gives(weights, name: str):
    """Every third row and column, as PyTorch made them."""
    y = np.asarray(jaxsr.upscale(weights, np.float32(GOLDEN["x"]) / 255))
    assert y.shape == (96, 96, 3)
    np.testing.assert_allclose(y[::3, ::3], GOLDEN[name], rtol=0, atol=1e-4)


def test_the_anime_network_from_pytorch(foreign):
    file = read_pth(foreign("realesrgan-x4plus-anime.pth"))
    weights = to_weights(file)
    assert weights.arch == RRDBNet(4, num_blocks=6)
    back = from_weights(weights)
    assert back.keys() == file["params_ema"].keys()
    for name, array in file["params_ema"].items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)
    assert_gives(weights, "x4plus_anime")


def test_the_network_for_photographs_from_ncnn(foreign):
    weights = from_ncnn(read_ncnn(foreign("realesrgan-x4plus.param")))
    assert weights.arch == RRDBNet(4)
    assert_gives(weights, "x4plus")
