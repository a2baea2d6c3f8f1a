"""Picture files: what Pillow stores comes back, and what cannot be read or written says why."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from jaxsr.imaging import files
from jaxsr.imaging.files import Picture, list_pictures, read, size, write

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
TAG = ExifTags.Base


def ramp(channels, dtype=np.uint8, height=24, width=40):
    """A smooth picture whose corners differ, so that no turn of it equals another."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    planes = np.stack([(y + 2 * x) / 3, 1 - y * x, x * (1 - y), (1 + x) / 2], axis=-1)
    return (planes[..., :channels] * np.iinfo(dtype).max).astype(dtype)


def exif_bytes(orientation=1):
    exif = Image.Exif()
    exif[TAG.Artist], exif[TAG.Orientation] = "someone", orientation
    exif.get_ifd(ExifTags.IFD.Exif)[TAG.DateTimeOriginal] = "2020:01:01 00:00:00"
    return exif.tobytes()


def parsed(exif_bytes):
    exif = Image.Exif()
    exif.load(exif_bytes)
    return exif


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", files.EXTENSIONS)
def test_round_trip(tmp_path, extension, channels):
    path, pixels = tmp_path / f"a{extension.upper()}", ramp(channels)
    write(path, Picture(pixels))
    back = read(path)
    assert back.pixels.dtype == np.uint8 and back.alpha is None
    assert size(path)[:2] == (24, 40)
    with Image.open(path) as image:
        assert image.format == Image.registered_extensions()[extension]
    # WebP and AVIF hold no grey, and come back as RGB.
    assert back.pixels.shape == (24, 40, 3 if extension in (".webp", ".avif") else channels)
    error = np.abs(back.pixels.astype(int) - pixels)
    assert error.max() <= (0 if extension in LOSSLESS else 12) and error.mean() < 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", [".png", ".webp", ".avif", ".tif"])
def test_alpha_round_trip(tmp_path, extension, channels):
    path = tmp_path / f"a{extension}"
    pixels, alpha = ramp(channels), ramp(4)[..., 3:]
    write(path, Picture(pixels, alpha))
    back = read(path)
    assert back.alpha is not None and back.alpha.shape == (24, 40, 1)
    exact = extension in LOSSLESS
    assert np.abs(back.alpha.astype(int) - alpha).max() <= (0 if exact else 4)
    assert np.abs(back.pixels.astype(int) - pixels).mean() <= (0 if exact else 4)


@pytest.mark.parametrize("extension", [".png", ".tif"])
def test_16_bit_grey_is_kept(tmp_path, extension):
    path, pixels = tmp_path / f"a{extension}", ramp(1, np.uint16)
    write(path, Picture(pixels))
    assert read(path).pixels.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(read(path).pixels, pixels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


def test_big_endian_16_bit_grey(tmp_path):
    path, pixels = tmp_path / "a.tif", ramp(1, np.uint16)
    Image.frombytes("I;16B", (40, 24), pixels.astype(">u2").tobytes()).save(path)
    np.testing.assert_array_equal(read(path).pixels, pixels)


def test_palettes_and_bits_are_widened(tmp_path):
    image = Image.fromarray(ramp(3))
    for mode, widened in (("P", "RGB"), ("1", "L")):
        stored = image.convert(mode)
        stored.save(tmp_path / "a.png")
        back = read(tmp_path / "a.png")
        assert size(tmp_path / "a.png") == (24, 40, mode)
        expected = np.asarray(stored.convert(widened)).reshape(back.pixels.shape)
        np.testing.assert_array_equal(back.pixels, expected)


@pytest.mark.parametrize("mode, channels", [("L", 1), ("RGB", 3), ("P", 3)])
def test_a_transparent_colour_becomes_alpha(tmp_path, mode, channels):
    marked = ramp(3)
    marked[:4] = (7, 7, 7)
    image = Image.fromarray(marked).convert(mode)
    corner = image.getpixel((0, 0))
    image.save(tmp_path / "a.png", transparency=corner)
    back = read(tmp_path / "a.png")
    assert back.pixels.shape[-1] == channels
    keyed = np.asarray(image).reshape(24, 40, -1) == np.asarray(corner)
    np.testing.assert_array_equal(back.alpha, np.where(keyed.all(-1, keepdims=True), 0, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name, channels", [("a.png", 3), ("a.jpg", 1), ("a.tif", 1), ("b.tif", 3)])
def test_orientation_is_applied_once(tmp_path, name, channels, orientation):
    path, pixels = tmp_path / name, ramp(channels)
    write(path, Picture(pixels, exif=exif_bytes(orientation)))
    upright = {  # EXIF 2.32, 4.6.4: where the stored first row and column belong
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
    back = read(path)
    assert size(path)[:2] == back.pixels.shape[:2] == upright.shape[:2]
    assert np.abs(back.pixels.astype(int) - upright).max() <= 4
    assert back.exif is not None and TAG.Orientation not in parsed(back.exif)
    write(path, back)
    again = read(path)
    assert np.abs(again.pixels.astype(int) - upright).max() <= 4


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_metadata_is_carried(tmp_path, extension):
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / f"a{extension}"
    write(path, Picture(ramp(3), icc=icc, exif=exif_bytes()))
    back = read(path)
    assert back.icc == icc and back.exif is not None
    exif = parsed(back.exif)
    assert set(exif) == {TAG.Artist, ExifTags.IFD.Exif} and exif[TAG.Artist] == "someone"
    assert exif.get_ifd(ExifTags.IFD.Exif)[TAG.DateTimeOriginal] == "2020:01:01 00:00:00"


def test_a_picture_without_metadata_has_none(tmp_path):
    for name in ("a.png", "a.tif", "a.bmp"):
        write(tmp_path / name, Picture(ramp(3)))
        assert read(tmp_path / name).icc is None and read(tmp_path / name).exif is None


@pytest.mark.parametrize("mode, name", [("CMYK", "a.jpg"), ("F", "a.tif"), ("I", "a.tif")])
def test_other_modes_are_refused(tmp_path, mode, name):
    Image.new(mode, (8, 8)).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} has mode {mode}, .*convert it to 8-bit RGB"):
        read(tmp_path / name)


def encoded(extension):
    with io.BytesIO() as file:
        Image.fromarray(ramp(3)).save(file, Image.registered_extensions()[extension])
        return file.getvalue()


@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".avif", ".bmp", ".tif"])
def test_truncated_files_are_named(tmp_path, extension):
    path, whole = tmp_path / f"cut{extension}", encoded(extension)
    for part in (0.02, 0.3, 0.7):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ValueError, match=rf"cut\{extension} is not a readable picture \(.+\);"):
            read(path)


