"""Picture files: what Pillow stores comes back, and what cannot be read or written says why."""

import io
import re
import resource
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from jaxsr.imaging import avif, files, webp
from jaxsr.imaging.files import Metadata, Picture, header, list_pictures, read, write
from jaxsr.imaging.frames import Frame, write_frames

LOSSLESS = (".png", ".bmp", ".tif", ".tiff")
PHOTOGRAPHS = tuple(e for e in files.EXTENSIONS if e not in (".npy", ".gif"))
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


def png_by_hand(pixels, *extra):
    """A PNG of 16 bits as its specification has it, without filters; `extra` are chunks."""
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = pixels.astype(">u2").tobytes()
    step = width * channels * 2
    lines = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)), *extra]
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    joined = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(joined)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_is_read_whole(tmp_path, channels):
    """Pillow gives 8 bits of all but grey; the low ones are checked here too."""
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 2**16, (5, 7, channels), np.uint16)
    path.write_bytes(png_by_hand(pixels))
    back, has_alpha = read(path), channels in (2, 4)
    assert header(path) == (5, 7, channels - has_alpha, "uint16")
    assert back.pixels.dtype == np.uint16 and (back.alpha is not None) == has_alpha
    layers = [back.pixels] if back.alpha is None else [back.pixels, back.alpha]
    np.testing.assert_array_equal(np.concatenate(layers, -1), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_16_bits_becomes_alpha(tmp_path, channels):
    path = tmp_path / "a.png"
    pixels = np.random.default_rng(0).integers(0, 2**16, (5, 7, channels), np.uint16)
    path.write_bytes(png_by_hand(pixels, (b"tRNS", pixels[2, 3].astype(">u2").tobytes())))
    back = read(path)
    np.testing.assert_array_equal(back.pixels, pixels)
    keyed = (pixels == pixels[2, 3]).all(-1, keepdims=True)
    np.testing.assert_array_equal(back.alpha, np.where(keyed, 0, 65535))
    assert header(path) == (5, 7, channels, "uint16")


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [None, ramp(1, np.uint16)[::-1]])
def test_16_bits_of_any_mode_are_written(tmp_path, extension, channels, alpha):
    path, pixels = tmp_path / f"a{extension}", ramp(channels, np.uint16) | 1
    write(path, Picture(pixels, alpha))
    layers = pixels if alpha is None else np.concatenate([pixels, alpha], -1)
    decode = tifffile.imread if extension == ".tif" else imagecodecs.imread
    np.testing.assert_array_equal(decode(path).reshape(layers.shape), layers)
    np.testing.assert_array_equal(read(path).pixels, pixels)
    np.testing.assert_array_equal(read(path).alpha, alpha)
    if channels == 3 or alpha is None:  # Pillow knows no TIFF of grey and alpha in 16 bits
        with Image.open(path) as image:
            assert image.mode == ("I;16" if channels == 1 else "RGB" if alpha is None else "RGBA")


