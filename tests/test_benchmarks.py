"""The benchmark of degradations runs, and its figures agree with each other."""

import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(monkeypatch, capsys, *options):
    """The cases that `benchmarks/degrade.py` prints."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "argv", ["degrade.py", *options])
    runpy.run_path(str(FOLDER / "degrade.py"), run_name="__main__")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_figures_agree(monkeypatch, capsys):
    options = ("--kind", "bicubic", "--crop", "16", "--batch", "2", "--repeats", "3")
    (case,) = run(monkeypatch, capsys, *options, "--generator", "compact")
    assert (case["kind"], case["crop"], case["batch"]) == ("bicubic", 16, 2)
    assert case["p10"] <= case["seconds"] <= case["p90"]
    assert case["images_per_s"] == pytest.approx(2 / case["seconds"], rel=1e-3)
    share = 1 - case["ready_step_seconds"] / case["step_seconds"]
    assert case["share"] == pytest.approx(share, abs=1e-3)


def test_without_opencv_the_reference_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SystemExit, match="pip install opencv-python-headless"):
        run(monkeypatch, capsys, "--reference")
