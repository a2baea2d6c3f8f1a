"""The examples that a run sees, and what is told of them."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxsr.imaging.bands import to_unit
from jaxsr.imaging.degrade import BSRGAN, RealESRGAN
from jaxsr.training.config import generator, make_config
from jaxsr.training.loop import train
from jaxsr.training.mesh import make_mesh
from jaxsr.training.pictures import scan_of
from jaxsr.training.preview import Seen, grid, named, preview, write_preview
from jaxsr.training.state import init_state


@pytest.fixture(autouse=True)
def fold_the_root_again():
    """The run's root key is folded again and again, which the checker takes for reuse."""
    with jax.debug_key_reuse(False):
        yield


NOISE = {"kind": "noise", "sigma": [5, 90], "grey": 0.5, "levels": 0}


def config_of(folder, *, degrade=NOISE, crop=16, scale=2, channels=3, seed=0, **data):
    arch = {"name": "compact", "scale": scale, "num_features": 4, "num_convs": 1}
    return make_config(
        {
            "generator": {**arch, "channels": channels},
            "loss": {"pixel": {"l1": 1.0}},
            "degrade": degrade,
            "data": {"train": str(folder), "crop": crop, **data},
            "train": {"steps": 1, "batch_size": 8, "seed": seed, "log_every": 1},
        }
    )


def seen(config, count):
    pictures, _ = scan_of(config)
    return list(preview(config, pictures, count=count))


@pytest.fixture
def pictures(paint, tmp_path):
    for i in range(3):
        paint(tmp_path / "hr" / f"{i}.png", 30 + i, 40 - i)
    return tmp_path / "hr"


def test_a_run_sees_the_same(pictures, tmp_path):
    """The loss of its first step is that of its first weights on what is shown."""
    codec = {"codec": "jpeg", "quality": [5, 60], "probability": 0.5}
    config = config_of(pictures, degrade={**NOISE, "crop": 24}, seed=5, codecs=[codec])
    steps = [r for r in train(config, tmp_path / "run") if r["event"] == "step"]
    arch, player = generator(config), init_state(config, make_mesh(devices=1)).g
    examples = seen(config, 8)
    lr, hr = (np.stack([getattr(e, part) for e in examples]) for part in ("lr", "hr"))
    sr = arch.apply({"params": player.params}, lr)
    assert hr.shape == (8, 16, 16, 3)
    assert steps[0]["l1"] == pytest.approx(float(np.abs(sr - hr).mean()), rel=1e-5)


