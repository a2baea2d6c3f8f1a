"""`jaxsr evaluate` as a person and a program meet it."""

import csv
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from toy_run import jaxsr, waves, write_weights

from jaxsr.networks.generators import SRVGGNetCompact
from jaxsr.networks.weights import init_weights, save_weights


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return waves(tmp_path_factory.mktemp("pictures"), count=2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights") / "toy.safetensors")


@pytest.fixture(scope="module")
def lpips(tmp_path_factory):
    """AlexNet and heads of few channels, in the names of torchvision and of LPIPS."""
    rng = np.random.default_rng(0)
    widths = {0: (3, 4, 11), 3: (4, 4, 5), 6: (4, 4, 3), 8: (4, 4, 3), 10: (4, 4, 3)}
    net = {}
    for index, (ins, outs, side) in widths.items():
        net[f"features.{index}.weight"] = rng.normal(size=(outs, ins, side, side))
        net[f"features.{index}.bias"] = np.zeros(outs)
    heads = {f"lin{i}.model.1.weight": rng.random((1, 4, 1, 1)) for i in range(5)}
    folder = tmp_path_factory.mktemp("lpips")
    for name, state in {"net": net, "heads": heads}.items():
        floats = {k: v.astype(np.float32) for k, v in state.items()}
        save_file(floats, folder / f"{name}.safetensors")
    return f"{folder}/net.safetensors,{folder}/heads.safetensors"


def test_writes_a_report_and_the_pictures(pictures, weights, lpips, tmp_path):
    options = ["--data", pictures, "-w", weights, "--lpips", lpips, "--json", "-"]
    code, out, errors = jaxsr(
        "evaluate", *options, "--report", tmp_path / "r", "--save", tmp_path / "s"
    )
    assert code == 0, errors
    figures = json.loads(out)  # nothing else stands there: the table is among the errors
    assert "lpips_alex" in errors and "cropped from each border" in errors
    assert json.loads((tmp_path / "r" / "metrics.json").read_text()) == figures
    assert figures["methods"]["toy"]["mean"]["lpips_alex"] > 0
    rows = list(csv.DictReader((tmp_path / "r" / "metrics.csv").read_text().splitlines()))
    assert {row["method"] for row in rows} == set(figures["methods"])
    page = (tmp_path / "r" / "index.html").read_text()
    assert "toy" in page and "data:image/webp" in page
    for method in figures["methods"]:
        with Image.open(tmp_path / "s" / method / "0.png") as image:
            assert image.size == (48, 48)


def test_requirements_end_in_an_exit_code(pictures, weights):
    asked = ["evaluate", "--data", pictures, "-w", weights]
    assert jaxsr(*asked, "--require", "psnr_y>=1", "--require", "ssim_y<=1")[0] == 0
    code, out, errors = jaxsr(*asked, "--require", "psnr_y>=99")
    assert code == 1 and "toy: psnr_y is" in errors and "wanted >= 99.0" in errors
    assert "bicubic" in out  # the table comes all the same


def test_pairs_and_pictures_without_originals(pictures, weights, tmp_path):
    small, large = tmp_path / "lr", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    for path in sorted(pictures.iterdir()):
        with Image.open(path) as image:
            image.resize((24, 24)).save(small / path.name)
            image.resize((200, 100)).save(large / path.name)
    code, out, _ = jaxsr("evaluate", "--pairs", small, pictures, "-w", weights)
    assert code == 0 and "LR of pairs" in out and "psnr_y" in out
    code, out, _ = jaxsr("evaluate", "--no-reference", large, "--metric", "niqe")
    assert code == 0 and "NIQE as BasicSR has it" in out and "psnr" not in out
    assert "input" in out and "degraded" not in out
    code, out, _ = jaxsr("evaluate", "--no-reference", large, "-w", weights)
    assert code == 0 and "consistency" in out and "toy" in out


def test_names_are_shown_as_they_are(pictures, weights, tmp_path):
    named = tmp_path / "net[v2].safetensors"
    shutil.copy(weights, named)
    code, out, _ = jaxsr("evaluate", "--data", f"{pictures}/[0-1].png", "-w", named)
    assert code == 0 and "net[v2]" in out and "[0-1].png" in out


def test_rows_are_chosen(pictures):
    asked = ["evaluate", "--data", pictures, "--scale", 2, "--method", "bicubic", "--json", "-"]
    assert list(json.loads(jaxsr(*asked)[1])["methods"]) == ["bicubic"]


def test_a_network_that_gives_no_numbers_is_told(tmp_path):
    """Of floats, which are not clipped; of pictures without texture there is no NIQE either."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.random((96, 200, 3), np.float32))
    arch = SRVGGNetCompact(scale=2, num_features=4, num_convs=1)
    broken = jax.tree.map(lambda x: x * np.nan, init_weights(jax.random.key(0), arch))
    save_weights(tmp_path / "broken.safetensors", broken)
    code, out, _ = jaxsr(
        *("evaluate", "--data", tmp_path / "a.npy", "-w", tmp_path / "broken.safetensors"),
        *("--report", tmp_path / "r", "--require", "psnr_y>=1"),
    )
    assert code == 1 and "nan" in out
    figures = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert figures["methods"]["broken"]["mean"]["psnr_y"] is None
    rows = csv.DictReader((tmp_path / "r" / "metrics.csv").read_text().splitlines())
    assert [row["psnr_y"] for row in rows if row["method"] == "broken"] == ["", ""]
    assert (tmp_path / "r" / "index.html").stat().st_size < 5e6


@pytest.mark.parametrize(
    "options, wanted",
    [
        ([], "got none of --data, --pairs and --no-reference; give one of them"),
        (
            ["--data", "{p}", "--scale", "2", "--metric", "vmaf"],
            "got the metric 'vmaf', wanted one",
        ),
        (["--data", "{p}", "--scale", "2", "--metric", "lpips_vgg"], "name its files with --lpips"),
        (["--data", "{p}", "--scale", "2", "--require", "niqe<=5"], "niqe: it is not measured"),
        (["--data", "{p}", "--scale", "2", "--require", "good"], "wanted METRIC>=NUMBER"),
        (["--no-reference", "{p}", "--report", "r"], "--report shows pictures beside originals"),
        (["--no-reference", "{p}", "--metric", "ms_ssim_y"], "niqe need no original; leave out"),
        (
            ["--data", "{p}", "--scale", "2", "--json", "{p}/0.png"],
            "a file that ends in .js",
        ),
        (["--data", "{p}", "--scale", "2", "--save", "{p}/sr"], "sr lies among the pictures of"),
        (["--data", "{p}", "--scale", "2", "--report", "{p}"], "lies among the pictures of"),
        (["--data", "{p}", "--scale", "2", "--method", "cubic"], "--method: got cubic, wanted one"),
        (
            ["--data", "{p}", "--scale", "2", "--metric", "niqe", "--report", "r"],
            "96 x 192 of NIQE",
        ),
        (["--data", "{p}", "--scale", "2", "--lpips", "{w}"], "no AlexNet, VGG16 or SqueezeNet"),
    ],
)
def test_refuses_in_a_sentence(pictures, weights, tmp_path, monkeypatch, options, wanted):
    monkeypatch.chdir(tmp_path)
    filled = [option.format(p=pictures, w=weights) for option in options]
    code, out, errors = jaxsr("evaluate", *filled)
    assert code == 2 and wanted in errors, errors
    assert list(tmp_path.iterdir()) == []
