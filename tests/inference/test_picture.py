"""One picture, or each of its frames, through a network that repeats each pixel."""

import numpy as np
import pytest
from PIL import Image
from repeating import repeat

from jaxsr.imaging import files
from jaxsr.imaging.color import from_float, to_float
from jaxsr.imaging.files import Metadata, Picture
from jaxsr.imaging.frames import Frame, open_frames, write_frames
from jaxsr.imaging.resize import resize
from jaxsr.inference.picture import fill_transparent, upscale_frames, upscale_picture

DEPTHS = [np.uint8, np.uint16, np.float32]


def noise(channels, dtype=np.uint8, height=8, width=9, seed=0):
    image = np.random.default_rng(seed).random((height, width, channels), np.float32)
    return from_float(image, dtype)


def blurred(pixels):
    """Enlarges so that every pixel shows in its neighbours, as through a network."""
    image = to_float(repeat(pixels))
    for axis in (0, 1):
        image = sum(np.roll(image, shift, axis) for shift in (-1, 0, 1)) / 3
    return from_float(image, pixels.dtype)


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("pixels, channels", [(3, 3), (1, 1), (1, 3), (6, 6), (2, None)])
def test_pixels_are_enlarged_and_all_else_is_carried(dtype, pixels, channels):
    metadata = Metadata(b"icc", b"exif", b"xmp", (300.0, 300.0))
    picture = Picture(noise(pixels, dtype), metadata=metadata)
    made = upscale_picture(repeat, picture, channels=channels)
    assert made.pixels.dtype == dtype and made.metadata == metadata and made.alpha is None
    np.testing.assert_allclose(made.pixels, repeat(picture.pixels), rtol=1e-6)


def test_grey_of_a_colour_network_is_the_mean_of_its_channels():
    def tinting(pixels):  # red 12 up, green 6 down: 2 up in the mean
        return (repeat(pixels) + np.array([12, -6, 0])).astype(np.uint8)

    pixels = np.arange(20, 100, dtype=np.uint8).reshape(8, 10, 1)
    picture = upscale_picture(tinting, Picture(pixels), channels=3)
    np.testing.assert_array_equal(picture.pixels, repeat(pixels) + 2)


def test_a_grey_network_makes_a_palette_grey():
    palette = np.full((2, 4), 255, np.uint8)
    picture = Picture(noise(3), mode="palette", palette=palette)
    made = upscale_picture(repeat, picture, channels=1)
    assert (made.mode, made.palette) == ("plain", None)
    grey = np.asarray(Image.fromarray(picture.pixels).convert("L"))[..., None]
    np.testing.assert_array_equal(made.pixels, repeat(grey))


@pytest.mark.parametrize("dtype", DEPTHS)
@pytest.mark.parametrize("channels, through", [(1, 1), (1, 3), (3, 3), (4, 3), (4, 1)])
def test_what_lies_under_transparency_changes_nothing(dtype, channels, through):
    """Not one bit of the picture, though every pixel spreads to its neighbours."""
    pixels, alpha = noise(channels, dtype), noise(1, dtype, seed=1)
    alpha[2:6, 3:7] = 0
    other = pixels.copy()
    other[2:6, 3:7] = noise(channels, dtype, seed=2)[2:6, 3:7]
    mode = "cmyk" if channels == 4 else "plain"
    one, two = (
        upscale_picture(blurred, Picture(each, alpha, mode=mode), channels=through)
        for each in (pixels, other)
    )
    assert one.alpha is not None and two.alpha is not None
    np.testing.assert_array_equal(one.pixels, two.pixels)
    np.testing.assert_array_equal(one.alpha, two.alpha)
    wanted = resize(to_float(alpha), (16, 18), method="bicubic").clip(0, 1)
    wanted = from_float(wanted, dtype)
    np.testing.assert_array_equal(one.alpha, wanted)
    assert not np.array_equal(blurred(pixels), blurred(other))


def test_what_is_partly_seen_is_kept():
    pixels, alpha = noise(3), noise(1, seed=1)
    alpha[2:6, 3:7] = 0
    made = upscale_picture(repeat, Picture(pixels, alpha), channels=3)
    seen = repeat(alpha)[..., 0] > 0
    np.testing.assert_array_equal(made.pixels[seen], repeat(pixels)[seen])