def cut_by_hand(table, pixels):
    """The crop that a table tells of."""
    place = table["crop"]
    y, x, size = place["y"], place["x"], place["size"]
    part = pixels[y : y + size, x : x + size]
    part = np.rot90(part[:, ::-1] if place["flip"] else part, place["turn"] // 90)
    if "cut" not in table:
        return part
    y, x, size = (table["cut"][name] for name in ("y", "x", "size"))
    return part[y : y + size, x : x + size]


@pytest.mark.parametrize(
    "data, degrade",
    [({}, {"crop": 24}), ({"flip": False}, {}), ({"turn": False}, {})],
)
def test_the_table_says_where_the_crop_is(pictures, data, degrade):
    examples = seen(config_of(pictures, degrade=NOISE | degrade, **data), 12)
    for each in examples:
        pixels = np.asarray(Image.open(each.table["picture"]))
        wanted = cut_by_hand(each.table, pixels).astype(np.float32) / 255
        np.testing.assert_allclose(each.hr, wanted, atol=1e-6)
    crops = [each.table["crop"] for each in examples]
    assert len({crop["flip"] for crop in crops}) == (2 if data.get("flip", True) else 1)
    assert (len({crop["turn"] for crop in crops}) > 1) == data.get("turn", True)
    assert [each.table["number"] for each in examples] == list(range(12))


def test_the_table_says_what_was_done(pictures):
    """The noise of a chain has the deviation told, in the pictures that it happened to."""
    chain = {"kind": "chain", "levels": 0, "steps": [{**NOISE, "op": "noise", "probability": 0.5}]}
    del chain["steps"][0]["kind"], chain["steps"][0]["levels"]
    examples = seen(config_of(pictures, degrade=chain, scale=1, crop=28), 12)
    kinds = set()
    for each in examples:
        (step,) = each.table["degradation"]["steps"]
        assert step["op"] == "noise"
        noise = 255 * (each.lr - each.hr)
        kinds.add((step["happens"], step["happens"] and step["grey"]))
        if not step["happens"]:
            assert not noise.any()
            continue
        assert noise.std() == pytest.approx(step["sigma"], rel=0.1)
        assert (np.abs(np.ptp(noise, axis=-1)).max() < 1e-3) == step["grey"]
    assert kinds == {(False, False), (True, False), (True, True)}


def test_codecs_are_told(pictures):
    codec = {"codec": "jpeg", "quality": [5, 6], "probability": 0.5}
    config = config_of(pictures, scale=1, degrade={**NOISE, "sigma": [0, 0]}, codecs=[codec])
    coded = [(each, *each.table["codecs"]) for each in seen(config, 8)]
    assert {told["happens"] for _, told in coded} == {False, True}
    for each, told in coded:
        assert told["codec"] == "jpeg" and told["quality"] in (5, 6)
        assert (np.abs(each.lr - each.hr).max() > 0.1) == told["happens"]


def test_a_seed_has_examples_of_its_own(pictures):
    first, again, other = (seen(config_of(pictures, seed=seed), 2) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[1].lr, again[1].lr)
    assert first[1].table == again[1].table
    assert first[1].table["degradation"] != other[1].table["degradation"]
    assert first[1].table["crop"] != other[1].table["crop"]


def test_a_picture_that_cannot_be_decoded_is_named(folder):
    examples = seen(config_of(folder), 12)
    bad = [each.table["unreadable"] for each in examples if "unreadable" in each.table]
    assert bad == [str(folder / "broken.png")] * 2  # once in each of two epochs
    assert all(each.table["picture"] not in bad for each in examples)


def array(value):
    return np.asarray(value, np.float32 if isinstance(value, float) else None)


def test_numbers_become_names():
    draws = {"first": {"kernel": 4, "resize": 1, "method": 0, "noise": 0.3, "quality": 2}}
    draws["last"] = {"kernel": 6, "jpeg_first": True}
    table = named(jax.tree.map(array, draws), RealESRGAN(4))
    assert table == {
        "first": {
            "kernel": "plateau_iso",
            "resize": "down",
            "method": "area",
            "noise": 0.3,
            "quality": 2,
        },
        "last": {"kernel": "sinc", "jpeg_first": True},
    }
    draws = {"noise": {"noise": array(2)}, "reduce_to_lr": {"method": array(2)}}
    table = named({**draws, "order": np.array([5, 0, 4, 2, 1, 3])}, BSRGAN(4))
    assert table == {
        "noise": {"noise": "correlated"},
        "reduce_to_lr": {"method": "bicubic"},
        "order": ["jpeg", "blur", "noise", "reduce", "second_blur", "reduce_to_lr"],
    }


def test_real_esrgan_as_it_was_asked_for(pictures, paint):
    paint(pictures / "large.png", 50, 60)
    first = {
        "kernels": [0, 0, 0, 0, 0, 1],
        "sinc": 0,
        "resize": [1, 0, 0],
        "gaussian": 1,
        "grey": 1,
    }
    degrade = {"kind": "realesrgan", "crop": 48, "final_sinc": 1, "first": first}
    (each,) = seen(config_of(pictures, degrade=degrade, crop=32), 1)
    assert each.lr.shape == (16, 16, 3) and each.table["crop"]["size"] == 48
    table = json.loads(json.dumps(each.table))["degradation"]
    assert (table["first"]["kernel"], table["first"]["resize"]) == ("plateau_aniso", "up")
    assert table["first"]["gaussian"] is True and table["first"]["grey"] is True
    assert 1 <= table["first"]["factor"] <= 1.5
    assert table["last"]["kernel"] == "sinc"
    assert isinstance(table["second"]["quality"], int)


def test_the_grid_shows_pairs():
    rng = np.random.default_rng(0)
    pairs = [[rng.integers(0, 256, (n, n, 1), np.uint8) for n in (24, 48)] for _ in range(3)]
    made = grid(
        [
            Seen(*to_unit(np.stack([lr]), ()), to_unit(hr, ()), {"number": i})
            for i, (lr, hr) in enumerate(pairs)
        ]
    )
    # Twice 96 pixels and 4 between, under titles of 16, 4 below them, and 8 between the cells.
    assert made.shape == (2 * (16 + 96 + 4) + 8, 2 * (96 + 4 + 96) + 8, 3)
    for number, (lr, hr) in enumerate(pairs):
        y, x = 16 + number // 2 * (116 + 8), number % 2 * (196 + 8)
        for left, image in (
            (x, np.kron(lr[..., 0], np.ones((4, 4)))),
            (x + 100, np.kron(hr[..., 0], np.ones((2, 2)))),
        ):
            np.testing.assert_array_equal(made[y : y + 96, left : left + 96, 1], image)
        assert (made[y - 16 : y, x : x + 96] < 128).any()  # a title


def test_measurements_are_kept_as_they_are(paint_bands, tmp_path):
    bands = paint_bands(tmp_path / "in" / "a.npy", 30, 34, dtype=np.float32)
    config = config_of(tmp_path / "in", channels=6, ranges=[[-300, 900]])
    pictures, _ = scan_of(config)
    write_preview(tmp_path / "out", list(preview(config, pictures, count=2)), pictures)
    for table in json.loads((tmp_path / "out" / "draws.json").read_text()):
        hr, lr = (np.load(tmp_path / "out" / table[name]) for name in ("hr", "lr"))
        assert lr.shape == (8, 8, 6) and lr.dtype == np.float32
        np.testing.assert_allclose(hr, cut_by_hand(table, bands), atol=1e-3)
