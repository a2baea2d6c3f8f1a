"""Animations and pages: every frame, its time and the number of plays, against Pillow."""

import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxsr.imaging.files import Metadata, Picture, read, write
from jaxsr.imaging.frames import Frame, open_frames, write_frames

TIMES = (40.0, 250.0, 100.0)


def load(path):
    with open_frames(path) as frames:
        return frames.count, frames.plays, list(frames)


def few_colours(seed, channels=3, height=12, width=16):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (-(-height // 4), width // 4, channels), np.uint8)
    return blocks.repeat(4, axis=0).repeat(4, axis=1)[:height]


def close(a, b, name):
    """Equal, or of WebP, which halves the resolution of colours, near in brightness."""
    if name != "a.webp":
        return np.array_equal(a, b)
    return np.abs(a.astype(int).sum(-1) - b.astype(int).sum(-1)).mean() < 60


def seen(path):
    """What others see: RGBA of each frame, its time, and what is said of plays."""
    with Image.open(path) as image:
        frames, times = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
        return frames, times, image.info.get("loop")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_every_frame_keeps_its_time(tmp_path, name):
    path, out = tmp_path / name, tmp_path / f"out-{name}"
    colours = [few_colours(seed) for seed in range(3)]
    images = [Image.fromarray(pixels) for pixels in colours]
    options = {"lossless": True} if name == "a.webp" else {}
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=list(TIMES), loop=3, **options
    )
    count, plays, frames = load(path)
    assert (count, plays) == (3, 4 if name == "a.gif" else 3)  # GIF counts repetitions
    assert tuple(frame.milliseconds for frame in frames) == TIMES
    for frame, pixels in zip(frames, colours, strict=True):
        np.testing.assert_array_equal(frame.picture.pixels, pixels)
    write_frames(out, frames, plays=plays)
    made, times, loop = seen(out)
    assert (tuple(times), loop) == (TIMES, 3)
    for image, pixels in zip(made, colours, strict=True):
        assert close(image[..., :3], pixels, name)
    np.testing.assert_array_equal(read(path).pixels, colours[0])


@pytest.mark.parametrize("plays", [0, 1, 2])
@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_plays_come_back(tmp_path, name, plays):
    frames = [Frame(Picture(few_colours(seed)), 100.0) for seed in range(2)]
    write_frames(tmp_path / name, frames, plays=plays)
    assert load(tmp_path / name)[1] == plays
    said = seen(tmp_path / name)[2]
    assert said == ({0: 0, 1: None, 2: 1}[plays] if name == "a.gif" else plays)


def test_frames_that_change_a_part_are_whole(tmp_path):
    """A GIF whose later frames hold but a corner, laid over or taken away again."""
    whole, corner = few_colours(0), few_colours(1, height=4, width=4)
    whole[:] = whole[0, 0]
    changed = whole.copy()
    changed[:4, :4] = corner
    for disposal in (1, 2):
        images = [Image.fromarray(pixels) for pixels in (whole, changed, whole)]
        path = tmp_path / "a.gif"
        images[0].save(
            path, save_all=True, append_images=images[1:], duration=100, disposal=disposal
        )
        _, _, frames = load(path)
        for frame, wanted in zip(frames, (whole, changed, whole), strict=True):
            np.testing.assert_array_equal(frame.picture.pixels, wanted)
            assert frame.picture.mode == "palette"


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_clear_pixels_show_no_earlier_frame(tmp_path, name):
    frames = []
    for seed in range(3):
        alpha = np.zeros((12, 16, 1), np.uint8)
        alpha[seed * 4 : seed * 4 + 4] = 255
        frames.append(Frame(Picture(few_colours(seed), alpha), 100.0))
    write_frames(tmp_path / name, frames, plays=0)
    made, _, _ = seen(tmp_path / name)
    for image, frame in zip(made, frames, strict=True):
        np.testing.assert_array_equal(image[..., 3:], frame.picture.alpha)
        opaque = image[..., 3] > 0
        assert close(image[opaque][:, :3], frame.picture.pixels[opaque], name)


def test_a_palette_png_stays_one(tmp_path):
    indices = [np.random.default_rng(seed).integers(0, 5, (9, 8), np.uint8) for seed in range(3)]
    images = [Image.frombytes("P", (8, 9), index.tobytes()) for index in indices]
    for image in images:
        image.putpalette([*range(10, 160, 10)])
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], duration=100)
    _, plays, frames = load(tmp_path / "a.png")
    assert [frame.picture.mode for frame in frames] == ["palette"] * 3
    write_frames(tmp_path / "b.png", frames, plays=plays)
    with Image.open(tmp_path / "b.png") as made:
        assert made.mode == "P" and made.n_frames == 3
    made, _, _ = seen(tmp_path / "b.png")
    for image, original in zip(made, images, strict=True):
        np.testing.assert_array_equal(image, np.asarray(original.convert("RGBA")))
    mixed = [frames[0], Frame(Picture(few_colours(0, height=9, width=8)), 100.0)]
    write_frames(tmp_path / "c.png", mixed)
    np.testing.assert_array_equal(seen(tmp_path / "c.png")[0][1][..., :3], mixed[1].picture.pixels)


