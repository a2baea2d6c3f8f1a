"""Requirements on figures: read, and held or not."""

import pytest

from jaxsr.evaluation.requirements import parse, unmet

REPORT = {
    "methods": {
        "bicubic": {"mean": {"psnr_y": 28.4, "lpips_alex": 0.34}, "identical": 0},
        "mine": {"mean": {"psnr_y": 31.0, "lpips_alex": 0.2}, "identical": 0},
        "copy": {"mean": {"psnr_y": "inf", "lpips_alex": 0.0}, "identical": 2},
        "broken": {"mean": {"psnr_y": "inf", "lpips_alex": None}, "identical": 1},
    }
}


@pytest.mark.parametrize("text", ["psnr_y>=32.0", " psnr_y >= 32 ", "psnr_y>=3.2e1"])
def test_reads_a_bound(text):
    assert parse(text) == ("psnr_y", ">=", 32.0)


@pytest.mark.parametrize(
    "text", ["psnr_y", "psnr_y>32", "psnr_y>=", "psnr_y>=high", ">=3", "a>=nan"]
)
def test_refuses_what_is_no_bound(text):
    with pytest.raises(ValueError, match="wanted METRIC>=NUMBER or <=, such as psnr_y>=32.0"):
        parse(text)


@pytest.mark.parametrize(
    "text, names, failing",
    [
        ("psnr_y>=30", ["mine"], []),
        ("psnr_y>=31.0", ["mine"], []),
        ("psnr_y>=31.1", ["mine"], ["mine: psnr_y is 31.0, wanted >= 31.1"]),
        ("lpips_alex<=0.25", ["mine"], []),
        ("lpips_alex<=0.1", ["mine"], ["mine: lpips_alex is 0.2, wanted <= 0.1"]),
        ("psnr_y>=99", ["copy"], []),
        ("psnr_y<=99", ["copy"], ["copy: psnr_y is inf, wanted <= 99.0"]),
        ("lpips_alex>=0.1", ["broken"], ["broken: lpips_alex is no number, wanted >= 0.1"]),
        # Without networks it is asked of all.
        ("psnr_y>=30", [], ["bicubic: psnr_y is 28.4, wanted >= 30.0"]),
    ],
)
def test_says_what_does_not_hold(text, names, failing):
    assert unmet([parse(text)], REPORT, names) == failing


def test_what_is_no_number_holds_nothing():
    report = {"methods": {"mine": {"mean": {"niqe": None}, "identical": 0}}}
    for text in ("niqe>=0", "niqe<=99"):
        assert unmet([parse(text)], report, ["mine"]) == [
            f"mine: niqe is no number, wanted {text[4:6]} {float(text[6:])}"
        ]
