"""EXIF blocks, read by Pillow and tifffile, and written by hand."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxsr.imaging import exif
from jaxsr.imaging.files import Metadata, Picture, read, write

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