def test_palettes_that_differ_become_colours(tmp_path):
    """As those of the frames of a GIF do, where a PNG has one for all; one colour is clear."""
    palettes = np.random.default_rng(0).integers(0, 256, (2, 4, 4), np.uint8)
    palettes[..., 3] = 255, 255, 255, 0
    index = np.random.default_rng(1).integers(0, 4, (9, 8))
    frames = []
    for palette in palettes:
        rgba = palette[index]
        picture = Picture(rgba[..., :3], rgba[..., 3:], mode="palette", palette=palette)
        frames.append(Frame(picture, 100.0))
    write_frames(tmp_path / "a.png", frames)
    for image, palette in zip(seen(tmp_path / "a.png")[0], palettes, strict=True):
        np.testing.assert_array_equal(image[..., 3], palette[index][..., 3])
        opaque = image[..., 3] > 0
        np.testing.assert_array_equal(image[opaque], palette[index][opaque])


def test_each_frame_is_turned_as_exif_says(tmp_path):
    tags = Image.Exif()
    tags[274] = 6
    colours = [few_colours(seed) for seed in range(3)]
    images = [Image.fromarray(pixels) for pixels in colours]
    images[0].save(
        tmp_path / "a.webp", save_all=True, append_images=images[1:], exif=tags, lossless=True
    )
    _, _, frames = load(tmp_path / "a.webp")
    for frame, pixels in zip(frames, colours, strict=True):
        np.testing.assert_array_equal(frame.picture.pixels, np.rot90(pixels, -1))


