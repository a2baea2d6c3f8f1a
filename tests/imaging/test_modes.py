"""Palettes, single bits and CMYK through files; each against Pillow, tifffile or closed forms."""

import struct
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxsr.imaging.files import Metadata, Picture, header, read, write
from jaxsr.imaging.modes import convert, palette_of, to_indices


def noise(channels, height=9, width=13, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), np.uint8)


def palette_image(colours=7):
    indices = noise(1)[..., 0] % colours
    image = Image.frombytes("P", (13, 9), indices.tobytes())
    image.putpalette(noise(3, 1, colours, seed=1).tobytes())
    return image


def clear(image, opacities):
    """What an image of a palette looks like with these opacities, [H, W, 4]."""
    rgb = np.asarray(image.convert("RGB"))
    alpha = np.array([*opacities, *[255] * 256], np.uint8)[np.asarray(image)]
    return np.concatenate([rgb, alpha[..., None]], -1)


@pytest.mark.parametrize("extension", [".png", ".gif", ".bmp", ".tif"])
def test_a_palette_stays_the_same_palette(tmp_path, extension):
    image, path, out = palette_image(), tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    image.save(path)
    picture = read(path)
    assert picture.mode == "palette" and header(path).channels == 3
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    colours = np.array(image.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(picture.palette[: len(colours), :3], colours)
    write(out, picture)
    with Image.open(out) as made:
        assert made.mode == "P"
        np.testing.assert_array_equal(np.asarray(made.convert("RGB")), picture.pixels)
    near = replace(picture, pixels=picture.pixels ^ 1)  # a level beside colours of the palette
    write(out, near)
    with Image.open(out) as made:
        found = {tuple(colour) for colour in np.asarray(made.convert("RGB")).reshape(-1, 3)}
    assert found <= {tuple(colour) for colour in colours}
    np.testing.assert_array_equal(read(out).pixels, picture.pixels)


@pytest.mark.parametrize("extension", [".png", ".gif"])
def test_a_palette_may_have_clear_colours(tmp_path, extension):
    image, path, out = palette_image(), tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    opacities = (255, 0) if extension == ".gif" else (255, 0, 100, 30)
    image.save(path, transparency=1 if extension == ".gif" else bytes(opacities))
    wanted = clear(image, opacities)
    picture = read(path)
    assert picture.mode == "palette" and picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, wanted[..., 3:])
    seen = wanted[..., 3] > 0
    np.testing.assert_array_equal(picture.pixels[seen], wanted[seen][:, :3])
    write(out, picture)
    with Image.open(out) as made:
        assert made.mode == "P"
        again = np.asarray(made.convert("RGBA"))
    np.testing.assert_array_equal(again[..., 3], wanted[..., 3])
    np.testing.assert_array_equal(again[seen], wanted[seen])


def test_what_lies_under_clear_pixels_does_not_choose_their_colour():
    palette = np.array([[10, 20, 30, 255], [200, 0, 0, 255], [9, 9, 9, 0]], np.uint8)
    pixels = noise(3)
    alpha = np.zeros((9, 13, 1), np.uint8)
    assert (to_indices(pixels, alpha, palette) == 2).all()
    assert set(np.unique(to_indices(pixels, None, palette))) == {0, 1}


def test_the_nearest_colour_is_the_nearest():
    """Against all distances, written out; more pixels than are compared at a time."""
    pixels, palette = noise(3, 300, 250), noise(4, 1, 200, seed=1)[0]
    palette[:, 3] = 255
    apart = ((pixels[:3, :, None].astype(int) - palette[:, :3].astype(int)) ** 2).sum(-1)
    np.testing.assert_array_equal(to_indices(pixels[:3], None, palette), apart.argmin(-1))
    last = ((pixels[-1, :, None].astype(int) - palette[:, :3].astype(int)) ** 2).sum(-1)
    np.testing.assert_array_equal(to_indices(pixels, None, palette)[-1], last.argmin(-1))


def test_palette_of_lists_each_colour_once():
    pixels = np.array([[[1, 2, 3], [1, 2, 3], [4, 5, 6], [7, 7, 7]]], np.uint8)
    listed = palette_of(pixels, np.array([[[255], [255], [0], [0]]], np.uint8))
    assert listed is not None
    assert sorted(map(tuple, listed.tolist())) == [(0, 0, 0, 0), (1, 2, 3, 255)]
    many = np.arange(257 * 3, dtype=np.uint16).astype(np.uint8).reshape(1, 257, 3)
    many[..., 1] = np.arange(257) // 200
    assert palette_of(many, None) is None
    some = palette_of(many[:, :256], None)
    assert some is not None and len(some) == len(np.unique(many[0, :256], axis=0))


def test_a_palette_is_widened_where_there_is_none(tmp_path):
    palette_image().save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    write(tmp_path / "b.webp", picture)
    with Image.open(tmp_path / "b.webp") as made:
        assert made.mode == "RGB"
    write(tmp_path / "c.png", convert(picture, widen=True))
    with Image.open(tmp_path / "c.png") as made:
        assert made.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(made), picture.pixels)