@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_keeps_alpha(tmp_path, channels):
    path, pixels, alpha = tmp_path / "a.tif", ramp(channels, np.float32), ramp(1, np.float32)
    write(path, Picture(pixels, alpha))
    back = read(path)
    assert back.pixels.dtype == np.float32 and header(path) == (24, 40, channels, "float32")
    np.testing.assert_array_equal(back.pixels, pixels)
    np.testing.assert_array_equal(back.alpha, alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colours_multiplied_by_alpha_are_divided(tmp_path, dtype):
    path, alpha = tmp_path / "a.tif", ramp(1, dtype)
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    alpha[0], alpha[1:] = 0, np.maximum(alpha[1:], most // 2 if most > 1 else 0.5)
    plain = ramp(3, dtype)
    stored = (plain * (alpha / most)).round(0 if most > 1 else 9).astype(dtype)
    layers = np.concatenate([stored, alpha], -1)
    tifffile.imwrite(path, layers, photometric="rgb", extrasamples=["assocalpha"])
    back = read(path)
    np.testing.assert_array_equal(back.alpha, alpha)
    np.testing.assert_allclose(back.pixels[1:], plain[1:], rtol=0, atol=1.01 if most > 1 else 1e-6)


def test_white_may_be_zero_in_tiff(tmp_path):
    pixels = ramp(1, np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", 65535 - pixels[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, pixels)


def test_tiff_of_twelve_bits_is_refused(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", ramp(1, np.uint16)[..., 0] >> 4, bitspersample=12, compression=None
    )
    with pytest.raises(ValueError, match=r"a\.tif has 12 bits of photometric .*convert it"):
        read(tmp_path / "a.tif")


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
@pytest.mark.parametrize(
    "name, channels, dtype",
    [("a.png", 3, "u1"), ("a.jpg", 1, "u1"), ("a.tif", 1, "u1"), ("b.tif", 3, "u1")]
    + [("a.webp", 3, "u1"), ("c.png", 3, "u2"), ("c.tif", 3, "u2"), ("d.tif", 1, "f4")],
)
def test_orientation_is_applied_once(tmp_path, name, channels, dtype, orientation):
    path, pixels = tmp_path / name, ramp(channels, np.dtype(dtype).type)
    if name.endswith(".tif"):
        photometric = "rgb" if channels == 3 else "minisblack"
        tags = [(274, "H", 1, orientation, True), (315, "s", 0, "someone", True)]
        stored = pixels if channels == 3 else pixels[..., 0]
        tifffile.imwrite(path, stored, photometric=photometric, metadata=None, extratags=tags)
    elif dtype == "u2":
        exif = exif_bytes(orientation).removeprefix(b"Exif\0\0")
        path.write_bytes(png_by_hand(pixels, (b"eXIf", exif)))
    else:
        stored = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
        stored.save(path, exif=exif_bytes(orientation), quality=95)
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
    bound = 12 if name == "a.webp" else 4 if name == "a.jpg" else 0
    assert np.abs(back.pixels.astype(float) - upright).max() <= bound
    exif = back.metadata.exif
    assert exif is not None and TAG.Orientation not in parsed(exif)
    write(path, back)
    again = read(path)
    assert np.abs(again.pixels.astype(float) - upright).max() <= 2 * bound


ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description dc:title="\xc3\xa9"/></x:xmpmeta>'


@pytest.mark.parametrize(
    "extension, dtype",
    [(e, np.uint8) for e in (".png", ".jpg", ".webp", ".avif", ".tif")]
    + [(".png", np.uint16), (".tif", np.uint16), (".tif", np.float32)],
)
def test_metadata_is_carried(tmp_path, extension, dtype):
    path = tmp_path / f"a{extension}"
    metadata = Metadata(ICC, exif_bytes(), XMP, (300.0, 200.0))
    write(path, Picture(ramp(3, dtype), metadata=metadata))
    back = read(path).metadata
    assert back.icc == ICC and back.xmp == XMP and back.exif is not None
    np.testing.assert_allclose(back.dpi, (300, 200), atol=0.01)  # PNG counts dots per metre
    exif = parsed(back.exif)
    assert exif[TAG.Artist] == "someone"
    assert exif.get_ifd(ExifTags.IFD.Exif)[TAG.DateTimeOriginal] == "2020:01:01 00:00:00"
    if dtype != np.float32:
        with Image.open(path) as image:  # others find it as well
            assert image.info["icc_profile"] == ICC and image.getexif()[TAG.Artist] == "someone"
            image.load()
            assert image.info["xmp"] == XMP


@pytest.mark.parametrize("extension", [".jpg", ".bmp", ".webp", ".avif", ".png", ".tif"])
def test_the_resolution_needs_no_other_metadata(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    write(path, Picture(ramp(3), metadata=Metadata(dpi=(300.0, 200.0))))
    np.testing.assert_allclose(read(path).metadata.dpi, (300, 200), atol=0.02)


@pytest.mark.parametrize("extension", [".jpg", ".bmp", ".webp", ".png", ".tif"])
@pytest.mark.parametrize("stated, read_as", [(70000.0, 70000.0), (1e9, None), (1e300, None)])
def test_a_resolution_without_room_is_left_out(tmp_path, extension, stated, read_as):
    """JPEG has room for 65535; no picture has a thousand million dots per inch."""
    first = struct.pack("<H", 2) + b"".join(
        struct.pack("<HHII", tag, 12, 1, 38) for tag in (282, 283)
    )
    block = b"Exif\0\0II*\0\x08\0\0\0" + first + bytes(4) + struct.pack("<d", stated)
    Image.fromarray(ramp(3)).save(tmp_path / "a.webp", exif=block)
    picture = read(tmp_path / "a.webp")
    assert picture.metadata.dpi == (read_as and (read_as, read_as))
    write(tmp_path / f"b{extension}", replace(picture, metadata=Metadata(dpi=picture.metadata.dpi)))
    found = read(tmp_path / f"b{extension}").metadata.dpi
    if extension == ".jpg" or read_as is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, (read_as, read_as), rtol=1e-6)


def test_metadata_behind_the_pixels_of_a_png_counts(tmp_path):
    """PNG lets eXIf and XMP follow IDAT; the header must know of the turn as well."""
    plain = png_by_hand(ramp(3, np.uint16)[:, :20])
    exif, text = exif_bytes(6).removeprefix(b"Exif\0\0"), b"XML:com.adobe.xmp\0\1\0\0\0"
    late = [(b"eXIf", exif), (b"iTXt", text + zlib.compress(XMP))]
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in late
    )
    (tmp_path / "a.png").write_bytes(plain[:-12] + chunks + plain[-12:])
    assert header(tmp_path / "a.png")[:2] == (20, 24)
    back = read(tmp_path / "a.png")
    assert back.pixels.shape == (20, 24, 3) and back.metadata.xmp == XMP


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp", ".tif"])
def test_the_orientation_in_xmp_is_removed(tmp_path, extension, depth):
    path = tmp_path / f"a{extension}"
    stated = b'<rdf:Description tiff:Orientation="6" a="b"><tiff:Orientation>6</tiff:Orientation>'
    dtype = depth if extension in (".png", ".tif") else np.uint8
    write(path, Picture(ramp(3, dtype), metadata=Metadata(exif=exif_bytes(), xmp=stated)))
    assert read(path).metadata.xmp == b'<rdf:Description a="b">'


def test_metadata_goes_from_format_to_format(tmp_path):
    """In a circle through all that hold everything."""
    whole = Metadata(ICC, exif_bytes(), XMP, (300.0, 200.0))
    picture = Picture(ramp(3), metadata=whole)
    for name in ("a.jpg", "b.tif", "c.png", "d.webp", "e.avif", "f.jpg", "g.webp", "h.tif"):
        write(tmp_path / name, picture)
        picture = read(tmp_path / name)
    back = picture.metadata
    assert (back.icc, back.xmp) == (ICC, XMP) and back.exif and back.dpi
    np.testing.assert_allclose(back.dpi, (300, 200), atol=0.02)
    assert parsed(back.exif)[TAG.Artist] == "someone"
    detail = parsed(back.exif).get_ifd(ExifTags.IFD.Exif)
    assert detail[TAG.DateTimeOriginal] == "2020:01:01 00:00:00"


def test_a_picture_without_metadata_has_none(tmp_path):
    for name in ("a.png", "a.tif", "a.bmp", "a.jpg", "a.webp", "a.avif", "a.gif"):
        write(tmp_path / name, Picture(ramp(3)))
        assert read(tmp_path / name).metadata == Metadata(), name
    write(tmp_path / "b.jpg", Picture(ramp(3), metadata=Metadata(exif=exif_bytes())))
    assert read(tmp_path / "b.jpg").metadata.dpi is None  # Pillow would say 72


@pytest.mark.parametrize("mode, name", [("LAB", "a.tif"), ("YCbCr", "a.tif")])
def test_other_modes_are_refused(tmp_path, mode, name):
    Image.new(mode, (8, 8)).save(tmp_path / name)
    for reader in (read, header):
        with pytest.raises(ValueError, match=rf"{name} has mode {mode}, .*convert it to one of"):
            reader(tmp_path / name)


def encoded(extension):
    with io.BytesIO() as file:
        Image.fromarray(ramp(3)).save(file, Image.registered_extensions()[extension])
        return file.getvalue()


@pytest.mark.parametrize("extension", PHOTOGRAPHS + (".gif",))
def test_truncated_files_are_named(tmp_path, extension):
    path, whole = tmp_path / f"cut{extension}", encoded(extension)
    for part in (0.02, 0.3, 0.7):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(ValueError, match=rf"cut\{extension} is not a readable picture \(.+\);"):
            read(path)


def test_damaged_files_raise_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    for extension in (".png", ".jpg", ".webp", ".tif", ".gif"):
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
    write(tmp_path / "a.tif", Picture(ramp(6, np.float32), metadata=Metadata(icc=b"profile")))
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
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((16, 16, 16), np.float32), volumetric=True)
    with pytest.raises(ValueError, match=r"a\.tif has axes ZYX, but only planes or samples"):
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


def test_decompression_bombs_are_named(tmp_path):
    """20000 x 20000 pixels in 140 KB; Pillow's own limit, of the whole process, is left alone."""
    write(tmp_path / "a.png", Picture(ramp(3)))
    with pytest.raises(ValueError, match=r"a\.png would take .*decompression bombs; if you trust"):
        read(tmp_path / "a.png", limit=24 * 40 * 3 - 1)
    assert read(tmp_path / "a.png", limit=24 * 40 * 3).pixels.shape == (24, 40, 3)
    (tmp_path / "b.png").write_bytes(png_by_hand(ramp(3, np.uint16)))
    with pytest.raises(ValueError, match=r"b\.png would take"):
        read(tmp_path / "b.png", limit=24 * 40 * 6 - 1)
    most = Image.MAX_IMAGE_PIXELS
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="bomb.png would take 0.373 GiB"):
        read(tmp_path / "bomb.png", limit=2**28)
    assert header(tmp_path / "bomb.png")[:2] == (20000, 20000)
    assert most == Image.MAX_IMAGE_PIXELS


