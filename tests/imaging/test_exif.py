"""EXIF blocks, read by Pillow and tifffile, and written by hand."""

import io
import struct
import warnings
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jaxsr.imaging import exif
from jaxsr.imaging.files import Metadata, Picture, header, read, write

ARTIST = "Zoë".encode()


def block(order="<"):
    """IFD0: orientation, artist, Exif; Exif: width, maker's note; IFD1: a thumbnail."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    first = struct.pack(order + "H", 3)
    first += struct.pack(order + "HHIHH", 274, 3, 1, 6, 0)
    first += struct.pack(order + "HHI4s", 315, 2, 5, struct.pack(order + "I", 90))
    first += struct.pack(order + "HHII", 34665, 4, 1, 50) + struct.pack(order + "I", 100)
    detail = struct.pack(order + "H", 2)
    detail += struct.pack(order + "HHII", 37500, 7, 4, 0x01020304)
    detail += struct.pack(order + "HHII", 40962, 4, 1, 640) + struct.pack(order + "I", 0)
    thumbnail = struct.pack(order + "H", 1) + struct.pack(order + "HHII", 513, 4, 1, 0) + bytes(4)
    whole = (head + first).ljust(50, b"\0") + detail
    return b"Exif\0\0" + whole.ljust(90, b"\0") + (ARTIST + b"\0").ljust(10, b"\0") + thumbnail


@pytest.mark.parametrize("order", "<>")
def test_cleaning_leaves_other_bytes_where_they_are(order):
    whole, cleaned = block(order), exif.clean(block(order))
    assert cleaned is not None and len(cleaned) == len(whole)
    assert cleaned[6 + 90 :] == whole[6 + 90 :]
    tags = Image.Exif()
    tags.load(cleaned)
    assert set(tags) == {315, 34665} and tags[315].encode("latin-1") == ARTIST
    assert set(tags.get_ifd(34665)) == {37500} and not tags.get_ifd(0x0201)
    (count,) = struct.unpack_from(order + "H", cleaned, 6 + 8)
    assert cleaned[6 + 10 + 12 * count :][:4] == bytes(4)  # no second directory
    assert exif.clean(cleaned) == cleaned


def test_nothing_is_left_of_an_orientation_alone():
    tags = Image.Exif()
    tags[274] = 3
    assert exif.clean(tags.tobytes()) is None and exif.clean(None) is None


def of_entries(*entries, behind=b""):
    """A little-endian block of one directory, followed by other bytes."""
    packed = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    first = struct.pack("<H", len(entries)) + packed + bytes(4)
    return b"Exif\0\0II*\0\x08\0\0\0" + first + behind


def spoilt(content, old):
    """Puts a block into a JPEG in the place of another."""
    with io.BytesIO() as file:
        Image.fromarray(np.full((6, 9, 3), 99, np.uint8)).save(file, "JPEG", exif=old)
        return file.getvalue().replace(
            struct.pack(">H", len(old) + 2) + old, struct.pack(">H", len(content) + 2) + content
        )


ORIENTED = (274, 3, 1, b"\6\0\0\0")


@pytest.mark.parametrize(
    "damaged, turned",
    [
        (b"Exif\0\0", False),
        (b"Exif\0\0junk and more of it", False),
        (b"Exif\0\0II*\0", False),
        (block()[:16], False),
        (block()[:40], False),  # within the first directory
        (b"Exif\0\0II*\0\xff\xff\xff\xff" + block()[14:], False),
        (of_entries(ORIENTED, (34665, 4, 1, b"\xff\xff\xff\x7f")), True),
        (of_entries(ORIENTED, (34853, 4, 1, struct.pack("<I", 40))), True),
        (of_entries(ORIENTED, (315, 2, 900, struct.pack("<I", 38))), True),
        (of_entries(ORIENTED, (282, 2, 4, b"abc\0"), (283, 2, 4, b"abc\0")), True),
        (of_entries(ORIENTED)[:-4], True),  # without a pointer to the next directory
    ],
)
def test_a_damaged_block_does_not_cost_the_picture(tmp_path, damaged, turned):
    path = tmp_path / "a.jpg"
    for kept in (spoilt(damaged, block()), spoilt(damaged, block()).replace(b"JFIF", b"JFXX")):
        path.write_bytes(kept)
        picture = read(path)
        assert picture.pixels.shape == ((9, 6, 3) if turned else (6, 9, 3))
        assert header(path)[:2] == picture.pixels.shape[:2] and picture.metadata.dpi is None
        for name in ("b.jpg", "b.png", "b.webp", "b.tif"):
            write(tmp_path / name, picture)
            assert read(tmp_path / name).pixels.shape == picture.pixels.shape


def test_the_turn_in_xmp_counts_beside_a_damaged_block(tmp_path):
    stated = b'http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation="6"/>'
    segment = b"\xff\xe1" + struct.pack(">H", len(stated) + 2) + stated
    content = spoilt(of_entries((315, 2, 900, b"\x20\0\0\0")), block())
    jfif = 2 + 2 + struct.unpack(">H", content[4:6])[0]
    path = tmp_path / "a.jpg"
    path.write_bytes(content[:2] + content[jfif:-2] + content[-2:])  # JFIF would state a resolution
    assert read(path).pixels.shape == (6, 9, 3)
    path.write_bytes(content[:2] + segment + content[jfif:])
    assert header(path)[:2] == (9, 6) and read(path).pixels.shape == (9, 6, 3)


@pytest.mark.parametrize("digits", [(b"Exif\0\0" + bytes(3)).hex(), "no digits", "4"])
def test_a_damaged_block_in_the_text_of_a_png(tmp_path, digits):
    path, text = tmp_path / "a.png", PngInfo()
    pixels = Image.fromarray(np.full((6, 9, 3), 99, np.uint8))
    text.add_text("Raw profile type exif", f"\nexif\n  99\n{digits}\n", zip=True)
    pixels.save(path, pnginfo=text)
    assert read(path).pixels.shape == (6, 9, 3) and read(path).metadata.exif is None
    text = PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n  99\n{block().hex()}\n", zip=True)
    pixels.save(path, pnginfo=text)
    assert read(path).pixels.shape == (9, 6, 3)
    assert read(path).metadata.exif == exif.clean(block())


def test_whatever_bytes_are_hurt_the_pixels_stay(tmp_path):
    rng, whole = np.random.default_rng(0), block()
    path = tmp_path / "a.jpg"
    for _ in range(300):
        content = bytearray(whole)
        for position in rng.integers(6, len(whole) - 20, 3):
            content[position] = rng.choice([0, 1, 2, 5, 7, 11, 12, 255, rng.integers(256)])
        path.write_bytes(spoilt(bytes(content), whole))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of values that overlap
            picture = read(path)
            assert sorted(picture.pixels.shape) == [3, 6, 9]
            for name in ("b.tif", "b.webp", "b.png"):
                write(tmp_path / name, picture)


def test_tags_that_cannot_be_written_are_left_out(tmp_path):
    """Of a wrong kind for their name, in the first directory and in those below it."""
    number = struct.pack("<f", 1.5)
    detail = struct.pack("<H", 2) + struct.pack("<HHI4s", 36864, 11, 1, number)
    detail += struct.pack("<HHI4s", 40960, 7, 4, b"0100") + bytes(4)
    entries = [(305, 11, 1, number), (306, 3, 1, b"\1\0\0\0"), (315, 2, 4, b"Zoe\0")]
    start = struct.pack("<I", 8 + 2 + 12 * 4 + 4)
    whole = of_entries(*entries, (34665, 4, 1, start), behind=detail)
    path = tmp_path / "a.jpg"
    path.write_bytes(spoilt(whole, block()))
    picture = replace(read(path), metadata=replace(read(path).metadata, dpi=(300.0, 300.0)))
    assert picture.metadata.exif == whole
    for name in ("b.tif", "b.webp"):
        write(tmp_path / name, picture)
        found = Image.Exif()
        found.load(read(tmp_path / name).metadata.exif or b"")
        assert found[315] == "Zoe" and 305 not in found, name
        assert found.get_ifd(34665) == {40960: b"0100"}


def test_a_turned_picture_may_have_odd_tags(tmp_path):
    whole = of_entries(ORIENTED, (305, 11, 1, struct.pack("<f", 1.5)))
    (tmp_path / "a.jpg").write_bytes(spoilt(whole, block()))
    assert read(tmp_path / "a.jpg").pixels.shape == (9, 6, 3)


def test_a_block_is_carried_byte_for_byte(tmp_path):
    cleaned = exif.clean(block())
    for name in ("a.png", "a.jpg", "a.webp"):
        write(
            tmp_path / name, Picture(np.zeros((4, 5, 3), np.uint8), metadata=Metadata(exif=cleaned))
        )
        assert read(tmp_path / name).metadata.exif == cleaned


@pytest.mark.parametrize("big", [False, True])
def test_tags_are_added_to_the_pages_of_a_tiff(tmp_path, big):
    path, pages = tmp_path / "a.tif", np.arange(3 * 6 * 7, dtype=np.uint8).reshape(3, 6, 7)
    with tifffile.TiffWriter(path, bigtiff=big) as file:
        for page in pages:
            tags = [(272, 2, 5, "ours", True)]  # which the block too may name
            file.write(page, photometric="minisblack", metadata=None, extratags=tags)
    named = Image.Exif()
    named.load(exif.clean(block()) or b"")
    named[272] = "theirs"
    exif.append(path, [exif.clean(block()), None, exif.clean(block(">"))])
    exif.append(path, [named.tobytes()])
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 3
        for index, page in enumerate(file.pages):
            np.testing.assert_array_equal(page.asarray(), pages[index])
            assert page.tags.valueof("Model") == "ours"
            assert (page.tags.valueof("Artist") or "").encode() == (b"" if index == 1 else ARTIST)
            detail = page.tags.valueof("ExifTag")
            assert (detail is None) == (index == 1)
            if detail:
                assert set(detail) == {"MakerNote"}
            codes = [tag.code for tag in page.tags]
            assert codes == sorted(codes)


def test_only_what_describes_is_taken_from_a_tiff(tmp_path):
    """Where pixels lie on earth is untrue of enlarged ones, as is a shape in the description."""
    path = tmp_path / "a.tif"
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (315, 2, 4, ARTIST[:3] + b"\0", True)]
    for description, kept in (('{"shape": [4, 5]}', False), ("a dune", True)):
        tifffile.imwrite(
            path,
            np.zeros((4, 5), np.uint16),
            metadata=None,
            description=description,
            extratags=tags,
        )
        found = Image.Exif()
        found.load(read(path).metadata.exif or b"")
        assert set(found) == ({315, 270, 305} if kept else {315, 305})


def test_the_resolution_is_added_where_it_is_not_stated():
    tags = Image.Exif()
    tags.load(exif.with_resolution(exif.clean(block()), (300.0, 150.0)) or b"")
    assert (tags[282], tags[283], tags[296], tags[315].encode("latin-1")) == (300, 150, 2, ARTIST)
    stated = tags.tobytes()
    assert exif.with_resolution(stated, (1.0, 1.0)) == stated
    assert exif.with_resolution(None, None) is None
    tags[296] = 3
    assert exif.resolution(tags) == (762, 381)  # dots per centimetre
    tags[296] = 1
    assert exif.resolution(tags) is None