def test_damaged_files_raise_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    for extension in (".png", ".jpg", ".webp", ".tif"):
        whole, path = encoded(extension), tmp_path / f"a{extension}"
        for _ in range(40):
            spoilt = bytearray(whole)
            for position in rng.integers(0, min(len(whole), 200), 4):
                spoilt[position] = rng.integers(256)
            path.write_bytes(spoilt)
            try:
                assert read(path).pixels.ndim == 3
            except ValueError as error:
                assert "a readable picture" in str(error) or "has mode" in str(error)


@pytest.mark.parametrize("content", [b"", b"not a picture", encoded(".png")[:8]])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for reader in (read, size):
        with pytest.raises(ValueError, match=r"a.png is not a readable picture \(its content is"):
            reader(path)
    with pytest.raises(ValueError, match=r"b.png is not a readable picture \(No such file"):
        read(tmp_path / "b.png")


def test_decompression_bombs_are_named(tmp_path, monkeypatch):
    write(tmp_path / "a.png", Picture(ramp(3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="not a readable picture .*decompression bomb"):
        read(tmp_path / "a.png")


def test_size_reads_only_the_header(tmp_path):
    path, whole = tmp_path / "a.png", encoded(".png")
    path.write_bytes(whole[:60])
    assert size(path) == (24, 40, "RGB")


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    alpha = Picture(ramp(3), ramp(1))
    for name, picture, message in (
        ("a.gif", Picture(ramp(3)), "a.gif has no known extension; use one of .png"),
        ("a.jpg", alpha, "JPEG cannot hold the picture's alpha; write a PNG"),
        ("a.bmp", alpha, "BMP cannot hold the picture's alpha; write a PNG"),
        ("a.webp", Picture(ramp(1, np.uint16)), "16 bits are written only as grey PNG or TIFF"),
        ("a.png", Picture(ramp(3, np.uint16)), "16 bits are written only as grey PNG or TIFF"),
        ("a.png", Picture(ramp(3) / np.float32(255)), "float32 cannot be written; apply"),
    ):
        with pytest.raises(ValueError, match=message):
            write(tmp_path / name, picture)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write(path, Picture(ramp(3)))
    before = path.read_bytes()

    def fail(image, file, *_, **__):
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write(path, Picture(ramp(1)))
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_quality_is_obeyed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("a.jpg", "a.webp", "a.avif"):
        lengths = []
        for quality in (30, 95):
            write(tmp_path / name, Picture(noise), quality=quality)
            lengths.append((tmp_path / name).stat().st_size)
        assert lengths[1] > 1.5 * lengths[0]


def test_list_pictures(tmp_path):
    names = ["b/z.PNG", "b/c/a.webp", "a.jpg", "notes.txt", ".hidden.png", "b.png/inner.tiff"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["a.jpg", "b/c/a.webp", "b/z.PNG", "b.png/inner.tiff"]
    assert list_pictures(tmp_path) == [tmp_path / name for name in expected]
    with pytest.raises(ValueError, match="absent is not a folder"):
        list_pictures(tmp_path / "absent")
