"""Picture files: what Pillow stores comes back, and what cannot be read or written says why."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from jaxsr.imaging import files
from jaxsr.imaging.files import Picture, header, list_pictures, read, write

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
PHOTOGRAPHS = tuple(extension for extension in files.EXTENSIONS if extension != ".npy")
TAG = ExifTags.Base


def ramp(channels, dtype=np.uint8, height=24, width=40):
    """A smooth picture whose corners differ, so that no turn of it equals another."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    planes = [(y + 2 * x) / 3, 1 - y * x, x * (1 - y), (1 + x) / 2, y * y, (3 + x * y) / 4]
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    return (np.stack(planes[:channels], axis=-1) * most).astype(dtype)


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
@pytest.mark.parametrize("extension", PHOTOGRAPHS)
def test_round_trip(tmp_path, extension, channels):
    path, pixels = tmp_path / f"a{extension.upper()}", ramp(channels)
    write(path, Picture(pixels))
    back = read(path)
    assert back.pixels.dtype == np.uint8 and back.alpha is None
    assert header(path) == (*back.pixels.shape, "uint8")
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
    assert header(path) == (24, 40, 1, "uint16")
    np.testing.assert_array_equal(read(path).pixels, pixels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels[..., 0])


def test_big_endian_16_bit_grey(tmp_path):
    path, pixels = tmp_path / "a.tif", ramp(1, np.uint16)
    Image.frombytes("I;16B", (40, 24), pixels.astype(">u2").tobytes()).save(path)
    np.testing.assert_array_equal(read(path).pixels, pixels)
    assert header(path) == (24, 40, 1, "uint16")


def test_palettes_and_bits_are_widened(tmp_path):
    image = Image.fromarray(ramp(3))
    for mode, widened in (("P", "RGB"), ("1", "L")):
        stored = image.convert(mode)
        stored.save(tmp_path / "a.png")
        back = read(tmp_path / "a.png")
        assert header(tmp_path / "a.png") == (24, 40, 3 if mode == "P" else 1, "uint8")
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
    assert back.pixels.shape[-1] == header(tmp_path / "a.png").channels == channels
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
    assert header(path)[:2] == back.pixels.shape[:2] == upright.shape[:2]
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


@pytest.mark.parametrize("mode, name", [("CMYK", "a.jpg"), ("CMYK", "a.tif"), ("LAB", "a.tif")])
def test_other_modes_are_refused(tmp_path, mode, name):
    Image.new(mode, (8, 8)).save(tmp_path / name)
    for reader in (read, header):
        with pytest.raises(ValueError, match=rf"{name} has mode {mode}, .*convert it to 8-bit RGB"):
            reader(tmp_path / name)


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
                assert str(error).startswith(f"{path} ")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("extension", [".npy", ".tif"])
