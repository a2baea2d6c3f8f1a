"""Pictures of noise for the tests of training data."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxsr.imaging.files import Picture, write
from jaxsr.training import store
from jaxsr.training.pictures import decode


@pytest.fixture(scope="session")
def paint():
    """A function that writes a picture of noise, whose every crop differs from every other."""
    return _paint


@pytest.fixture(scope="session")
def paint_bands():
    """A function that writes six bands of noise of a dtype: floats far beyond [0, 1]."""
    return _paint_bands


@pytest.fixture
def cache_dir(tmp_path, monkeypatch):
    """The folder that stores are filled into, empty."""
    monkeypatch.setattr(store.platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    return tmp_path / "cache" / "data"


@pytest.fixture(scope="session")
def truncate():
    """A function that leaves a picture its header and the first half of its pixels."""
    return _truncate


def _paint(path, height=24, width=30, *, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([*path.name.encode()])
    shape = (height, width, len(mode)) if mode in ("RGB", "RGBA") else (height, width)
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = noise.integers(0, np.iinfo(dtype).max, shape, dtype)
    Image.fromarray(pixels).save(path)
    return pixels


def _paint_bands(path, height, width, *, dtype):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([*path.name.encode()])
    bands = noise.normal(0, 300, (height, width, 6)).astype(np.float32)
    bands = bands if dtype == np.float32 else (bands + 30000).astype(dtype)
    write(path, Picture(bands))
    return bands


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def folder(tmp_path):
    """Five whole pictures and a truncated one."""
    for i in range(5):
        _paint(tmp_path / "hr" / f"{i}.png", 24 + i, 30 - i)
    _paint(tmp_path / "hr" / "broken.png", 60, 50)
    _truncate(tmp_path / "hr" / "broken.png")
    return tmp_path / "hr"


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files decoded so far, by the source or into the store."""
    log = []

    def counted(pictures, file):
        log.append(os.path.basename(pictures.files[file]))
        return decode(pictures, file)

    monkeypatch.setattr("jaxsr.training.store.decode", counted)
    monkeypatch.setattr("jaxsr.training.data.decode", counted)
    return log