def test_a_gif_takes_what_colours_it_can(tmp_path):
    """Up to 256 exactly, clear pixels being clear; of more, near ones."""
    few, alpha = np.repeat(noise(3, 4, 4), 4, axis=0), np.where(noise(1, 16, 4) < 99, 0, 255)
    write(tmp_path / "a.gif", Picture(few, alpha.astype(np.uint8)))
    with Image.open(tmp_path / "a.gif") as made:
        again = np.asarray(made.convert("RGBA"))
    np.testing.assert_array_equal(again[..., 3:], alpha)
    np.testing.assert_array_equal(again[..., :3][alpha[..., 0] > 0], few[alpha[..., 0] > 0])
    y, x = np.mgrid[:64, :64]
    many = np.stack([4 * y, 4 * x, 2 * (x + y)], -1).astype(np.uint8)
    write(tmp_path / "b.gif", Picture(many))
    assert np.abs(read(tmp_path / "b.gif").pixels.astype(int) - many).mean() < 8


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".gif"])
def test_single_bits_stay_single(tmp_path, extension):
    path, bits = tmp_path / f"a{extension}", noise(1)[..., 0] > 99
    Image.fromarray(bits).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.mode == "bilevel"
    np.testing.assert_array_equal(picture.pixels[..., 0], bits * np.uint8(255))
    grey = np.where(bits, 128, 127).astype(np.uint8)[..., None]  # at either side of one half
    write(path, replace(picture, pixels=grey))
    with Image.open(path) as made:
        assert made.mode in ("1", "P", "L") if extension == ".gif" else made.mode == "1"
        np.testing.assert_array_equal(np.asarray(made.convert("L")) > 0, bits)
    again = read(path)
    np.testing.assert_array_equal(again.pixels[..., 0], bits * np.uint8(255))
    if extension != ".gif":
        assert again.mode == "bilevel" and header(path) == (9, 13, 1, "uint8")
    write(tmp_path / "wide.png", convert(replace(picture, pixels=grey), widen=True))
    np.testing.assert_array_equal(read(tmp_path / "wide.png").pixels, grey)


def cmyk_profile() -> bytes:
    return b"a profile of inks, as far as files are concerned"


@pytest.mark.parametrize("extension", [".jpg", ".tif"])
def test_cmyk_stays_cmyk(tmp_path, extension):
    path, out = tmp_path / f"a{extension}", tmp_path / f"b{extension}"
    y, x = np.mgrid[:32, :48]
    inks = np.stack([y * 4, x * 4, 255 - y * 4, x + y], -1).astype(np.uint8)
    image = Image.frombytes("CMYK", (48, 32), inks.tobytes())
    image.save(path, icc_profile=cmyk_profile(), quality=95)
    picture = read(path)
    assert picture.mode == "cmyk" and header(path) == (32, 48, 4, "uint8")
    assert picture.metadata.icc == cmyk_profile()
    bound = 12 if extension == ".jpg" else 0
    assert np.abs(picture.pixels.astype(int) - inks).max() <= bound
    write(out, picture)
    with Image.open(out) as made:
        assert made.mode == "CMYK" and made.info["icc_profile"] == cmyk_profile()
        assert np.abs(np.asarray(made).astype(int) - inks).max() <= 2 * bound


def test_cmyk_of_a_jpeg_is_stored_as_adobe_does(tmp_path):
    """Inverted, under Adobe's marker; the decoder of libjpeg gives what is stored."""
    import imagecodecs

    inks = np.broadcast_to(np.array([255, 0, 128, 10], np.uint8), (16, 16, 4))
    write(tmp_path / "a.jpg", Picture(inks.copy(), mode="cmyk"))
    content = (tmp_path / "a.jpg").read_bytes()
    assert b"Adobe" in content[:200]
    stored = imagecodecs.jpeg_decode(content, outcolorspace="CMYK")
    assert np.abs(stored.astype(int) - (255 - inks)).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_cmyk_and_its_alpha(tmp_path, dtype):
    inks = np.random.default_rng(0).random((5, 6, 5))
    layers = (inks * (1 if dtype == np.float32 else 65535)).astype(dtype)
    path, out = tmp_path / "a.tif", tmp_path / "b.tif"
    tifffile.imwrite(path, layers, photometric="separated", extrasamples=["unassalpha"])
    picture = read(path)
    assert picture.mode == "cmyk" and header(path) == (5, 6, 4, np.dtype(dtype).name)
    np.testing.assert_array_equal(picture.alpha, layers[..., 4:])
    write(out, picture)
    with tifffile.TiffFile(out) as file:
        assert file.pages.first.photometric == 5
        np.testing.assert_array_equal(file.asarray(), layers)


def test_cmyk_is_widened_by_closed_form_without_a_profile():
    inks = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 255, 0, 51], [0, 0, 0, 0]]], np.uint8)
    wanted = [[[0, 255, 255], [0, 0, 0], [204, 0, 204], [255, 255, 255]]]
    for factor in (1, 257):
        dtype = np.uint8 if factor == 1 else np.uint16
        picture = convert(Picture(inks.astype(dtype) * dtype(factor), mode="cmyk"), widen=True)
        assert picture.mode == "plain" and picture.pixels.dtype == dtype
        np.testing.assert_array_equal(picture.pixels, np.array(wanted) * factor)