def test_any_bands_and_depth_come_back(tmp_path, extension, channels, dtype):
    path, pixels = tmp_path / f"a{extension}", ramp(channels, dtype)
    write(path, Picture(pixels))
    back = read(path)
    assert back.alpha is None and back.pixels.dtype == dtype
    np.testing.assert_array_equal(back.pixels, pixels)
    assert header(path) == (24, 40, channels, np.dtype(dtype).name)
    other = np.load(path) if extension == ".npy" else tifffile.imread(path)
    np.testing.assert_array_equal(other.reshape(pixels.shape), pixels)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "extension, dtype",
    [(".npy", "?"), (".npy", "i8")]
    + [(e, d) for e in (".npy", ".tif") for d in ("i1", "<i2", ">i4", "u4", "f2", ">f4", "f8")],
)
def test_other_numbers_become_float32(tmp_path, extension, dtype):
    path, pixels = tmp_path / f"a{extension}", (ramp(1)[..., 0] - 100.0).astype(dtype)
    if extension == ".npy":
        np.save(path, pixels)
    else:
        tifffile.imwrite(path, pixels, byteorder=">" if dtype[0] == ">" else "<")
    back = read(path).pixels
    assert back.dtype == np.dtype("=f4") and header(path) == (24, 40, 1, "float32")
    np.testing.assert_array_equal(back[..., 0], pixels.astype(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
def test_integers_are_kept_in_either_byte_order(tmp_path, order):
    path, pixels = tmp_path / "a.npy", ramp(6, np.uint16)
    np.save(path, pixels.astype(f"{order}u2"))
    assert header(path) == (24, 40, 6, "uint16")
    assert read(path).pixels.dtype == np.dtype("=u2")
    np.testing.assert_array_equal(read(path).pixels, pixels)


def test_stored_axes_become_height_width_bands(tmp_path):
    path, pixels = tmp_path / "a.tif", ramp(6, np.uint16)
    planes = np.moveaxis(pixels, -1, 0)
    for options in ({}, {"compression": "zlib", "tile": (16, 16)}, {"bigtiff": True}):
        tifffile.imwrite(path, planes, photometric="minisblack", planarconfig="separate", **options)
        np.testing.assert_array_equal(read(path).pixels, pixels)
        assert header(path) == (24, 40, 6, "uint16")
    np.save(tmp_path / "a.npy", np.asfortranarray(pixels))
    np.testing.assert_array_equal(read(tmp_path / "a.npy").pixels, pixels)
    assert read(tmp_path / "a.npy").pixels.flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_beside_rgb_are_not_lost(tmp_path, dtype):
    path, pixels = tmp_path / "a.tif", ramp(4, dtype)
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(read(path).pixels, pixels)
    tifffile.imwrite(path, ramp(4), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read(path).alpha, ramp(4)[..., 3:])


def test_a_profile_goes_with_bands(tmp_path):
    write(tmp_path / "a.tif", Picture(ramp(3, np.float32), icc=b"profile"))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.iccprofile == b"profile"


def test_arrays_that_are_no_pictures_say_why(tmp_path):
    hole, huge = ramp(2, np.float32), np.full((4, 4), 1e300)
    hole[3, 4, 1] = np.nan
    for pixels, message in (
        (hole, "holds NaN or infinity; replace"),
        (huge, "holds NaN or infinity; replace"),
        (np.zeros((4, 4), complex), "holds complex128; convert it to uint8, uint16 or float32"),
        (np.zeros(4), r"has shape \(4,\), but a picture has"),
        (np.zeros((4, 0, 3)), r"has shape \(4, 0, 3\), but a picture has"),
        (np.zeros((1, 2, 3, 4)), r"has shape \(1, 2, 3, 4\), but a picture has"),
        (np.array([[{}]]), r"is not a readable picture \(.*Python objects"),
    ):
        np.save(tmp_path / "a.npy", pixels)
        with pytest.raises(ValueError, match=rf"a\.npy {message}"):
            read(tmp_path / "a.npy")
    tifffile.imwrite(tmp_path / "a.tif", hole[..., 1])
    with pytest.raises(ValueError, match=r"a\.tif holds NaN or infinity"):
        read(tmp_path / "a.tif")
    turned = [(274, "H", 1, 6, True)]
    tifffile.imwrite(tmp_path / "a.tif", ramp(1, np.float32)[..., 0], extratags=turned)
    with pytest.raises(ValueError, match=r"a\.tif has axes YX and orientation 6, but only upright"):
        header(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16, 16), np.float32), volumetric=True)
    with pytest.raises(
        ValueError, match=r"a\.tif has axes ZYX and orientation 1, but only upright"
    ):
        header(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_damaged_arrays_are_named(tmp_path, compression):
    path, noise = tmp_path / "a.tif", np.random.default_rng(0)
    pixels = noise.integers(0, 2**16, (64, 64, 6), np.uint16)
    options = {"photometric": "minisblack", "planarconfig": "contig", "rowsperstrip": 8}
    tifffile.imwrite(path, pixels, compression=compression, **options)
    whole = path.read_bytes()
    for part in (0.005, 0.3, 0.7):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ValueError, match=r"a\.tif is not a readable picture \(.+\);"):
            read(path)
    for _ in range(40):
        spoilt = bytearray(whole)
        for position in noise.integers(0, 200, 4):
            spoilt[position] = noise.integers(256)
        path.write_bytes(spoilt)
        try:
            assert read(path).pixels.ndim == 3
        except ValueError as error:
            assert str(path) in str(error)
    for height in (0, 10**7):
        path.write_bytes(whole)
        with tifffile.TiffFile(path, mode="r+b") as file:
            file.pages.first.tags["ImageLength"].overwrite(height)
        with pytest.raises(
            ValueError, match="a.tif is not .* does not go with the length of the f"
        ):
            header(path)
    np.save(tmp_path / "a.npy", pixels)
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[:-1], whole[:20], b"", whole[1:]):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npy is not a readable picture \(.+\);"):
            header(tmp_path / "a.npy")


