"""The files of a report, read back by other means: the csv module, an HTML parser, Pillow."""

import base64
import csv
import hashlib
import io
import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from jaxsr.evaluation import report
from jaxsr.evaluation.errors import histogram, spectrum, spot
from jaxsr.evaluation.report import Page, described, write_figures

NASTY = "<script>alert(1)</script>.png"
Y = np.array([65.481, 128.553, 24.966]) / 255  # of R, G and B in levels, without the offset


def noise(height, width, channels=3, seed=0, dtype=np.uint8):
    """What no lossy codec keeps: integers over all of their range, or floats in [0, 1]."""
    random = np.random.default_rng(seed)
    if dtype == np.float32:
        return random.random((height, width, channels), np.float32)
    return random.integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def results(values, scale=2, **more):
    """A report of {method: {picture: {metric: value}}}; the first picture stands for the mean."""
    methods = {
        method: {
            "mean": next(iter(images.values())),
            "identical": 0,
            "images": images,
            "seconds": 1,
        }
        for method, images in values.items()
    }
    return {"dataset": "set", "scale": scale, "definition": "a; b", "methods": methods} | more


class Reader(HTMLParser):
    """Collects elements with their attributes, and the text of scripts and styles."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.texts, self._open = [], {}, None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = (tag, dict(attrs).get("id")) if tag in ("script", "style", "title") else None

    def handle_data(self, data):
        if self._open:
            self.texts[self._open] = self.texts.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None

    @property
    def report(self):
        return json.loads(self.texts["script", "report"])

    def image(self, number):
        content = base64.b64decode(self.texts["script", f"image-{number}"], validate=True)
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def write_page(folder, pictures, values=None, scale=2):
    """A page of {name: (hr, lr, {method: sr})}."""
    with Page(folder) as page:
        for name, (hr, lr, _) in pictures.items():
            page.add_original(name, hr, lr)
        for name, (_, _, results_of) in pictures.items():
            for method, sr in results_of.items():
                page.add(method, name, sr, pictures[name][0])
        methods = next(iter(pictures.values()))[2]
        values = values or {m: {name: {"psnr_y": 30.0} for name in pictures} for m in methods}
        page.write(results(values, scale))
    return Reader(folder / "index.html")


def pictures_of(hr, scale=2):
    return {"a.png": (hr, np.ascontiguousarray(hr[::scale, ::scale]), {"net": hr[::-1]})}


def test_the_table_holds_every_figure_and_the_means(tmp_path):
    values = {
        "bicubic": {"a.png": {"psnr_y": 31.25, "lpips": 0.125}, "b, c.png": {"psnr_y": "inf"}},
        "net": {"a.png": {"psnr_y": 1 / 3}, "b, c.png": {"psnr_y": 2.0, "lpips": 0.0}},
    }
    expected = results(values)
    write_figures(tmp_path / "out", expected)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == expected
    with (tmp_path / "out" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["picture"]) for row in rows] == [
        (method, picture) for method in values for picture in ("a.png", "b, c.png", "mean")
    ]
    assert [row["psnr_y"] for row in rows] == [
        "31.25",
        "inf",
        "31.25",
        str(1 / 3),
        "2.0",
        str(1 / 3),
    ]
    assert [row["lpips"] for row in rows] == ["0.125", "", "0.125", "", "0.0", ""]
    assert math.isinf(float(rows[1]["psnr_y"]))


def test_names_of_files_that_are_not_utf8_keep_their_bytes(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    report_ = results({"net": {name: {"psnr_y": 1.0}}}) | {"dataset": name}
    with Page(tmp_path) as page:
        page.write(report_)
    assert b"net,caf\xe9.png,1.0\n" in (tmp_path / "metrics.csv").read_bytes()
    assert Reader(tmp_path / "index.html").report["pictures"][0]["name"] == name


@pytest.mark.parametrize(
    "name, label, better",
    [
        ("psnr_y", "PSNR Y", "high"),
        ("ms_ssim_y", "MS-SSIM Y", "high"),
        ("lpips", "LPIPS", "low"),
        ("lpips_squeeze", "LPIPS squeeze", "low"),
        ("shift_r", "Shift R", "zero"),
        ("sharpness", "sharpness", ""),
    ],
)
def test_metrics_are_known_by_the_start_of_their_name(name, label, better):
    assert (described(name)["label"], described(name)["better"]) == (label, better)


def test_the_page_is_one_file_that_loads_nothing(tmp_path):
    hr = noise(24, 30)
    page = write_page(tmp_path, pictures_of(hr))
    assert {p.name for p in tmp_path.iterdir()} == {"index.html", "metrics.csv", "metrics.json"}
    addresses = [a[key] for _, a in page.elements for key in ("src", "href", "srcset") if key in a]
    assert addresses == ["data:,"]
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    for kind in ("style", "script"):
        digest = hashlib.sha256(page.texts[kind, None].encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}';" in policy
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "http" not in (tmp_path / "index.html").read_text().replace(
        "http://www.w3.org/2000/svg", ""
    ).replace("http-equiv", "")


def test_pictures_stand_in_the_page_without_loss(tmp_path):
    hr = noise(24, 30)
    page = write_page(tmp_path, pictures_of(hr))
    (picture,) = page.report["pictures"]
    lr, original, net = map(page.image, picture["images"])
    np.testing.assert_array_equal(lr, hr[::2, ::2])
    np.testing.assert_array_equal(original, hr)
    np.testing.assert_array_equal(net, hr[::-1])


@pytest.mark.parametrize(
    "dtype, channels, shown",
    [
        (np.uint16, 3, [0, 1, 2]),
        (np.float32, 3, [0, 1, 2]),
        (np.uint8, 1, [0, 0, 0]),
        (np.float32, 2, [0, 0, 0]),
        (np.uint16, 5, [0, 1, 2]),
    ],
)
def test_any_picture_is_shown_with_eight_bits(tmp_path, dtype, channels, shown):
    hr = noise(24, 24, channels, dtype=dtype)
    page = write_page(tmp_path, pictures_of(hr))
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    expected = np.rint(hr[..., shown] / top * 255)
    number = page.report["pictures"][0]["images"][1]
    assert np.abs(page.image(number) - expected).max() <= (0 if dtype == np.uint8 else 1)
    assert (page.image(number) == expected).mean() > 0.99


def test_of_a_large_picture_the_middle_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "WINDOW", 20)
    hr = noise(48, 60)
    page = write_page(tmp_path, {"a.png": (hr, hr[::3, ::3], {"net": hr})}, scale=3)
    (picture,) = page.report["pictures"]
    assert (picture["size"], picture["window"]) == ([60, 48], [21, 15, 18, 18])
    lr, original, net = map(page.image, picture["images"])
    np.testing.assert_array_equal(original, hr[15:33, 21:39])
    np.testing.assert_array_equal(net, original)
    np.testing.assert_array_equal(lr, hr[15:33:3, 21:39:3])


def test_pictures_beyond_the_limit_have_figures_alone(tmp_path, monkeypatch):
    hr = noise(32, 32)
    each = 32 * 32 * 3 * 2.25 * 4 / 3  # noise of 8 bits does not shrink
    monkeypatch.setattr(report, "LIMIT", 2.5 * each)
    pictures = {f"{i}.png": next(iter(pictures_of(hr).values())) for i in range(4)}
    page = write_page(tmp_path, pictures)
    described_ = page.report["pictures"]
    assert ["images" in picture for picture in described_] == [True, True, False, False]
    assert all(p["values"] and p["thumbnail"] and p["histograms"] for p in described_)
    assert sum(name is not None and name.startswith("image-") for _, name in page.texts) == 6


def test_no_name_becomes_markup(tmp_path):
    hr = noise(24, 24)
    values = {NASTY: {NASTY: {"psnr_y": 1.0}}}
    page = write_page(tmp_path, {NASTY: (hr, hr[::2, ::2], {NASTY: hr})}, values)
    plain = write_page(tmp_path / "plain", pictures_of(hr))
    tags = [[tag for tag, _ in each.elements] for each in (page, plain)]
    assert tags[0] == tags[1]
    assert page.report["pictures"][0]["name"] == page.report["methods"][0]["name"] == NASTY
    with Page(tmp_path) as folder:
        folder.write(results(values) | {"dataset": f"</title>{NASTY}"})
    assert Reader(tmp_path / "index.html").texts["title", None] == f"</title>{NASTY}, ×2"


def test_what_fails_leaves_the_old_page(tmp_path):
    write_page(tmp_path, pictures_of(noise(24, 24)))
    before = (tmp_path / "index.html").read_bytes()
    with pytest.raises(KeyError), Page(tmp_path) as page:
        page.add_original("b.png", noise(24, 24), noise(12, 12))
        page.add("net", "c.png", noise(24, 24), noise(24, 24))
    assert (tmp_path / "index.html").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"index.html", "metrics.csv", "metrics.json"}


def test_a_result_has_the_shape_of_its_original(tmp_path):
    with Page(tmp_path) as page:
        page.add_original("a.png", noise(24, 24), noise(12, 12))
        with pytest.raises(
            ValueError, match=r"net, a.png: got \(24, 20, 3\), wanted .*\(24, 24, 3"
        ):
            page.add("net", "a.png", noise(24, 20), noise(24, 24))


def test_errors_are_counted_by_the_level_of_y():
    hr = np.full((16, 16, 3), 100, np.uint8)
    sr = hr.copy()
    sr[4:6, 4:8] += np.array([0, 20, 0], np.uint8)  # 8 pixels, 10.08 levels of Y
    sr[8, 8] -= np.array([50, 0, 0], np.uint8)  # one, -12.84
    sr[0] = 0  # within the crop
    found = histogram(sr, hr, crop=2)
    counts = {found["low"] + i: n for i, n in enumerate(found["counts"]) if n}
    assert [round(20 * Y[1]), -round(50 * Y[0])] == [10, -13]
    assert counts == {-13: 1, 0: 12 * 12 - 9, 10: 8}
    assert sum(histogram(sr, hr, crop=0)["counts"]) == 256


def test_errors_of_grey_are_those_of_y_and_of_bands_all():
    hr, sr = np.full((8, 8, 1), 0.2, np.float32), np.full((8, 8, 1), 0.6, np.float32)
    assert histogram(sr, hr, crop=0) == {"low": round(0.4 * 219), "counts": [64]}
    bands = np.repeat(hr, 4, axis=-1)
    assert histogram(bands + np.float32(0.4), bands, crop=0) == {"low": 102, "counts": [256]}


def test_white_noise_has_a_flat_spectrum_of_its_deviation():
    grey = np.random.default_rng(0).normal(0.5, 8 / 219, (256, 200, 1)).astype(np.float32)
    found = spectrum(grey)
    assert len(found) == 64
    # Each of the upper half's rings is a mean over more than 100 frequencies.
    np.testing.assert_allclose(found[32:], 20 * np.log10(8), atol=1)
    assert abs(np.mean(found) - 20 * np.log10(8)) < 0.3


@pytest.mark.parametrize("axis", [0, 1])
def test_a_wave_stands_in_the_ring_of_its_frequency(axis):
    wave = np.cos(2 * np.pi * 0.3 * np.arange(128)) * 0.2 + 0.5
    shape = [(128, 1, 1), (1, 128, 1)][axis]
    image = np.broadcast_to(wave.reshape(shape), (128, 128, 3)).astype(np.float32)
    found = spectrum(image)
    assert np.argmax(found) == int(0.3 * 2 * 64)
    assert max(found) > np.median(found) + 60
    assert spectrum(np.full((40, 60, 3), 7, np.uint8)) == [-60.0] * 20


def test_the_spot_has_most_detail():
    image = np.zeros((100, 160, 3), np.uint8)
    image[:, 100:] = 255  # one strong edge
    image[40:60, 70:90] = noise(20, 20) // 2
    x, y = spot(image)
    assert 64 <= x <= 96 and 32 <= y <= 64
    assert spot(noise(5, 7)) in ([2, 2], [6, 2])