@pytest.mark.parametrize("dtype", DEPTHS)
def test_inks_go_through_as_light(dtype):
    """An RGB network sees C, M, Y and then K three times, inverted; a grey one each ink."""
    given = []

    def spying(pixels):
        given.append(pixels)
        return repeat(pixels)

    inks, most = noise(4, dtype), 1 if dtype == np.float32 else np.iinfo(dtype).max
    picture = Picture(inks, mode="cmyk", metadata=Metadata(icc=b"inks"))
    made = upscale_picture(spying, picture, channels=3)
    assert (made.mode, made.metadata.icc, made.pixels.dtype) == ("cmyk", b"inks", dtype)
    light = (most - inks).astype(dtype)
    np.testing.assert_array_equal(given[0], light[..., :3])
    np.testing.assert_array_equal(given[1], light[..., 3:].repeat(3, axis=-1))
    np.testing.assert_allclose(made.pixels, repeat(inks), rtol=0, atol=1e-6)
    one_by_one = upscale_picture(spying, picture, channels=1)
    for ink in range(4):
        np.testing.assert_array_equal(given[2 + ink], light[..., ink : ink + 1])
    np.testing.assert_allclose(one_by_one.pixels, repeat(inks), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(upscale_picture(repeat, picture, channels=4).pixels, repeat(inks))


KINDS = {
    "grey.png": ("L", "PNG"),
    "rgb.jpg": ("RGB", "JPEG"),
    "both.png": ("LA", "PNG"),
    "rgba.webp": ("RGBA", "WEBP"),
    "palette.png": ("P", "PNG"),
    "palette.gif": ("P", "GIF"),
    "palette.tif": ("P", "TIFF"),
    "bits.png": ("1", "PNG"),
    "bits.tif": ("1", "TIFF"),
    "inks.jpg": ("CMYK", "JPEG"),
    "inks.tif": ("CMYK", "TIFF"),
    "deep.png": ("I;16", "PNG"),
    "float.tif": ("F", "TIFF"),
    "rgb.avif": ("RGB", "AVIF"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_comes_out_of_the_kind_that_it_was(tmp_path, name):
    """By what Pillow says of both."""
    mode, kind = KINDS[name]
    if mode == "I;16":
        image = Image.fromarray(noise(1, np.uint16)[..., 0])
    elif mode == "F":
        image = Image.fromarray(noise(1, np.float32)[..., 0])
    else:
        image = Image.fromarray(noise(4 if "A" in mode else 3)).convert(mode)
    image.save(tmp_path / name)
    with open_frames(tmp_path / name) as frames:
        made = upscale_frames(blurred, frames, channels=3)
        write_frames(tmp_path / f"big-{name}", made, plays=frames.plays)
    with Image.open(tmp_path / f"big-{name}") as big, Image.open(tmp_path / name) as small:
        assert (big.mode, big.format) == (mode, kind) == (small.mode, small.format)
        assert big.size == (18, 16)
        if mode == "P":
            given = np.array(small.getpalette()).reshape(-1, 3)
            found = np.asarray(big.convert("RGB")).reshape(-1, 3)
            assert set(map(tuple, found)) <= set(map(tuple, given))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_each_frame_is_enlarged(tmp_path, name):
    times = [40.0, 120.0, 80.0] if name != "a.tif" else [None] * 3
    flat = [np.full((8, 9, 3), (40 * index, 200, 90), np.uint8) for index in range(3)]
    frames = [Frame(Picture(*each), time) for each, time in zip(zip(flat), times, strict=True)]
    write_frames(tmp_path / name, frames, plays=0)
    with open_frames(tmp_path / name) as opened:
        made = upscale_frames(repeat, opened, channels=3)
        write_frames(tmp_path / f"big-{name}", made, plays=opened.plays)
    with open_frames(tmp_path / f"big-{name}") as opened:
        again = list(opened)
        assert opened.plays == (1 if name == "a.tif" else 0)
    assert [frame.milliseconds for frame in again] == times
    for frame, pixels in zip(again, flat, strict=True):
        bound = 4 if name == "a.webp" else 0
        assert np.abs(frame.picture.pixels.astype(int) - repeat(pixels)).max() <= bound


def test_a_sharp_palette_picture_keeps_its_colours(tmp_path):
    """Blurred colours are none of the palette's; the nearest ones are written."""
    palette = np.array([[0, 0, 0, 255], [200, 0, 0, 255], [0, 0, 90, 0]], np.uint8)
    index = np.random.default_rng(0).integers(0, 3, (8, 9))
    rgba = palette[index]
    picture = Picture(rgba[..., :3], rgba[..., 3:], mode="palette", palette=palette)
    made = upscale_picture(blurred, picture, channels=3)
    files.write(tmp_path / "a.png", made)
    back = files.read(tmp_path / "a.png")
    assert back.mode == "palette" and back.alpha is not None
    found = np.unique(np.concatenate([back.pixels, back.alpha], -1).reshape(-1, 4), axis=0)
    assert {tuple(colour) for colour in found} <= {tuple(colour) for colour in palette}
    assert len(found) == 3


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
