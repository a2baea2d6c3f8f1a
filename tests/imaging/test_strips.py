"""TIFF by rows, against tifffile and Pillow."""

import resource
import tracemalloc

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxsr.imaging import opening, strips, tiff
from jaxsr.imaging.files import Metadata, Picture, read, write
from jaxsr.imaging.strips import open_strips, write_strips

HEIGHT, WIDTH = 83, 40


def noise(channels, dtype, height=HEIGHT, width=WIDTH):
    return (np.random.default_rng(0).random((height, width, channels)) * 250).astype(dtype)


def cut(pixels, high):
    return (pixels[top : top + high] for top in range(0, len(pixels), high))


def gather(path, high, overlap=0):
    with open_strips(path) as opened:
        parts = []
        for top in range(0, opened.height, high):
            above = min(overlap, top)
            rows = opened.rows(top - above, min(top + high, opened.height))
            assert rows.dtype == opened.dtype and rows.shape[1:] == (opened.width, opened.channels)
            parts.append(rows[above:])
        return np.concatenate(parts)


@pytest.mark.parametrize("compression", ["none", "deflate"])
@pytest.mark.parametrize("channels", [1, 3, 4, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_written_comes_back(tmp_path, monkeypatch, dtype, channels, compression):
    path, pixels = tmp_path / "a.tif", noise(channels, dtype)
    monkeypatch.setattr(strips, "_STRIP_BYTES", 20 * pixels[0].nbytes)
    options = {"dtype": dtype, "alpha": channels == 4, "compression": compression}
    for high in (13, 20, 100):
        write_strips(path, cut(pixels, high), shape=pixels.shape, **options)
        np.testing.assert_array_equal(tifffile.imread(path).reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(gather(path, 17, overlap=5), pixels)
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.rowsperstrip == 20 and page.compression == (8 if compression != "none" else 1)
        assert page.photometric == (2 if channels in (3, 4) else 1)
    with open_strips(path) as opened:
        assert (opened.height, opened.width, opened.channels) == pixels.shape
        assert opened.alpha == (channels == 4) and opened.mode == "plain"
    if channels == 4:
        np.testing.assert_array_equal(read(path).alpha, pixels[..., 3:])
    assert list(tmp_path.iterdir()) == [path]


LAYOUTS = [
    {},
    {"rowsperstrip": 9},
    {"byteorder": ">", "bigtiff": True},
    {"tile": (16, 32)},
    {"tile": (32, 48), "compression": "zlib", "predictor": True},
    {"compression": "lzw", "rowsperstrip": 7},
    {"compression": "zlib", "rowsperstrip": 200},
    {"planarconfig": "separate"},
    {"planarconfig": "separate", "rowsperstrip": 9, "compression": "zlib"},
    {"planarconfig": "separate", "tile": (32, 16), "byteorder": ">"},
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("channels, dtype", [(1, np.uint16), (3, np.uint8), (6, np.float32)])
def test_any_layout_is_read(tmp_path, layout, channels, dtype):
    path, pixels = tmp_path / "a.tif", noise(channels, dtype)
    if channels == 1 and "planarconfig" in layout:
        layout = {name: value for name, value in layout.items() if name != "planarconfig"}
    planes = np.moveaxis(pixels, -1, 0) if "planarconfig" in layout else pixels
    options = {"photometric": "minisblack", "metadata": None}
    options |= {"planarconfig": "contig"} if channels > 1 else {}
    tifffile.imwrite(path, planes[..., 0] if channels == 1 else planes, **options | layout)
    for high, overlap in ((17, 5), (1, 0), (HEIGHT, 0)):
        np.testing.assert_array_equal(gather(path, high, overlap), pixels)


def test_kinds_of_pixels_are_those_of_read(tmp_path):
    bits = noise(1, np.uint8)[..., 0] > 99
    tifffile.imwrite(tmp_path / "bits.tif", bits, photometric="minisblack", rowsperstrip=8)
    np.testing.assert_array_equal(gather(tmp_path / "bits.tif", 9)[..., 0], bits * np.uint8(255))
    tifffile.imwrite(tmp_path / "white.tif", noise(1, np.uint8)[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(gather(tmp_path / "white.tif", 9), 255 - noise(1, np.uint8))
    signed = noise(1, np.int32) - 100
    tifffile.imwrite(tmp_path / "signed.tif", signed[..., 0], photometric="minisblack")
    np.testing.assert_array_equal(gather(tmp_path / "signed.tif", 9), signed.astype(np.float32))
    layers = noise(4, np.uint8)
    tifffile.imwrite(
        tmp_path / "alpha.tif",
        layers,
        photometric="rgb",
        extrasamples=["assocalpha"],
        tile=(16, 16),
    )
    whole = read(tmp_path / "alpha.tif")
    assert whole.alpha is not None
    together = np.concatenate([whole.pixels, whole.alpha], -1)
    np.testing.assert_array_equal(gather(tmp_path / "alpha.tif", 9)[..., 3], together[..., 3])
    apart = gather(tmp_path / "alpha.tif", 9).astype(int) - together
    assert np.abs(apart[layers[..., 3] > 0]).max() <= 1  # Pillow rounds down
    inks = Picture(noise(4, np.uint8), mode="cmyk")
    write(tmp_path / "inks.tif", inks)
    with open_strips(tmp_path / "inks.tif") as opened:
        assert opened.mode == "cmyk" and not opened.alpha
        write_strips(
            tmp_path / "made.tif",
            [opened.rows(0, HEIGHT)],
            shape=(HEIGHT, WIDTH, 4),
            dtype=np.uint8,
            mode="cmyk",
        )
    assert read(tmp_path / "made.tif").mode == "cmyk"
    np.testing.assert_array_equal(read(tmp_path / "made.tif").pixels, inks.pixels)


@pytest.mark.parametrize("big", [False, True])
def test_metadata_is_carried(tmp_path, monkeypatch, big):
    """BigTIFF begins where 32 bits end: here, at nothing."""
    monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 0 if big else 2**31)
    tags = Image.Exif()
    tags[315] = "someone"
    tags.get_ifd(34665)[36867] = "2020:01:01 00:00:00"
    metadata = Metadata(b"profile", tags.tobytes(), b"<xmp/>", (300.0, 150.0))
    pixels = noise(3, np.uint8)
    write_strips(
        tmp_path / "a.tif", [pixels], shape=pixels.shape, dtype=np.uint8, metadata=metadata
    )
    assert (tmp_path / "a.tif").read_bytes()[2] == (43 if big else 42)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)
    with open_strips(tmp_path / "a.tif") as opened:
        back = opened.metadata
    assert (back.icc, back.xmp, back.dpi) == (b"profile", b"<xmp/>", (300.0, 150.0))
    found = Image.Exif()
    found.load(back.exif or b"")
    assert found[315] == "someone" and found.get_ifd(34665)[36867] == "2020:01:01 00:00:00"


@pytest.mark.parametrize("layout", [{}, {"tile": (64, 128), "compression": "zlib"}], ids=str)
def test_memory_is_flat_in_the_height(tmp_path, layout):
    def peak(height):
        rows = np.arange(512 * 3, dtype=np.uint8).reshape(1, 512, 3)
        source, target = tmp_path / "a.tif", tmp_path / "b.tif"
        tifffile.imwrite(source, rows.repeat(height, axis=0), photometric="rgb", **layout)
        tracemalloc.start()
        with open_strips(source) as opened:
            parts = (opened.rows(top, min(top + 50, height)) for top in range(0, height, 50))
            write_strips(target, parts, shape=(height, 512, 3), dtype=np.uint8)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert tifffile.imread(target).shape == (height, 512, 3)
        return most

    low, high = peak(2000), peak(20000)
    assert high < low + 2**19  # of 30 MB; offsets of strips are what grows
    assert high < 2**23


def test_rows_must_add_up(tmp_path):
    pixels, target = noise(3, np.uint8), tmp_path / "a.tif"
    target.write_bytes(b"precious")
    options = {"shape": pixels.shape, "dtype": np.uint8}
    for compression in ("none", "deflate"):
        for parts, message in (
            ([pixels[:-1]], rf"a\.tif: got {HEIGHT - 1} rows, wanted {HEIGHT}"),
            ([], rf"got 0 rows, wanted {HEIGHT}"),
            ([pixels, pixels[:1]], rf"got {HEIGHT + 1} rows or more, wanted {HEIGHT}"),
            ([pixels[..., :2]], r"got a strip of uint8 \(83, 40, 2\), wanted uint8 \[h, 40, 3\]"),
            ([pixels.astype(np.uint16)], "got a strip of uint16"),
        ):
            with pytest.raises(ValueError, match=message):
                write_strips(target, parts, compression=compression, **options)
    for wrong in ({"dtype": np.float64}, {"shape": (0, 4, 3)}, {"mode": "palette"}):
        with pytest.raises(ValueError, match=r"wanted uint8, uint16|strips are plain or cmyk"):
            write_strips(target, [pixels], **options | wrong)
    assert list(tmp_path.iterdir()) == [target] and target.read_bytes() == b"precious"


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    pixels, limits = noise(6, np.float32), resource.getrlimit(resource.RLIMIT_FSIZE)
    for compression in ("none", "deflate"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(OSError, match=r"a\.tif cannot be written \(.*\); make room"):
                write_strips(
                    tmp_path / "a.tif",
                    cut(pixels, 9),
                    shape=pixels.shape,
                    dtype=np.float32,
                    compression=compression,
                )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_by_rows_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(3, np.uint8), compression="zlib", rowsperstrip=HEIGHT)
    monkeypatch.setattr(opening, "DECODED_LIMIT", HEIGHT * WIDTH * 3 - 1)
    with pytest.raises(
        ValueError, match=rf"a\.tif is compressed {HEIGHT} rows at a time, .*smaller"
    ):
        open_strips(path).__enter__()
    tifffile.imwrite(path, noise(3, np.uint8))  # not compressed: any rows can be had
    np.testing.assert_array_equal(gather(path, 9), noise(3, np.uint8))
    tifffile.imwrite(path, noise(3, np.uint8), extratags=[(274, "H", 1, 6, True)])
    with pytest.raises(ValueError, match=r"a\.tif is not stored upright"):
        open_strips(path).__enter__()
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.tif is not a readable picture"):
        open_strips(path).__enter__()
    hole = noise(1, np.float32)
    hole[50, 3] = np.nan
    tifffile.imwrite(path, hole[..., 0])
    with open_strips(path) as opened:
        assert opened.rows(0, 50).shape == (50, WIDTH, 1)
        with pytest.raises(ValueError, match=r"a\.tif holds NaN or infinity"):
            opened.rows(40, 60)
        for top, bottom in ((-1, 5), (5, 5), (80, 84)):
            with pytest.raises(
                ValueError, match=rf"a\.tif: got rows {top} to {bottom}, wanted some"
            ):
                opened.rows(top, bottom)


@pytest.mark.parametrize("layout", [{}, {"compression": "zlib", "rowsperstrip": 8}], ids=str)
def test_damage_is_named(tmp_path, layout):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(3, np.uint8), photometric="rgb", **layout)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.tif is not a readable picture \(.+\); replace"):
        gather(path, 10)


def test_errors_of_others_are_not_the_files(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", noise(3, np.uint8))
    with pytest.raises(OSError, match="^my own$"), open_strips(tmp_path / "a.tif"):
        raise OSError("my own")
