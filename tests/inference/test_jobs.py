"""Jobs over files and folders, by a network that repeats each pixel."""

import numpy as np
import pytest
from PIL import Image, ImageCms
from repeating import repeat, repeating

from jaxsr import upscale
from jaxsr.imaging import files
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.resize import resize
from jaxsr.inference.jobs import Item, fill_transparent, plan, run_job, upscale_picture


def paint(path, height=5, width=7, channels=3, **options) -> np.ndarray:
    """Write a picture of noise; 2 and 4 channels hold alpha."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([*path.name.encode()])
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(path, **options)
    return pixels


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
    records = list(run_job(repeating(), items))
    assert [(r["input"], r["output"], r["error"]) for r in records] == [
        (str(source), str(target), None) for source, target in items
    ]
    assert all(r["seconds"] > 0 for r in records)
    for source, target in items:
        np.testing.assert_array_equal(files.read(target).pixels, repeat(files.read(source).pixels))


def test_a_damaged_picture_is_reported_and_the_others_go_on(pictures, tmp_path):
    (pictures / "a.png").write_bytes((pictures / "a.png").read_bytes()[:60])
    bad, good = run_job(repeating(), plan([pictures], tmp_path / "out"))
    assert bad["input"].endswith("a.png") and "is not a readable picture" in bad["error"]
    assert good["error"] is None
    written = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written == ["b.png"]


def test_a_failure_to_write_leaves_what_was_there(pictures, tmp_path):
    """JPEG holds no alpha: refused before a byte is written."""
    target = tmp_path / "out.jpg"
    target.write_bytes(b"precious")
    paint(pictures / "alpha.png", channels=4)
    (record,) = run_job(repeating(), plan([pictures / "alpha.png"], target))
    assert "cannot hold the picture's alpha" in record["error"]
    assert target.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jpg"]


def test_a_network_of_other_channels_is_an_error_that_names_the_picture(pictures, tmp_path):
    items = plan([pictures / "a.png"], tmp_path / "out.png")
    (record,) = run_job(repeating(channels=4), items)
    assert "wanted [..., H, W, 4]" in record["error"] and not items[0].target.exists()
    assert str(items[0].source) in record["error"]


def test_a_grey_network_makes_a_picture_grey(pictures, tmp_path):
    list(run_job(repeating(channels=1), plan([pictures / "a.png"], tmp_path / "out.png")))
    with Image.open(pictures / "a.png") as image, Image.open(tmp_path / "out.png") as made:
        assert made.mode == "L"
        np.testing.assert_array_equal(np.asarray(made)[::2, ::2], np.asarray(image.convert("L")))


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_stays_grey(tmp_path, channels):
    pixels = paint(tmp_path / "grey.png", channels=1)
    list(run_job(repeating(channels=channels), plan([tmp_path / "grey.png"], tmp_path / "2.png")))
    with Image.open(tmp_path / "2.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image)[..., None], repeat(pixels))


def test_grey_of_a_colour_network_is_the_mean_of_its_channels():
    def tinting(weights, image):  # red 12 up, green 6 down: 2 up in the mean
        return (np.asarray(upscale(weights, image)) + np.array([12, -6, 0])).astype(np.uint8)

    pixels = np.arange(20, 100, dtype=np.uint8).reshape(8, 10, 1)
    picture = upscale_picture(tinting, repeating(), files.Picture(pixels))
    np.testing.assert_array_equal(picture.pixels, repeat(pixels) + 2)


def test_sixteen_bits_stay_sixteen(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 4), np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    list(run_job(repeating(), plan([tmp_path / "deep.png"], tmp_path / "2.png")))
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
        (record,) = run_job(repeating(), [Item(tmp_path / f"{name}.png", target)])
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
    list(run_job(repeating(), plan([tmp_path / "a.png"], tmp_path / "2.png")))
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
