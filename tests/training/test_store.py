"""The store of decoded pictures: filled once, found again, whole or absent."""

import os
import pickle

import numpy as np
import pytest

from jaxsr.training import store
from jaxsr.training.data import Source
from jaxsr.training.pictures import decode, scan
from jaxsr.training.store import Store, fill


def names(paths):
    return [os.path.basename(path) for path in paths]


@pytest.mark.parametrize("paired", [False, True])
def test_a_store_is_filled_once_and_gives_the_same_examples(folder, cache_dir, decoded, paired):
    pair = {"lr": folder, "scale": 1} if paired else {}
    pictures, _ = scan(folder, crop=8, channels=3, **pair)
    files = len(pictures.files)
    plain = [Source(pictures, seed=3)[n] for n in range(18)]
    decoded.clear()
    assert list(fill(pictures)) == [(i + 1, files) for i in range(files)]
    assert sorted(decoded) == sorted(names(pictures.files))
    again, _ = scan(folder, crop=8, channels=3, **pair)
    assert list(fill(again)) == []
    source = pickle.loads(pickle.dumps(Source(again, seed=3, store=Store(again))))
    np.testing.assert_equal([source[n] for n in range(18)], plain)
    assert len(decoded) == files
    assert [names([again.files[file]]) for file in source.store.bad] == [["broken.png"]] * (
        files // 6
    )
    assert [path.suffix for path in cache_dir.iterdir()] == [""]


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_a_store_keeps_grey_and_deep_pictures(tmp_path, cache_dir, paint, mode):
    pixels = [paint(tmp_path / "hr" / f"{i}.png", 20 + i, mode=mode) for i in range(3)]
    pictures, _ = scan(tmp_path / "hr", crop=8, channels=1)
    list(fill(pictures))
    for i in range(3):
        stored = Store(pictures).read(pictures, i)
        assert stored.dtype == pixels[i].dtype
        np.testing.assert_array_equal(stored[..., 0], pixels[i])


def test_a_store_keeps_bands_and_floats(tmp_path, cache_dir, paint_bands):
    for dtype in (np.uint16, np.float32):
        folder = tmp_path / np.dtype(dtype).name
        bands = [paint_bands(folder / f"{i}.npy", 9 + i, 20, dtype=dtype) for i in range(3)]
        pictures, _ = scan(folder, crop=8, channels=6)
        list(fill(pictures))
        for i in range(3):
            kept = Store(pictures).read(pictures, i)
            assert kept.dtype == dtype
            np.testing.assert_array_equal(kept, bands[i])


def test_a_changed_file_or_another_channel_count_is_another_store(folder, cache_dir):
    pictures, _ = scan(folder, crop=8, channels=3)
    list(fill(pictures))
    assert len(list(fill(scan(folder, crop=8, channels=1)[0]))) == 6
    os.utime(folder / "3.png", (1, 1))
    assert len(list(fill(pictures))) == 6
    os.utime(folder / "3.png", (2, 2))
    with pytest.raises(ValueError, match="is not filled"):
        Store(pictures)


def test_an_interrupted_fill_leaves_no_store_and_a_killed_one_is_swept_up(folder, cache_dir):
    pictures, _ = scan(folder, crop=8, channels=3)
    interrupted = fill(pictures)
    next(interrupted)
    (alive,) = cache_dir.iterdir()
    interrupted.close()
    assert list(cache_dir.iterdir()) == []
    for name in (alive.name, f"other.{alive.name}"):  # as after kill -9, and another run's
        (cache_dir / name).mkdir()
        (cache_dir / name / "pixels").write_bytes(b"half")
    os.utime(cache_dir / alive.name, (1, 1))
    assert len(list(fill(pictures))) == 6
    assert {path.name for path in cache_dir.glob("*.tmp")} == {f"other.{alive.name}"}
    assert Store(pictures).read(pictures, 0).shape == (24, 30, 3)


def test_two_runs_may_fill_a_store_at_once(folder, cache_dir):
    pictures, _ = scan(folder, crop=8, channels=3)
    one, other = fill(pictures), fill(pictures)
    next(one), next(other)
    assert len(list(one)) == len(list(other)) == 5
    np.testing.assert_array_equal(Store(pictures).read(pictures, 2), decode(pictures, 2))
    assert [path.suffix for path in cache_dir.iterdir()] == [""]


def test_a_store_too_large_for_the_disk_is_refused(folder, cache_dir, monkeypatch):
    pictures, _ = scan(folder, crop=8, channels=3)
    usage = store.shutil.disk_usage(folder)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match='data.cache = "disk" needs'):
        list(fill(pictures))
    assert list(cache_dir.iterdir()) == []
