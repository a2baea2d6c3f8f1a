"""Crops of pictures, and the streams of batches that come of them."""

import pickle

import jax
import numpy as np
import pytest
from PIL import Image
from test_draws import drawn_slowly

from jaxsr.training.data import Source, batches
from jaxsr.training.draws import draw
from jaxsr.training.pictures import decode, scan
from jaxsr.training.store import Store, fill


def collected(source, count, **options):
    """The first `count` batches; the iterator is closed."""
    options = {"position": 0, "batch_size": 4, "workers": 0} | options
    iterator = batches(source, **options)
    try:
        return [jax.tree.map(np.array, next(iterator)) for _ in range(count)]
    finally:
        iterator.close()


def test_an_example_is_the_drawn_crop_of_the_decoded_picture(folder):
    (folder / "broken.png").unlink()
    pictures, _ = scan(folder, crop=8, channels=3)
    source = Source(pictures, seed=5)
    n = np.arange(1020, 1030, dtype=np.uint32)
    heights, widths = pictures.sizes.T
    table = np.stack(draw(5, n, heights=heights, widths=widths, crop=8), -1).astype(int)
    assert len({tuple(row[3:]) for row in table}) > 3
    for number, (picture, y, x, flip, turn) in zip(n, table, strict=True):
        with Image.open(pictures.paths[picture]) as image:
            image = image.crop((x, y, x + 8, y + 8))
        if flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        example = source[number]
        np.testing.assert_array_equal(example["hr"], np.asarray(image.rotate(90 * turn)))
        assert example["number"] == number and example["number"].dtype == np.uint32
        assert example["bad"] == -1 and example["bad"].dtype == np.int32
        assert example["hr"].base is None  # not a view that keeps the whole picture


def test_paired_crops_are_aligned(tmp_path, paint):
    for i in range(3):
        pixels = paint(tmp_path / "hr" / "sub" / f"{i}.png", 24 + 4 * i, 32)
        (tmp_path / "lr" / "sub").mkdir(parents=True, exist_ok=True)
        suffix = "x2" if i else ""  # BasicSR's names beside plain ones
        Image.fromarray(pixels[::2, ::2]).save(
            tmp_path / "lr" / "sub" / f"{i}{suffix}.webp", lossless=True
        )
    pictures, dropped = scan(tmp_path / "hr", crop=8, channels=3, lr=tmp_path / "lr", scale=2)
    assert not dropped and len(pictures.paths) == 3
    seen = set()
    for n in range(48):
        example = Source(pictures, seed=1)[n]
        y, x = next(
            (y, x) for y in (0, 1) for x in (0, 1)
            if (example["hr"][y::2, x::2] == example["lr"]).all()
        )  # fmt: skip
        seen.add((y, x))  # a mirrored or turned crop keeps its first sample at another corner
        assert example["lr"].shape == (4, 4, 3)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_broken_picture_gives_its_place_to_the_next_whole_one(folder):
    pictures, dropped = scan(folder, crop=8, channels=3)
    assert not dropped  # its header is whole
    broken = pictures.paths.index(str(folder / "broken.png"))
    source = Source(pictures, seed=0)
    heights, widths = pictures.sizes.T
    first = decode(pictures, (broken + 1) % 6)
    for n in range(12):
        picture = draw(0, n, heights=heights, widths=widths, crop=8)[0]
        example = source[n]
        assert example["bad"] == (broken if picture == broken else -1)
        if picture == broken:
            _, y, x, flip, turn = drawn_slowly(0, n, [(24, 30)] * 6, 8)  # the first one's size
            part = first[y : y + 8, x : x + 8]
            expected = np.rot90(part[:, ::-1] if flip else part, turn)
            np.testing.assert_array_equal(example["hr"], expected)
    assert source.fault(broken).startswith("is not a readable picture")


def test_a_folder_of_broken_pictures_is_an_error(folder, truncate):
    for path in folder.iterdir():
        truncate(path)
    source = Source(scan(folder, crop=8, channels=3)[0], seed=0)
    with pytest.raises(ValueError, match="none of the 6 training pictures can be decoded"):
        source[0]
    with pytest.raises(ValueError, match="none of the 6 training pictures can be decoded"):
        collected(source, 1)


