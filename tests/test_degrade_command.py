"""`jaxsr degrade` as a person meets it."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from toy_run import PIXEL, jaxsr, merged, waves, write_config

NOISE = {"degrade": {"kind": "noise", "sigma": [10, 40], "crop": 24}}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return waves(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def config(tmp_path):
    """One that names no pictures."""
    return write_config(tmp_path / "toy.toml", merged(PIXEL, NOISE))


def test_a_folder_has_the_grid_the_draws_and_a_set_of_pairs(config, pictures, tmp_path):
    out = tmp_path / "deep" / "out"
    code, told, errors = jaxsr("degrade", pictures, "-o", out, "--config", config, "-n", 5)
    assert (code, errors) == (0, "")
    assert told == f"{out}: 5 examples of 4 pictures\n"
    tables = json.loads((out / "draws.json").read_text())
    assert [table["number"] for table in tables] == list(range(5))
    for table in tables:
        hr, lr = (np.asarray(Image.open(out / table[name])) for name in ("hr", "lr"))
        assert hr.shape == (16, 16, 3) and lr.shape == (8, 8, 3)
        assert table["crop"]["size"] == 24 and table["cut"]["size"] == 16
        assert 10 <= table["degradation"]["steps"][0]["sigma"] <= 40
    assert {path.name for path in out.iterdir()} == {"grid.png", "draws.json", "lr", "hr"}
    assert sorted(p.name for p in (out / "lr").iterdir()) == [f"000{i}.png" for i in range(5)]
    with Image.open(out / "grid.png") as grid:
        assert grid.size == (3 * 196 + 2 * 8, 2 * 116 + 8)


def test_a_png_has_its_json_beside_it(config, pictures, tmp_path):
    out = tmp_path / "a.png"
    asked = ("degrade", pictures / "0.png", pictures / "1.png", "-o", out, "--config", config)
    tables = {}
    for seed in ((), ("--seed", 7), ("--set", "train.seed=7")):
        assert jaxsr(*asked, "-n", 2, *seed)[0] == 0
        tables[seed] = json.loads((tmp_path / "a.json").read_text())
    default, seven, stated = tables.values()
    assert default != seven == stated
    assert {table["picture"] for table in seven} == {str(pictures / f"{i}.png") for i in (0, 1)}
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.json", "toy.toml"}


def test_the_pictures_of_the_config_do_not_matter(pictures, tmp_path):
    config = write_config(tmp_path / "t.toml", merged(PIXEL, NOISE), data={"train": "/nowhere"})
    out = tmp_path / "out"
    options = ["--config", config, "-n", 1, "--set", "degrade.sigma=[3, 3]"]
    assert jaxsr("degrade", pictures, "-o", out, *options)[0] == 0
    (table,) = json.loads((out / "draws.json").read_text())
    assert table["degradation"]["steps"][0]["sigma"] == 3


def test_what_cannot_be_used_is_told(config, tmp_path):
    folder = waves(tmp_path / "in", count=2)
    waves(tmp_path / "small", count=1, size=20)
    asked = ("degrade", folder, tmp_path / "small", "-o", tmp_path / "out", "--config", config)
    code, told, errors = jaxsr(*asked, "-n", 1)
    assert code == 0 and "of 2 pictures" in told
    assert errors.startswith(f"left out {tmp_path / 'small' / '0.png'}: its 20x20 pixels")


WRONG = {
    "no config": (["--config", "/no.toml"], "no config at /no.toml"),
    "unknown key": (["--set", "degrade.sigmas=3"], r"degrade\.sigmas: no such key"),
    "crop": (["--set", "degrade.crop=60"], "the crop 60 is larger than every picture"),
    "seed": (["--seed", 2**31], r"train\.seed: Expected `int`"),
    "a picture of another kind": (["-o", "x.jpg"], r"x\.jpg: wanted a folder, or a file that ends"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_asked_wrongly_is_one_sentence_and_leaves_nothing(name, config, pictures, tmp_path):
    options, wanted = WRONG[name]
    asked = ["degrade", pictures, "-o", tmp_path / "out", "--config", config, *options]
    assert_refused(asked, wanted)
    assert {path.name for path in tmp_path.iterdir()} == {"toy.toml"}


def assert_refused(arguments, wanted):
    code, _, errors = jaxsr(*arguments)
    assert code == 2
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert re.search(wanted, errors), errors


def test_where_nothing_is_degraded_nothing_is_to_be_seen(pictures, tmp_path):
    config = write_config(tmp_path / "pairs.toml", PIXEL, data={"lr": "lr"})
    asked = ["degrade", pictures, "-o", tmp_path / "out", "--config", config]
    assert_refused(asked, r"data\.lr names LR pictures, which are taken as they are")
    config = tmp_path / "dcgan.toml"
    config.write_text(
        'generator = { name = "dcgan", size = 16, latent = 3, num_features = 2 }\n'
        'discriminator = { name = "strided", features = [2, 3] }\n'
        "loss.adversarial.weight = 1.0\ndata.crop = 16\ntrain.steps = 1\n"
    )
    asked = ["degrade", pictures, "-o", tmp_path / "out", "--config", config]
    assert_refused(asked, "its generator makes pictures of noise")


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        *(
            (name, "lies among the pictures that are given")
            for name in ("in", "in/out", "in/0.png")
        ),
        ("in/new.png", "lies among the pictures that are given"),
        (".", "is or holds a picture that is given"),
        ("toy.toml/out", "toy.toml is a file"),
    ],
)
def test_pictures_are_never_harmed(config, tmp_path, output, wanted):
    folder = waves(tmp_path / "in", count=1)
    before = (folder / "0.png").read_bytes()
    asked = ["degrade", folder, "-o", tmp_path / output, "--config", config, "-n", 1]
    assert_refused(asked, wanted)
    assert (folder / "0.png").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["0.png"]


def test_a_picture_that_is_left_out_is_not_harmed_either(config, tmp_path):
    waves(tmp_path / "in", count=1)
    small = waves(tmp_path / "small", count=1, size=20) / "0.png"
    asked = ["degrade", tmp_path / "in" / "0.png", small, "-o", small, "--config", config]
    assert_refused(asked, "is or holds a picture that is given")
    with Image.open(small) as image:
        assert image.size == (20, 20)


@pytest.mark.parametrize("mine", ["out/notes.txt", "out/lr/0000.png", "out/draws.json", "a.json"])
def test_only_an_earlier_preview_is_replaced(config, pictures, tmp_path, mine):
    (tmp_path / mine).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mine).write_text('[{"number": 1}]')
    output = tmp_path / ("out" if mine.startswith("out") else "a.png")
    asked = ["degrade", pictures, "-o", output, "--config", config, "-n", 1]
    assert_refused(asked, "is there and of no earlier preview; name another output")
    assert (tmp_path / mine).read_text() == '[{"number": 1}]'


def test_crops_that_no_preview_made_stay(config, pictures, tmp_path):
    out = tmp_path / "out"
    asked = ["degrade", pictures, "-o", out, "--config", config, "-n"]
    assert jaxsr(*asked, 1)[0] == 0
    (out / "hr" / "0001.png").write_text("mine")
    assert_refused([*asked, 2], r"hr/0001\.png is there and of no earlier preview")
    assert (out / "hr" / "0001.png").read_text() == "mine"


def test_an_empty_list_is_no_preview(config, pictures, tmp_path):
    (tmp_path / "a.json").write_text("[]")
    asked = ["degrade", pictures, "-o", tmp_path / "a.png", "--config", config, "-n", 1]
    assert_refused(asked, "is there and of no earlier preview")


def test_pairs_of_an_earlier_preview_do_not_stay(config, pictures, tmp_path):
    out = tmp_path / "out"
    for count in (4, 2):
        asked = ["degrade", pictures, "-o", out, "--config", config, "-n", count]
        assert jaxsr(*asked)[0] == 0
        (out / "mine.txt").touch()  # stays, for the folder holds a preview
    for part in ("lr", "hr"):
        assert sorted(p.name for p in (out / part).iterdir()) == ["0000.png", "0001.png"]
    assert len(json.loads((out / "draws.json").read_text())) == 2 and (out / "mine.txt").exists()
