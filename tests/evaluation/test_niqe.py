"""NIQE against BasicSR and pyiqa (tests/parity/niqe.py), which compute in float64."""

from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from parity.niqe import CROP, picture

from jaxsr.evaluation.niqe import niqe
from jaxsr.imaging import files
from jaxsr.imaging.color import fit_channels, to_float

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "niqe.npz")
NIQE = jax.jit(niqe, static_argnames="crop")


@pytest.fixture(scope="module")
def pictures():
    return np.stack([to_float(picture(kind)) for kind in ("textured", "flat")])


def test_equals_the_references(pictures):
    """Of flat areas pyiqa's window, rounded to float32, makes others: it is no reference there.

    A Y that lies between two levels is rounded to either, which is 3e-5 here.
    """
    result = NIQE(pictures, crop=CROP)
    assert result.shape == (2,) and result.dtype == np.float32
    np.testing.assert_allclose(result[0], GOLDEN["textured"], rtol=1e-4)
    np.testing.assert_allclose(result[1], GOLDEN["flat"][0], rtol=1e-3)


def test_the_figure_of_matlab(data_dir):
    """BasicSR states it for the authors' program in MATLAB R2021a, of baboon whole."""
    baboon = files.read(data_dir / "Set14" / "baboon.png").pixels
    assert NIQE(to_float(baboon)[None], crop=0)[0] == pytest.approx(5.72957338, abs=1e-4)


def agrees_with_basicsr(path):
    """To 6e-4: in flat areas the reference measures its own rounding, and pyiqa is 4e-2 off."""
    image = to_float(fit_channels(files.read(path).pixels, 3))
    wanted = GOLDEN[path.name][0]
    assert NIQE(image[None], crop=CROP)[0] == pytest.approx(wanted, rel=6e-4)


@pytest.mark.parametrize("name", ["Set5/butterfly", "Set5/bird", "Set14/ppt3"])
def test_equals_basicsr_on_pictures_of_the_standard_sets(data_dir, name):
    """With nothing flat in them, with some, with much."""
    agrees_with_basicsr(data_dir / f"{name}.png")


@pytest.mark.slow
def test_equals_basicsr_on_all_pictures_of_the_standard_sets(data_dir):
    paths = [path for name in ("Set5", "Set14") for path in (data_dir / name).iterdir()]
    assert {path.name for path in paths} == {*GOLDEN} - {"textured", "flat"}
    for path in paths:
        agrees_with_basicsr(path)


def test_nothing_but_whole_levels_of_y_counts(pictures):
    """Half a level more or less in Y is none; grey is its own Y."""
    wanted = NIQE(pictures, crop=CROP)
    rng = np.random.default_rng(0)
    y = np.round(pictures @ [65.481, 128.553, 24.966] + 16)[..., None]
    noise = rng.uniform(-0.4, 0.4, y.shape)
    grey = ((y + noise) / 255).astype(np.float32)
    np.testing.assert_allclose(NIQE(grey, crop=CROP), wanted, rtol=1e-4)


def test_a_picture_without_texture_has_no_figure(pictures):
    """Nor has one of two blocks of which one has any."""
    blank = np.full((2, 96, 192, 1), 0.5, np.float32)
    blank[1, 20:70, 20:70] = pictures[0, 20:70, 20:70, :1]
    assert np.all(np.isnan(NIQE(blank, crop=0)))


def test_pictures_are_measured_one_by_one(pictures):
    eight = np.concatenate([pictures] * 4)[:, :100, :200]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    over = jax.device_put(eight, NamedSharding(mesh, P("data")))
    alone = [NIQE(image[None], crop=0)[0] for image in eight[:2]]
    np.testing.assert_allclose(NIQE(over, crop=0), alone * 4, rtol=1e-4)


def test_refusals_say_what_to_do():
    def measure(*shape, dtype=np.float32, crop=0):
        niqe(np.zeros(shape, dtype), crop=crop)

    with pytest.raises(ValueError, match="194 x 98 with 2 pixels .* less than the 96 x 192 of NIQ"):
        measure(1, 194, 98, 3, crop=2)
    with pytest.raises(ValueError, match="191 x 191 with 0 pixels"):
        measure(1, 191, 191, 3)
    with pytest.raises(ValueError, match="use larger pictures"):
        measure(1, 200, 200, 3, crop=-1)
    with pytest.raises(ValueError, match=r"wanted \[N, H, W, 3\] or \[N, H, W, 1\]"):
        measure(1, 200, 200, 4)
    with pytest.raises(ValueError, match="uint8; apply color.to_float"):
        measure(1, 200, 200, 3, dtype=np.uint8)
