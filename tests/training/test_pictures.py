"""Which pictures a source names, which of them can be used, and what they decode to."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from jaxsr.imaging.find import find_pictures, other_files
from jaxsr.training.pictures import decode, scan


def names(paths):
    return [os.path.basename(path) for path in paths]


def test_sources_are_folders_files_and_globs_in_an_order_of_names_without_duplicates(
    tmp_path, paint
):
    for name in ("b.png", "a/z.jpg", "a/c.bmp", "a-b.png"):
        paint(tmp_path / name)
    np.save(tmp_path / "d.npy", np.zeros((4, 4)))
    (tmp_path / "note.txt").write_text("no picture")
    everything = [
        "a-b.png",
        "c.bmp",
        "z.jpg",
        "b.png",
        "d.npy",
    ]  # as the bytes of relative names order them
    assert names(find_pictures(tmp_path)) == everything
    assert names(find_pictures(f"{tmp_path}/**")) == everything
    assert names(find_pictures(str(tmp_path / "b.png"))) == ["b.png"]
    assert names(find_pictures(f"{tmp_path}/*.png")) == ["a-b.png", "b.png"]
    assert names(find_pictures([f"{tmp_path}/a", str(tmp_path)])) == [
        *("c.bmp", "z.jpg"),
        *("a-b.png", "b.png", "d.npy"),
    ]
    assert other_files(tmp_path) == 1


def test_pictures_inside_a_package_are_found_without_importing_it(tmp_path, monkeypatch, paint):
    paint(tmp_path / "photopack" / "data" / "one.png")
    paint(tmp_path / "photopack" / "data" / "two.png")
    (tmp_path / "photopack" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert names(find_pictures("package:photopack/data/one.png")) == ["one.png"]
    assert names(find_pictures("package:photopack/data")) == ["one.png", "two.png"]
    assert names(find_pictures("package:photopack/data/t*.png")) == ["two.png"]
    with pytest.raises(ValueError, match="absent; install nosuchpackage"):
        find_pictures("package:nosuchpackage/data")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'absent; pip install "\.\[demo\]"'):
        find_pictures("package:skimage/data")


def test_missing_and_empty_sources_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="missing is neither a file nor a folder"):
        find_pictures(str(tmp_path / "missing"))
    for empty in ("empty", "*.png"):
        with pytest.raises(ValueError, match=rf"{re.escape(empty)} holds no picture"):
            find_pictures(str(tmp_path / empty))


def test_scan_drops_what_cannot_be_used_and_says_why_once(folder, paint):
    paint(folder / "small.png", 15, 100)
    paint(folder / "deep.png", mode="I;16")
    (folder / "text.png").write_text("no picture")
    pictures, dropped = scan(folder, crop=16, channels=3)
    assert names(pictures.paths) == [*(f"{i}.png" for i in range(5)), "broken.png"]
    np.testing.assert_array_equal(pictures.sizes[:5], [[24 + i, 30 - i] for i in range(5)])
    reasons = {os.path.basename(path): reason for path, reason in dropped}
    assert len(dropped) == 3
    assert "uint16, but most pictures are uint8" in reasons["deep.png"]
    assert "15x100 pixels (HxW) are fewer than the crop 16 (data.crop" in reasons["small.png"]
    assert reasons["text.png"].startswith("is not a readable picture")


def test_nothing_left_is_an_error_that_says_why(folder, tmp_path):
    with pytest.raises(ValueError, match=r"the crop 64 is larger than every .*28x26 \(HxW\)"):
        scan([str(folder / "4.png"), str(folder / "1.png")], crop=64, channels=3)
    for i in range(5):
        (tmp_path / f"bad{i}.png").write_text("no picture")
    with pytest.raises(ValueError, match="bad0.png: is not .*bad2.png: .*; and 2 more") as error:
        scan(f"{tmp_path}/bad*", crop=8, channels=3)
    assert "bad3.png" not in str(error.value)


def test_pictures_of_other_bands_are_dropped(tmp_path, paint, paint_bands):
    paint(tmp_path / "a.png")
    for name in ("b.npy", "c.tif"):
        paint_bands(tmp_path / name, 20, 20, dtype=np.uint16)
    np.save(tmp_path / "d.npy", np.zeros((20, 20, 4), np.uint16))
    np.save(tmp_path / "e.npy", np.zeros((20, 20), np.uint16))
    np.save(tmp_path / "f.npy", np.zeros((20, 20, 3), np.float32))
    pictures, dropped = scan(tmp_path / "[b-e].*", crop=8, channels=6)
    assert names(pictures.paths) == ["b.npy", "c.tif"] and pictures.dtype == "uint16"
    assert {os.path.basename(path): reason for path, reason in dropped} == {
        "d.npy": "it has 4 bands, generator.channels is 6",
        "e.npy": "it has 1 band, generator.channels is 6",
    }
    with pytest.raises(ValueError, match="a.png: it has 3 bands, generator.channels is 4"):
        scan(tmp_path / "a.png", crop=8, channels=4)
    pictures, _ = scan(tmp_path / "f.npy", crop=8, channels=1)
    assert decode(pictures, 0).shape == (20, 20, 1)
    np.save(tmp_path / "f.npy", np.full((20, 20, 3), 300, np.float32))  # seen in the pixels alone
    with pytest.raises(ValueError, match="^got 3 channels, wanted 1, and floats from 300 to 300"):
        decode(pictures, 0)
    pictures, _ = scan(tmp_path / "e.npy", crop=8, channels=3)
    assert decode(pictures, 0).shape == (20, 20, 3)
    np.save(tmp_path / "e.npy", np.zeros((20, 21, 3), np.uint16))
    with pytest.raises(
        ValueError, match=r"it decodes to uint16 \(20, 21, 3\), but its header prom"
    ):
        decode(pictures, 0)


def test_the_dtype_is_that_of_most_pictures_that_can_be_used(tmp_path, paint):
    """Whatever comes first, or is most, of what is refused for its bands or its size."""
    for i in range(3):
        np.save(tmp_path / f"a{i}.npy", np.zeros((20, 20, 2), np.float32))
        np.save(tmp_path / f"b{i}.npy", np.zeros((9, 20, 3), np.float32))
    np.save(tmp_path / "c.npy", np.zeros((20, 20, 3), np.float32))
    paint(tmp_path / "d.png")
    paint(tmp_path / "e.png")
    pictures, dropped = scan(tmp_path, crop=16, channels=3)
    assert names(pictures.paths) == ["d.png", "e.png"] and pictures.dtype == "uint8"
    reasons = {os.path.basename(path): reason for path, reason in dropped}
    assert len(reasons) == 7 and reasons["c.npy"] == "it is float32, but most pictures are uint8"
    assert reasons["a0.npy"] == "it has 2 bands, generator.channels is 3"
    assert "9x20 pixels (HxW) are fewer" in reasons["b0.npy"]


def test_crops_that_the_scale_does_not_divide_are_refused(folder):
    with pytest.raises(ValueError, match="multiple of the scale 4"):
        scan(folder, crop=10, channels=3, lr=folder, scale=4)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_decoding_gives_the_channels_of_the_generator(tmp_path, paint, mode, channels):
    pixels = paint(tmp_path / "one.png", mode=mode)
    pictures, _ = scan(tmp_path, crop=8, channels=channels)
    decoded = decode(pictures, 0)
    with Image.open(tmp_path / "one.png") as image:
        colour = np.asarray(image.convert("RGB")) if mode != "I;16" else np.stack([pixels] * 3, -1)
        grey = np.asarray(image.convert("RGB").convert("L")) if mode != "I;16" else pixels
    np.testing.assert_array_equal(decoded, colour if channels == 3 else grey[..., None])
    assert decoded.dtype == pixels.dtype


def test_pictures_without_their_partner_are_dropped(tmp_path, paint):
    for name in ("whole", "alone", "odd", "text"):
        paint(tmp_path / "hr" / f"{name}.png", 16, 16)
    paint(tmp_path / "lr" / "wholex4.png", 4, 4)
    paint(tmp_path / "lr" / "odd.png", 4, 5)
    paint(tmp_path / "lr" / "extra.png", 4, 4)
    (tmp_path / "lr" / "text.png").write_text("no picture")
    pictures, dropped = scan(tmp_path / "hr", crop=8, channels=3, lr=tmp_path / "lr", scale=4)
    assert names(pictures.paths) == ["whole.png"] and names(pictures.lr_paths) == ["wholex4.png"]
    reasons = {os.path.basename(path): reason for path, reason in dropped}
    assert len(dropped) == 4
    assert reasons["extra.png"] == "no HR picture has its name"
    assert reasons["alone.png"] == "no LR picture has its name"
    assert "16x16 pixels (HxW) are not 4 times the 4x5" in reasons["odd.png"]
    assert "its LR picture: is not a readable picture" in reasons["text.png"]
    with pytest.raises(ValueError, match="1 sources of HR pictures cannot be paired with 2"):
        scan(tmp_path / "hr", crop=8, channels=3, lr=[tmp_path / "lr"] * 2, scale=4)