@pytest.mark.parametrize("extension, dtype", [(".npy", np.uint16), (".tif", np.float32)])
@pytest.mark.parametrize("stored", [False, True])
def test_six_bands_reach_the_batches_bit_by_bit(
    tmp_path, paint_bands, cache_dir, extension, dtype, stored
):
    ranges = ((-400.0, 900.0),)
    bands = [
        paint_bands(tmp_path / "hr" / f"{i}{extension}", 12 + i, 20, dtype=dtype) for i in range(3)
    ]
    pictures, dropped = scan(tmp_path / "hr", crop=8, channels=6, ranges=ranges)
    assert not dropped and pictures.dtype == np.dtype(dtype).name
    list(fill(pictures) if stored else ())
    source = Source(pictures, seed=2, store=Store(pictures) if stored else None)
    (batch,) = collected(source, 1, batch_size=12)
    assert batch["hr"].shape == (12, 8, 8, 6) and batch["hr"].dtype == dtype
    assert dtype != np.float32 or batch["hr"].min() < 0 and batch["hr"].max() > 1
    heights, widths = pictures.sizes.T
    places = np.stack(
        draw(2, np.arange(12, dtype=np.uint32), heights=heights, widths=widths, crop=8)
    )
    for crop, (picture, y, x, flip, turn) in zip(batch["hr"], places.T.tolist(), strict=True):
        part = bands[picture][y : y + 8, x : x + 8]
        np.testing.assert_array_equal(crop, np.rot90(part[:, ::-1] if flip else part, turn))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turn", [False, True])
def test_crops_are_mirrored_and_turned_only_where_that_is_wanted(folder, flip, turn):
    source = Source(scan(folder / "1.png", crop=8, channels=3, flip=flip, turn=turn)[0], seed=4)
    with Image.open(folder / "1.png") as image:
        pixels = np.asarray(image)
    for n in range(24):
        _, y, x, flipped, turned = drawn_slowly(4, n, [pixels.shape[:2]], 8)
        part = pixels[y : y + 8, x : x + 8]
        part = part[:, ::-1] if flip and flipped else part
        np.testing.assert_array_equal(source[n]["hr"], np.rot90(part, turned * turn))


def test_floats_outside_0_and_1_need_ranges(tmp_path, paint_bands):
    paint_bands(tmp_path / "hr" / "a.npy", 8, 8, dtype=np.float32)
    source = Source(scan(tmp_path / "hr", crop=8, channels=6)[0], seed=0)
    with pytest.raises(ValueError, match=r"hr/a.npy: pixels run from -.* data.ranges = \[\[-"):
        source[0]


def test_a_stream_does_not_depend_on_workers_hosts_or_where_it_was_resumed(folder):
    source = Source(scan(folder, crop=8, channels=3)[0], seed=3)
    whole = collected(source, 6)
    np.testing.assert_array_equal(np.concatenate([b["number"] for b in whole]), np.arange(24))
    np.testing.assert_equal(collected(source, 4, position=8), whole[2:])
    np.testing.assert_equal(collected(source, 6, workers=2), whole)
    hosts = [collected(source, 6, process_index=i, process_count=2) for i in range(2)]
    for step in range(6):
        union = jax.tree.map(lambda a, b: np.concatenate([a, b]), *(host[step] for host in hosts))
        order = np.argsort(union["number"])
        np.testing.assert_equal(
            [jax.tree.map(lambda x, order=order: x[order], union)], [whole[step]]
        )


def test_batches_that_do_not_divide_over_processes_are_refused(folder):
    source = Source(scan(folder, crop=8, channels=3)[0], seed=3)
    with pytest.raises(ValueError, match="train.batch_size 4 does not divide over 3 processes"):
        batches(source, position=0, batch_size=4, workers=0, process_count=3)


def test_a_source_pickles_without_the_pictures_it_has_read(folder):
    source = Source(scan(folder, crop=8, channels=3)[0], seed=3, memory=True)
    examples = [source[n] for n in range(12)]
    packed = pickle.dumps(source)
    assert len(packed) < 2000
    np.testing.assert_equal([pickle.loads(packed)[n] for n in range(12)], examples)


def test_memory_decodes_each_picture_once(folder, decoded):
    pictures, _ = scan(folder, crop=8, channels=3)
    plain = [Source(pictures, seed=3)[n] for n in range(18)]
    decoded.clear()
    source = Source(pictures, seed=3, memory=True)
    np.testing.assert_equal([source[n] for n in range(18)], plain)
    assert sorted(decoded) == sorted(path.name for path in folder.iterdir())