def neutral_profile() -> bytes:
    """ICC 2.4, 6.5.8: inks to Lab by a table of their extremes, each ink alone a grey of L* 50."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4).sum(-1)
    lightness = np.array([255, 128, 0, 0, 0])[corners]
    table = np.stack([lightness, np.full(16, 128), np.full(16, 128)], -1).astype(np.uint8)
    unit = struct.pack(">9i", *(np.eye(3, dtype=int) * 65536).ravel())
    straight = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + unit + straight * 4 + table.tobytes()
    lut += straight * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags, body, offset = b"", b"", 128 + 4 + 2 * 12
    for name, content in ((b"A2B0", lut), (b"wtpt", white)):
        tags += name + struct.pack(">II", offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = struct.pack(">I", offset + len(body))
    head = size + bytes(4) + b"\2\x40\0\0" + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    head += struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", 2) + tags + body


def test_a_profile_decides_where_there_is_one():
    """By this one an ink is a grey of L* 50, which in sRGB is level 119, and two are black."""
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [255, 255, 0, 0]]], np.uint8)
    metadata = Metadata(icc=neutral_profile(), dpi=(300.0, 300.0))
    made = convert(Picture(inks, mode="cmyk", metadata=metadata), widen=True)
    assert made.mode == "plain" and made.metadata.dpi == (300.0, 300.0)
    levels = np.array([255, 119, 119, 0])[:, None].repeat(3, 1)
    assert np.abs(made.pixels[0].astype(int) - levels).max() <= 2
    assert b"RGB XYZ " in (made.metadata.icc or b"")[:40]


def test_a_profile_that_cannot_decide_is_no_reason_to_guess():
    inks = Picture(noise(4), mode="cmyk", metadata=Metadata(icc=b"no profile"))
    with pytest.raises(ValueError, match="the colour profile does not turn CMYK into RGB .*remove"):
        convert(inks, widen=True)
    deep = Picture(noise(4).astype(np.uint16), mode="cmyk", metadata=Metadata(icc=b"no profile"))
    with pytest.raises(
        ValueError, match="uint16 is not widened by a profile; ask for a depth of 8"
    ):
        convert(deep, widen=True)


def test_depth_is_changed_to_the_nearest_level():
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    narrow = convert(Picture(levels, levels), depth=8)
    wanted = np.rint(levels.astype(np.float64) * 255 / 65535)
    assert narrow.alpha is not None
    np.testing.assert_array_equal(narrow.pixels, wanted)
    np.testing.assert_array_equal(narrow.alpha, wanted)
    np.testing.assert_array_equal(convert(narrow, depth=16).pixels, wanted * 257)
    floats = Picture(np.array([[[0.0], [0.5], [1.0]]], np.float32))
    np.testing.assert_array_equal(convert(floats, depth=8).pixels.ravel(), [0, 128, 255])
    with pytest.raises(ValueError, match=r"pixels run from 0 to 300, but only floats in \[0, 1\]"):
        convert(Picture(np.array([[[0.0, 300.0]]], np.float32)), depth=8)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("mode", ["palette", "bilevel"])
def test_a_depth_of_16_is_no_palette_and_no_single_bits(tmp_path, mode, name):
    """Levels between those stored, as an enlarged picture has, come back 257 times as high."""
    pixels = noise(3 if mode == "palette" else 1)
    palette = np.full((2, 4), 255, np.uint8) if mode == "palette" else None
    write(tmp_path / name, convert(Picture(pixels, mode=mode, palette=palette), depth=16))
    back = tifffile.imread(tmp_path / name) if name == "a.tif" else read(tmp_path / name).pixels
    assert back.dtype == np.uint16
    np.testing.assert_array_equal(back.reshape(pixels.shape), pixels.astype(np.uint16) * 257)
    kept = Picture(pixels, mode=mode, palette=palette)
    assert convert(kept, depth=8).mode == mode


def test_a_background_shows_through():
    pixels, alpha = noise(3), noise(1, seed=1)
    image = Image.new("RGBA", (13, 9), (10, 200, 30, 255))
    image.alpha_composite(Image.fromarray(np.concatenate([pixels, alpha], -1)))
    made = convert(Picture(pixels, alpha), background=(10, 200, 30))
    assert made.alpha is None
    assert np.abs(made.pixels.astype(int) - np.asarray(image)[..., :3]).max() <= 1
    grey = convert(Picture(noise(1), alpha), background=(0, 0, 0))
    np.testing.assert_array_equal(grey.pixels, np.rint(noise(1) * (alpha / 255)))
    opaque = Picture(pixels)
    assert convert(opaque, background=(1, 2, 3)) is opaque
    coloured = convert(Picture(noise(1), np.zeros((9, 13, 1), np.uint8)), background=(1, 2, 3))
    assert (coloured.pixels == [1, 2, 3]).all()