def test_the_limit_is_named_as_python_does(tmp_path):
    write(tmp_path / "a.png", Picture(ramp(3)))
    with pytest.raises(ValueError, match=r"if you trust it, pass a larger `limit=` from Python"):
        read(tmp_path / "a.png", limit=1)


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
    alpha, deep, inks = Picture(ramp(3), ramp(1)), ramp(3, np.uint16), ramp(4)
    long = Metadata(xmp=bytes(65505))
    write(tmp_path / "most.jpg", Picture(ramp(3), metadata=Metadata(xmp=bytes(65504))))
    (tmp_path / "most.jpg").unlink()
    for name, picture, message in (
        ("a.jp2", Picture(ramp(3)), "a.jp2 has no known extension; use one of .png"),
        ("a.jpg", alpha, "JPEG cannot hold the picture's alpha; write a PNG instead, or lay a bac"),
        ("a.bmp", alpha, "BMP cannot hold the picture's alpha; write a PNG"),
        ("a.npy", alpha, "NPY cannot hold the picture's alpha; write a PNG"),
        ("a.webp", Picture(deep), "WEBP cannot hold uint16; write .tif, 16 bits also .png, or ask"),
        ("a.jpg", Picture(deep), "JPEG cannot hold uint16; write .tif"),
        (
            "a.png",
            Picture(ramp(6)),
            "PNG cannot hold 6 channels; write .npy, or .tif without alpha",
        ),
        ("a.tif", Picture(ramp(6), ramp(1)), "TIFF cannot hold 6 channels and alpha; write .npy"),
        ("a.png", Picture(ramp(1, np.float32)), "PNG cannot hold float32; write .tif"),
        ("a.png", Picture(inks, mode="cmyk"), "PNG cannot hold CMYK; write .jpg or .tif, or widen"),
        ("a.jpg", Picture(ramp(4, np.uint16), mode="cmyk"), "JPEG cannot hold uint16"),
        ("a.jpg", Picture(ramp(3), metadata=long), "JPEG cannot hold EXIF or XMP of more than 64"),
        ("a.npy", Picture(ramp(3).astype(np.float64)), "3 channels of float64; convert to uint8"),
        (
            "a.webp",
            Picture(np.zeros((1, 16384, 3), np.uint8)),
            r"1x16384 pixels \(HxW\); write a P",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            write(tmp_path / name, picture)
    with pytest.raises(ValueError, match="format: got exe; use one of .png"):
        write(tmp_path / "a.png", Picture(ramp(3)), format="exe")
    assert not list(tmp_path.iterdir())


def test_a_format_may_be_named(tmp_path):
    for name, format, wanted in (("a", "png", "PNG"), ("b.png", "JPEG", "JPEG")):
        write(tmp_path / name, Picture(ramp(3)), format=format)
        with Image.open(tmp_path / name) as image:
            assert image.format == wanted


@pytest.mark.parametrize("height, width", [(1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_smallest_pictures(tmp_path, height, width, channels):
    for name in ("a.png", "a.jpg", "a.webp", "a.avif", "a.bmp", "a.tif", "a.npy", "a.gif"):
        write(tmp_path / name, Picture(np.full((height, width, channels), 200, np.uint8)))
        back = read(tmp_path / name)
        assert back.pixels.shape[:2] == (height, width) == header(tmp_path / name)[:2]
        np.testing.assert_allclose(back.pixels, 200, atol=2)


@pytest.mark.parametrize("name", ["a.png", "b.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.npy"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, name):
    """No file may grow beyond 4 KB here, which stands for a device without room."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    picture = Picture(noise.astype(np.uint16) * 257 if name == "b.png" else noise)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"{name} cannot be written \(.*\); make room or choose"):
            write(tmp_path / name, picture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"a\.png cannot be written \(Not a directory\)"):
        write(tmp_path / "file" / "a.png", Picture(ramp(3)))
    with pytest.raises(FileNotFoundError, match=r"a\.tif cannot be written \(No such file"):
        write(tmp_path / "absent" / "a.tif", Picture(ramp(3)))


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write(path, Picture(ramp(3)))
    before = path.read_bytes()

    def fail(path, content):
        with open(path, "wb") as file:
            file.write(content[:10])
        raise OSError(28, "disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match=r"a\.png cannot be written \(disk full\)"):
        write(path, Picture(ramp(1)))
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize("name", ["a.png", "b.png", "a.jpg", "a.webp", "a.tif"])
def test_what_an_encoder_raises_is_one_error(tmp_path, name, monkeypatch):
    pixels, about = ramp(3, np.uint16 if name == "b.png" else np.uint8), Metadata(icc=object())
    with pytest.raises(ValueError, match=rf"{name} cannot be encoded \(.+\); .* metadata"):
        write(tmp_path / name, Picture(pixels, metadata=about))
    assert not list(tmp_path.iterdir())
    frames = [Frame(Picture(pixels, metadata=about), None if name == "a.tif" else 40.0)] * 2
    if name in ("a.png", "a.webp", "a.tif"):
        with pytest.raises(ValueError, match=rf"{name} cannot be encoded \("):
            write_frames(tmp_path / name, frames)
        assert not list(tmp_path.iterdir())

    def fail(self, *_, **__):
        raise OSError("encoder error -2 when writing image file")  # of Pillow, not of the system

    monkeypatch.setattr(Image.Image, "save", fail)
    if name == "a.jpg":
        with pytest.raises(ValueError, match=r"a\.jpg cannot be encoded \(encoder error -2"):
            write(tmp_path / name, Picture(ramp(3)))


@pytest.mark.parametrize("letter", ["a", "\u00e9"])
@pytest.mark.parametrize("length", [200, 240, 241, 243, 247, 255])
def test_names_of_any_length_are_written(tmp_path, letter, length):
    """Up to 255 bytes, which is what file systems have room for."""
    name = (letter * length).encode()[: length - 4].decode(errors="ignore").ljust(1) + ".png"
    write(tmp_path / name, Picture(ramp(3)))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with files.replacing(tmp_path / name) as temporary:
        assert re.fullmatch(r"\.(.+)\.\d+\.part", temporary.name)[1] == files.stand_in(name)
        assert len(temporary.name.encode()) <= 255
        temporary.write_bytes(b"whole")
    assert (tmp_path / name).read_bytes() == b"whole"
    assert (files.stand_in(name) == name) == (len(name.encode()) <= 240)


def test_long_names_that_differ_have_other_stand_ins():
    first, second = ("a" * 240 + end for end in ("b.png", "c.png"))
    assert files.stand_in(first) != files.stand_in(second)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_of_more_than_8_bits_is_refused(tmp_path, bits, channels):
    pixels = ramp(4)[..., :channels] if bits == 8 else ramp(4, np.uint16)[..., :channels]
    content = imagecodecs.avif_encode(pixels >> (16 - bits if bits > 8 else 0), bitspersample=bits)
    (tmp_path / "a.avif").write_bytes(content)
    if bits == 8:
        assert read(tmp_path / "a.avif").pixels.shape == (24, 40, 3)
        return
    for reader in (read, header):
        with pytest.raises(ValueError, match=r"a\.avif has more than 8 bits, .*convert it to a PN"):
            reader(tmp_path / "a.avif")


def test_avif_whose_boxes_end_nowhere_is_taken_apart_no_further():
    """Sizes of 0 and 1, to the end and in 64 bits, and what ends within a box (ISO 14496-12)."""
    deep = struct.pack(">I4s4B", 12, b"av1C", 0x81, 0, 0x4C, 0)
    for content, wanted in (
        (struct.pack(">I4s", 0, b"iprp") + deep, True),
        (struct.pack(">I4sQ", 1, b"iprp", 16 + len(deep)) + deep, True),
        (struct.pack(">I4s", 8, b"iprp") + deep, True),
        (struct.pack(">I4s", 8 + len(deep), b"free") + deep, False),
        (struct.pack(">I", 4) + deep, False),  # a box must hold its own size and kind
        (struct.pack(">I4s", 20, b"iprp") + deep[:-3], False),
        (deep.replace(b"\x4c", b"\x0c"), False),
    ):
        assert avif.is_deep(io.BytesIO(content)) == wanted


def test_the_first_of_several_pictures_in_a_jpeg_is_taken(tmp_path):
    images = [Image.fromarray(pixels) for pixels in (ramp(3), ramp(3)[::-1].copy())]
    images[0].save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=images[1:], quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "MPO" and image.n_frames == 2
    back = read(tmp_path / "a.jpg")
    assert np.abs(back.pixels.astype(int) - ramp(3)).max() <= 12
    assert header(tmp_path / "a.jpg") == (24, 40, 3, "uint8")


def test_webp_is_lossless_where_all_of_it_is():
    """Chunks of RIFF, those of odd sizes filled up; frames hold chunks behind 16 bytes."""

    def chunk(kind, content=b"odd"):
        return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    lossy, lossless, other = chunk(b"VP8 "), chunk(b"VP8L"), chunk(b"ICCP")
    for chunks, wanted in (
        (other + lossless, True),
        (other + lossy, False),
        (chunk(b"ALPH") + lossy, False),
        (chunk(b"ANMF", bytes(16) + lossless) * 2, True),
        (chunk(b"ANMF", bytes(16) + lossless) + chunk(b"ANMF", bytes(16) + lossy), False),
        (other, False),
    ):
        assert webp.is_lossless(io.BytesIO(chunk(b"RIFF", b"WEBP" + chunks))) == wanted


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_webp_stays_lossless(tmp_path, channels):
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, channels), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.webp", lossless=True, exact=True)
    picture = read(tmp_path / "a.webp")
    assert picture.metadata.lossless
    write(tmp_path / "b.webp", picture, quality=10)
    with Image.open(tmp_path / "b.webp") as made:
        np.testing.assert_array_equal(np.asarray(made), noise)
    for name, options in (("c.webp", {"exif": exif_bytes()}), ("d.webp", {})):
        Image.fromarray(noise).save(tmp_path / name, quality=90, **options)
        assert not read(tmp_path / name).metadata.lossless
    write(tmp_path / "e.webp", read(tmp_path / "d.webp"), quality=10)
    assert (tmp_path / "e.webp").stat().st_size < (tmp_path / "b.webp").stat().st_size / 2
    picture = replace(picture, metadata=replace(picture.metadata, icc=ICC, exif=exif_bytes()))
    write(tmp_path / "f.webp", picture)
    assert read(tmp_path / "f.webp").metadata.lossless


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