@pytest.mark.parametrize("content", [b"", b"not a picture", encoded(".png")[:8]])
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for reader in (read, header):
        with pytest.raises(ValueError, match=r"a.png is not a readable picture \(its content is"):
            reader(path)
    with pytest.raises(ValueError, match=r"b.png is not a readable picture \(No such file"):
        read(tmp_path / "b.png")


def test_decompression_bombs_are_named(tmp_path, monkeypatch):
    write(tmp_path / "a.png", Picture(ramp(3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="not a readable picture .*decompression bomb"):
        read(tmp_path / "a.png")


def test_header_reads_only_the_header(tmp_path):
    path, whole = tmp_path / "a.png", encoded(".png")
    path.write_bytes(whole[:60])
    assert header(path) == (24, 40, 3, "uint8")
    with open(tmp_path / "a.npy", "wb") as file:  # 1.5 GB that are not there
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (8000, 4000, 6)}
        )
        file.truncate(file.tell() + 8000 * 4000 * 6 * 8)
    assert header(tmp_path / "a.npy") == (8000, 4000, 6, "float32")
    write(tmp_path / "a.tif", Picture(ramp(6, np.uint16)))
    whole = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(whole[: len(whole) // 2])
    assert header(tmp_path / "a.tif") == (24, 40, 6, "uint16")


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    alpha = Picture(ramp(3), ramp(1))
    for name, picture, message in (
        ("a.gif", Picture(ramp(3)), "a.gif has no known extension; use one of .png"),
        ("a.jpg", alpha, "JPEG cannot hold the picture's alpha; write a PNG"),
        ("a.bmp", alpha, "BMP cannot hold the picture's alpha; write a PNG"),
        ("a.npy", alpha, "NPY cannot hold the picture's alpha; write a PNG"),
        ("a.webp", Picture(ramp(1, np.uint16)), "WEBP cannot hold 1 channels of uint16; write .np"),
        ("a.png", Picture(ramp(3, np.uint16)), "PNG cannot hold 3 channels of uint16; write .npy"),
        ("a.png", Picture(ramp(6)), "PNG cannot hold 6 channels of uint8; write .npy or .tif"),
        ("a.jpg", Picture(ramp(1, np.float32)), "JPEG cannot hold 1 channels of float32; write"),
        ("a.tif", Picture(ramp(1, np.uint16), ramp(1, np.uint16)), "uint16 and alpha; write .npy"),
        ("a.npy", Picture(ramp(3).astype(np.float64)), "float64 cannot be written; convert it to"),
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
    names = [
        "b/z.PNG",
        "b/c/a.webp",
        "a.jpg",
        "d.npy",
        "notes.txt",
        ".hidden.png",
        "b.png/inner.tiff",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["a.jpg", "b/c/a.webp", "b/z.PNG", "b.png/inner.tiff", "d.npy"]
    assert list_pictures(tmp_path) == [tmp_path / name for name in expected]
    with pytest.raises(ValueError, match="absent is not a folder"):
        list_pictures(tmp_path / "absent")
