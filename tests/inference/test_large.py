import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tifffile

from jaxsr.imaging import files
from jaxsr.imaging.strips import write_strips
from jaxsr.inference import large
from jaxsr.inference.large import upscale_large
from jaxsr.inference.tiled import Tiling, upscale_tiled
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import init_weights, make_arch


def network(name="compact", **fields):
    small = {"num_features": 4} | ({"num_convs": 2} if name == "compact" else {})
    arch = make_arch(GENERATORS, {"name": name, "scale": 2} | small | fields)
    return init_weights(jax.random.key(0), arch)


def picture(path, *shape, dtype=np.uint8, **options):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = (np.random.default_rng(0).random(shape) * top).astype(dtype)
    tifffile.imwrite(path, pixels, **options)
    return pixels


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    "options",
    [{"rowsperstrip": 7, "compression": "zlib"}, {"tile": (16, 16)}, {}],
    ids=["strips", "tiles", "plain"],
)
def test_equals_the_picture_taken_whole(tmp_path, dtype, options):
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    pixels = picture(source, 45, 37, 3, dtype=dtype, photometric="rgb", **options)
    weights = network()
    read, written, notes = upscale_large(
        weights, source, target, tiling=Tiling(tile=8, mode="stream")
    )
    wanted = upscale_tiled(weights, pixels, mode="whole")
    got = tifffile.imread(target)
    assert (read, written, notes) == (45 * 37, 90 * 74, [])
    assert got.dtype == dtype
    if dtype == np.float32:
        np.testing.assert_allclose(got, wanted.clip(0, 1), atol=1e-5)
    else:
        assert np.abs(got.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(
    "size", [pytest.param((45, 37), marks=pytest.mark.slow), (1, 5), (6, 1), (2, 2), (8, 8)]
)
def test_sides_that_the_network_extends(tmp_path, size):
    pixels = picture(tmp_path / "a.tif", *size, 3, photometric="rgb")
    weights = network("encdec")
    upscale_large(
        weights, tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling(tile=4, mode="stream")
    )
    wanted = upscale_tiled(weights, pixels, mode="whole")
    assert np.abs(tifffile.imread(tmp_path / "b.tif").astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(("has", "takes"), [(1, 3), (3, 1), (1, 1)])
def test_grey_and_colour(tmp_path, has, takes):
    shape = (20, 30, 3) if has == 3 else (20, 30)
    picture(
        tmp_path / "a.tif",
        *shape,
        photometric="rgb" if has == 3 else "minisblack",
        iccprofile=b"profile",
    )
    upscale_large(network(channels=takes), tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling())
    assert files.read(tmp_path / "b.tif").metadata.icc == (None if has == 3 else b"profile")
    got = tifffile.imread(tmp_path / "b.tif")
    assert got.shape == (40, 60)
    assert np.ptp(got) > 100


def test_profile_and_resolution_are_carried(tmp_path):
    picture(
        tmp_path / "a.tif", 8, 8, 3, photometric="rgb", iccprofile=b"profile", resolution=(300, 300)
    )
    upscale_large(network(), tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling())
    metadata = files.read(tmp_path / "b.tif").metadata
    assert metadata.icc == b"profile"
    assert metadata.dpi is not None and round(metadata.dpi[0]) == 300


def test_what_bfloat16_cannot_hold_is_made_again(tmp_path):
    picture(tmp_path / "a.tif", 8, 8, 3, photometric="rgb")
    weights = network("espcn", activation="relu")
    weights.params["conv_first"]["bias"] = jnp.full(4, 3.4e38)
    weights.params["conv_body"]["kernel"] *= 0
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    *_, notes = upscale_large(weights, source, target, tiling=Tiling(dtype="bfloat16"))
    assert notes == ["not finite in bfloat16; made again in float32"]
    weights.params["conv_last"]["bias"] += np.nan
    with pytest.raises(ValueError, match="not finite, in float32 too"):
        upscale_large(weights, source, tmp_path / "c.tif", tiling=Tiling())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]


@pytest.mark.parametrize(
    ("options", "target", "message"),
    [
        ({"photometric": "rgb"}, "b.png", "as only TIFF can be; name a .tif"),
        ({"photometric": "rgb", "extrasamples": ["unassalpha"]}, "b.tif", "alpha cannot be"),
        ({"photometric": "separated"}, "b.tif", "inks cannot be"),
        ({"photometric": "minisblack", "planarconfig": "contig"}, "b.tif", "has 4 channels"),
    ],
)
def test_what_strips_cannot_do(tmp_path, options, target, message):
    picture(tmp_path / "a.tif", 8, 8, 3 if target == "b.png" else 4, **options)
    with pytest.raises(ValueError, match=message):
        upscale_large(network(), tmp_path / "a.tif", tmp_path / target, tiling=Tiling())


def test_floats_outside_0_and_1_need_units(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 8), 7, np.float32))
    with pytest.raises(ValueError, match="floats without ranges must lie in"):
        upscale_large(network(), tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling())
    in_units = network(channels=1).replace(ranges=((0.0, 10.0),))
    upscale_large(in_units, tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling())
    assert tifffile.imread(tmp_path / "b.tif").max() > 1


def test_too_wide_for_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "memory", lambda: 1000)
    picture(tmp_path / "a.tif", 8, 500, 3, photometric="rgb")
    with pytest.raises(ValueError, match="is 500 pixels wide, and the memory holds"):
        upscale_large(network(), tmp_path / "a.tif", tmp_path / "b.tif", tiling=Tiling())


PEAK = """
import resource, sys
from pathlib import Path
import jax
from jaxsr.inference.large import upscale_large
from jaxsr.inference.tiled import Tiling
from jaxsr.networks.generators import SRVGGNetCompact
from jaxsr.networks.weights import init_weights
arch = SRVGGNetCompact(scale=2, num_features=4, num_convs=1)
upscale_large(init_weights(jax.random.key(0), arch), *map(Path, sys.argv[1:]), tiling=Tiling())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_the_memory_does_not_grow_with_the_height(tmp_path):
    peaks = []
    for height in (1000, 40_000):
        source = tmp_path / f"{height}.tif"
        rows = (np.full((100, 256, 3), i % 256, np.uint8) for i in range(height // 100))
        write_strips(source, rows, shape=(height, 256, 3), dtype=np.uint8)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, source, tmp_path / "sr.tif"],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) / 1024)
    # The taller one's output alone is 123 MB.
    assert peaks[1] - peaks[0] < 40, peaks
