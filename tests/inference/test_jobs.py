"""Jobs over files and folders, by a network that repeats each pixel."""

import numpy as np
import pytest
from PIL import Image, ImageCms
from repeating import repeat, repeating

from jaxsr.imaging import files
from jaxsr.imaging.classical import enlarge
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.resize import resize
from jaxsr.inference.jobs import (
    Item,
    by_method,
    by_network,
    fill_transparent,
    plan,
    run_job,
    upscale_picture,
)


def paint(path, height=5, width=7, channels=3, **options) -> np.ndarray:
    """Write a picture of noise; 2 and 4 channels hold alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*path.name.encode()])
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, **options)
    return pixels


def job(items, channels=3):
    return run_job(by_network(repeating(channels=channels)), items, channels=channels)


@pytest.fixture
def pictures(tmp_path):
    paint(tmp_path / "in" / "a.png")
    paint(tmp_path / "in" / "deep" / "b.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


def test_a_file_goes_to_a_file_or_into_a_folder(pictures, tmp_path):
    one = pictures / "a.png"
    assert plan([one], tmp_path / "big.png") == [Item(one, tmp_path / "big.png")]
    assert plan([one], tmp_path / "out") == [Item(one, tmp_path / "out" / "a.png")]
    (tmp_path / "dotted.png").mkdir()
    assert plan([one], tmp_path / "dotted.png") == [Item(one, tmp_path / "dotted.png" / "a.png")]


def test_folders_keep_their_structure(pictures, tmp_path):
    out, other = tmp_path / "out", tmp_path / "c.png"
    paint(other)
    assert plan([pictures, other], out) == [
        Item(pictures / "a.png", out / "a.png"),
        Item(pictures / "deep" / "b.png", out / "deep" / "b.png"),
        Item(other, out / "c.png"),
    ]


def test_what_cannot_be_planned_is_refused(pictures, tmp_path):
    paint(tmp_path / "other" / "a.png")
    (tmp_path / "empty").mkdir()
    one, text = pictures / "a.png", pictures / "notes.txt"
    refused = [
        ([one, tmp_path / "other" / "a.png"], tmp_path / "out", "would both become"),
        ([pictures, tmp_path / "other"], tmp_path / "out", "would both become"),
        ([one], one, "would overwrite an input"),
        ([one], pictures, "would overwrite an input"),
        ([pictures], tmp_path / "other" / ".." / "in", "would overwrite an input"),
        ([tmp_path / "missing.png"], tmp_path / "out", "neither a file nor a folder"),
        ([tmp_path / "empty"], tmp_path / "out", "holds no picture"),
        ([one], tmp_path / "a.jpgg", "no known extension; use one of .png"),
        ([one, pictures / "deep"], text, "is a file or named like one"),
        ([pictures], tmp_path / "all.png", "all.png is a file or named like one"),
    ]
    for inputs, output, words in refused:
        with pytest.raises(ValueError, match=words):
            plan(inputs, output)


def test_each_picture_is_enlarged_and_recorded(pictures, tmp_path):
    items = plan([pictures], tmp_path / "out")
    records = list(job(items))
    assert [(r["input"], r["output"], r["error"]) for r in records] == [
        (str(source), str(target), None) for source, target in items
    ]
    assert all(r["seconds"] > 0 for r in records)
    for source, target in items:
        np.testing.assert_array_equal(files.read(target).pixels, repeat(files.read(source).pixels))


def test_a_damaged_picture_is_reported_and_the_others_go_on(pictures, tmp_path):
    (pictures / "a.png").write_bytes((pictures / "a.png").read_bytes()[:60])
    bad, good = job(plan([pictures], tmp_path / "out"))
    assert bad["input"].endswith("a.png") and "is not a readable picture" in bad["error"]
    assert good["error"] is None
    written = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written == ["b.png"]


def test_a_failure_to_write_leaves_what_was_there(pictures, tmp_path):
    """JPEG holds no alpha: refused before a byte is written."""
    target = tmp_path / "out.jpg"
    target.write_bytes(b"precious")
    paint(pictures / "alpha.png", channels=4)
    (record,) = job(plan([pictures / "alpha.png"], target))
    assert "cannot hold the picture's alpha" in record["error"]
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jpg"]


def test_a_network_of_other_channels_is_an_error_that_names_the_picture(pictures, tmp_path):
    items = plan([pictures / "a.png"], tmp_path / "out.png")
    (record,) = job(items, channels=4)
    assert "wanted [..., H, W, 4]" in record["error"] and not items[0].target.exists()
    assert str(items[0].source) in record["error"]


def test_a_grey_network_makes_a_picture_grey(pictures, tmp_path):
    list(job(plan([pictures / "a.png"], tmp_path / "out.png"), channels=1))
    with Image.open(pictures / "a.png") as image, Image.open(tmp_path / "out.png") as made:
        assert made.mode == "L"
        np.testing.assert_array_equal(np.asarray(made)[::2, ::2], np.asarray(image.convert("L")))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_stays_grey(tmp_path, channels):
    pixels = paint(tmp_path / "grey.png", channels=1)
    list(job(plan([tmp_path / "grey.png"], tmp_path / "2.png"), channels=channels))
    with Image.open(tmp_path / "2.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image)[..., None], repeat(pixels))


def test_grey_of_a_colour_network_is_the_mean_of_its_channels():
    def tinting(pixels):  # red 12 up, green 6 down: 2 up in the mean
        return (repeat(pixels) + np.array([12, -6, 0])).astype(np.uint8)

    pixels = np.arange(20, 100, dtype=np.uint8).reshape(8, 10, 1)
    picture = upscale_picture(tinting, files.Picture(pixels), channels=3)
    np.testing.assert_array_equal(picture.pixels, repeat(pixels) + 2)


def test_sixteen_bits_stay_sixteen(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 4), np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    list(job(plan([tmp_path / "deep.png"], tmp_path / "2.png")))
    np.testing.assert_array_equal(files.read(tmp_path / "2.png").pixels, repeat(pixels[..., None]))


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_enlarged_and_hides_what_lies_under_it(tmp_path, channels):
    pixels = paint(tmp_path / "a.png", 8, 9, channels)
    pixels[2:6, 3:7, -1] = 0
    other = pixels.copy()
    other[2:6, 3:7, :-1] = 255 - other[2:6, 3:7, :-1]
    written = []
    for name, array in (("one", pixels), ("two", other)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
        target = tmp_path / f"{name}-big.png"
        (record,) = job([Item(tmp_path / f"{name}.png", target)])
        assert record["error"] is None
        written.append(files.read(target))
    np.testing.assert_array_equal(written[0].pixels, written[1].pixels)
    alpha = resize(to_float(pixels[..., -1:]), (16, 18), method="bicubic")
    np.testing.assert_array_equal(written[0].alpha, from_float(alpha, np.uint8))
    seen = repeat(pixels[..., -1:] > 0)[..., 0]
    np.testing.assert_array_equal(written[0].pixels[seen], repeat(pixels[..., :-1])[seen])


def test_the_colour_profile_is_carried(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    paint(tmp_path / "a.png", icc_profile=profile)
    list(job(plan([tmp_path / "a.png"], tmp_path / "2.png")))
    assert files.read(tmp_path / "2.png").icc == profile


def filled(colours, alpha) -> np.ndarray:
    pixels = np.array(colours, np.uint8)[..., None]
    return fill_transparent(pixels, np.array(alpha, np.uint8)[..., None])[..., 0]


def test_filling_takes_the_smallest_square_that_holds_something():
    """Squares are aligned to their size: [0:2, 0:2], then [0:4, 0:4], then the whole."""
    colours = [[9, 9, 9, 9, 9], [9, 80, 9, 9, 9], [9, 9, 9, 9, 9], [9, 9, 9, 40, 9]]
    alpha = [[0, 0, 0, 0, 0], [0, 255, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 255, 0]]
    wanted = [
        [80, 80, 60, 60, 60],
        [80, 80, 60, 60, 60],
        [60, 60, 40, 40, 60],
        [60, 60, 40, 40, 60],
    ]
    np.testing.assert_array_equal(filled(colours, alpha), wanted)
    np.testing.assert_array_equal(filled(np.transpose(colours), np.transpose(alpha)).T, wanted)


def test_filling_weighs_by_alpha_and_keeps_what_is_seen():
    np.testing.assert_array_equal(
        filled([[100, 7], [200, 7]], [[10, 0], [30, 0]]), [[100, 175], [200, 175]]
    )
    opaque = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(filled(opaque, np.full((3, 4), 1)), opaque)
    np.testing.assert_array_equal(filled(opaque, np.zeros((3, 4))), np.zeros((3, 4)))


def test_a_method_needs_no_weights(tmp_path):
    """Any channels, and a range is none of its business."""
    pixels = paint(tmp_path / "a.png")
    bands = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32) * 1000
    np.save(tmp_path / "b.npy", bands)
    items = plan([tmp_path / "a.png", tmp_path / "b.npy"], tmp_path / "out")
    records = list(run_job(by_method("lanczos", scale=3), items))
    assert [r["error"] for r in records] == [None, None]
    wanted = from_float(enlarge(to_float(pixels), 3, method="lanczos"), np.uint8)
    np.testing.assert_array_equal(files.read(tmp_path / "out" / "a.png").pixels, wanted)
    made = np.load(tmp_path / "out" / "b.npy")
    np.testing.assert_allclose(made, enlarge(bands, 3, method="lanczos"), rtol=1e-4, atol=0.1)
    with pytest.raises(ValueError, match="method: got cubic, wanted one of nearest"):
        by_method("cubic", scale=2)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_bands_go_in_and_come_out_in_their_own_ranges(tmp_path, suffix):
    """The network adds a tenth of each range."""
    ranges = ((0.0, 10000.0), (200.0, 300.0), *[(0.0, 4096.0)] * 4)
    low, high = np.array(ranges).T
    pixels = (low + (high - low) * np.random.default_rng(0).random((5, 4, 6))).astype(np.uint16)
    source, target = tmp_path / f"scene{suffix}", tmp_path / f"big{suffix}"
    files.write(source, files.Picture(pixels))
    enlarge = by_network(repeating(0.1, channels=6).replace(ranges=ranges))
    (record,) = run_job(enlarge, plan([source], target), channels=6)
    assert record["error"] is None
    made = files.read(target).pixels
    assert made.dtype == np.uint16
    wanted = repeat(pixels) + 0.1 * (high - low)
    np.testing.assert_allclose(made, wanted, atol=0.52)


def test_floats_beyond_their_range_are_refused_by_name(tmp_path):
    np.save(tmp_path / "hot.npy", np.full((4, 5, 3), 300, np.float32))
    (record,) = job(plan([tmp_path / "hot.npy"], tmp_path / "big.npy"))
    assert "hot.npy" in record["error"] and "data.ranges = [[300, 301]" in record["error"]
    assert not (tmp_path / "big.npy").exists()