def test_pages_of_any_kind_come_and_go(tmp_path):
    """Of other sizes, depths and modes; the small copy of a page is none."""
    rng = np.random.default_rng(0)
    rgb, grey = rng.integers(0, 256, (9, 7, 3), np.uint8), rng.random((5, 6)).astype(np.float32)
    bands = rng.integers(0, 256, (7, 3, 6), np.uint8)
    deep, bits = rng.integers(0, 2**16, (4, 5, 3), np.uint16), rng.random((6, 11)) > 0.5
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(rgb, photometric="rgb", metadata=None, iccprofile=b"first")
        file.write(rgb[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
        file.write(grey, photometric="minisblack", metadata=None)
        file.write(bands, photometric="minisblack", planarconfig="contig", metadata=None)
        file.write(bits, photometric="minisblack", metadata=None)
        file.write(deep, photometric="rgb", metadata=None, resolution=(300, 300), resolutionunit=2)
    count, plays, frames = load(tmp_path / "a.tif")
    assert (count, plays) == (5, 1) and {frame.milliseconds for frame in frames} == {None}
    wanted = (rgb, grey[..., None], bands, bits[..., None] * np.uint8(255), deep)
    for frame, pixels in zip(frames, wanted, strict=True):
        assert frame.picture.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(frame.picture.pixels, pixels)
    write_frames(tmp_path / "b.tif", frames)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        pages = list(file.pages)
        assert pages[0].iccprofile == b"first" and pages[3].bitspersample == 1
        assert pages[4].tags.valueof("XResolution") == (300, 1)
        for page, pixels in zip(pages, (rgb, grey, bands, bits, deep), strict=True):
            np.testing.assert_array_equal(page.asarray(), pixels)
    # a first page that Pillow does not know
    write_frames(tmp_path / "c.tif", frames[1:])
    for frame, pixels in zip(load(tmp_path / "c.tif")[2], wanted[1:], strict=True):
        np.testing.assert_array_equal(frame.picture.pixels, pixels)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.npy", "a.gif", "a.webp", "a.avif"])
def test_a_still_picture_is_one_frame(tmp_path, name):
    write(tmp_path / name, Picture(few_colours(0), metadata=Metadata()))
    count, plays, frames = load(tmp_path / name)
    assert (count, plays, len(frames), frames[0].milliseconds) == (1, 1, 1, None)
    np.testing.assert_array_equal(frames[0].picture.pixels, read(tmp_path / name).pixels)
    write_frames(tmp_path / f"again-{name}", frames)
    assert read(tmp_path / f"again-{name}").pixels.shape == (12, 16, 3)


def test_what_is_not_decoded_is_refused(tmp_path):
    images = [Image.fromarray(few_colours(seed)) for seed in range(3)]
    images[0].save(tmp_path / "a.png", save_all=True, append_images=images[1:], default_image=True)
    with pytest.raises(ValueError, match=r"a\.png holds a still picture beside its animation"):
        load(tmp_path / "a.png")
    images[0].save(tmp_path / "b.png", save_all=True, append_images=images[1:])
    content = bytearray((tmp_path / "b.png").read_bytes())
    content[24] = 16
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"b\.png is an animation of 16 bits, which is not decoded"
    ):
        load(tmp_path / "b.png")
    images[0].save(tmp_path / "c.gif", save_all=True, append_images=images[1:])
    content = (tmp_path / "c.gif").read_bytes()
    for length in (*range(20, len(content), 97), len(content) - 1):
        (tmp_path / "c.gif").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"c\.gif is not a readable picture"):
            load(tmp_path / "c.gif")
    images[0].save(tmp_path / "d.tif", save_all=True, append_images=images[1:])
    content = (tmp_path / "d.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "d.tif") as file:
        second = file.pages[1].offset  # all before it is there, and Pillow would see one page
    (tmp_path / "d.tif").write_bytes(content[:second])
    with pytest.raises(ValueError, match=r"d\.tif is not a readable .*ends before its pages do"):
        load(tmp_path / "d.tif")
    with open(tmp_path / "e.gif", "wb") as file:
        images[0].save(file, "GIF", save_all=True, append_images=images[1:])
        file.write(b"more")
    assert load(tmp_path / "e.gif")[0] == 3


def test_errors_of_others_are_not_the_files(tmp_path):
    write(tmp_path / "a.png", Picture(few_colours(0)))
    with pytest.raises(OSError, match="^my own$"), open_frames(tmp_path / "a.png"):
        raise OSError("my own")


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    timed = [Frame(Picture(few_colours(seed)), 40.0) for seed in range(2)]
    pages = [Frame(frame.picture) for frame in timed]
    other = [*timed, Frame(Picture(few_colours(0, height=5)), 40.0)]
    deep = [Frame(Picture(few_colours(0).astype(np.uint16)), 40.0)] * 2
    for name, frames, message in (
        ("a.jpg", timed, r"JPEG cannot hold several frames; write \.gif, \.webp, \.png or \.tif"),
        ("a.avif", timed, "AVIF cannot hold several frames"),
        ("a.tif", timed, r"TIFF cannot hold the times of frames; write \.gif, \.webp or \.png"),
        ("a.gif", pages, r"GIF cannot hold pages; write \.tif"),
        ("a.webp", other, "WEBP cannot hold frames of different sizes; write frames of one size"),
        ("a.png", deep, "animated PNG of 16 bits is not written; write a depth of 8"),
        ("a.gif", deep, "GIF cannot hold uint16"),
        ("a.gif", [], "there is no frame to write"),
    ):
        with pytest.raises(ValueError, match=message):
            write_frames(tmp_path / name, frames)
    assert not list(tmp_path.iterdir())


def test_frames_are_not_made_in_vain(tmp_path):
    """What two tell of the format is said before the others are decoded and enlarged."""
    timed = Frame(Picture(few_colours(0)), 40.0)
    for name, frame in (("a.avif", timed), ("a.jpg", timed), ("a.tif", timed), ("a.gif", timed)):
        frame = Frame(frame.picture) if name == "a.gif" else frame
        made = []
        frames = (made.append(index) or frame for index in range(9))
        with pytest.raises(ValueError, match="cannot hold"):
            write_frames(tmp_path / name, frames)
        assert len(made) <= 2


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "b.tif"])
def test_the_limit_is_of_all_frames(tmp_path, name):
    options = {"compression": "tiff_deflate"} if name == "a.tif" else {}
    images = [Image.fromarray(np.full((60, 80, 3), 50 * seed, np.uint8)) for seed in range(5)]
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:], **options)
    size = 60 * 80 * 3
    with open_frames(tmp_path / name, limit=5 * size) as frames:
        assert len(list(frames)) == 5
    if name == "b.tif":  # not compressed: it is as long as it says
        with open_frames(tmp_path / name, limit=5 * size - 1) as frames:
            assert len(list(frames)) == 5
        return
    with (
        pytest.raises(ValueError, match=rf"{name} would take .*decompression bombs; .*`limit=`"),
        open_frames(tmp_path / name, limit=5 * size - 1),
    ):
        pass
    assert read(tmp_path / name, limit=size).pixels.shape == (60, 80, 3)


def test_pages_of_other_sizes_count_as_they_are(tmp_path):
    """The first page small, the second large; also where Pillow does not know the first."""
    for first in (np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32)):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for page in (first, np.zeros((500, 500), np.uint8)):
                file.write(page, photometric="minisblack", metadata=None, compression="zlib")
        with (
            pytest.raises(ValueError, match=r"a\.tif would take .*decompression bombs"),
            open_frames(tmp_path / "a.tif", limit=250_000),
        ):
            pass


def test_lossless_frames_of_webp_stay_lossless(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    images = [Image.fromarray(pixels) for pixels in noise]
    for lossless in (True, False):
        images[0].save(
            tmp_path / "a.webp", save_all=True, append_images=images[1:], lossless=lossless
        )
        _, plays, frames = load(tmp_path / "a.webp")
        assert {frame.picture.metadata.lossless for frame in frames} == {lossless}
        write_frames(tmp_path / "b.webp", frames, plays=plays)
        made = np.stack(seen(tmp_path / "b.webp")[0])[..., :3]
        assert np.array_equal(made, noise) == lossless
