"""The pictures that methods make of a test set, as files."""

from pathlib import Path

import numpy as np

from jaxsr.evaluation.evaluate import Example
from jaxsr.imaging import files


def save_picture(folder: Path, method: str, example: Example, sr: np.ndarray) -> Path:
    """Write SR [H, W, C] as FOLDER/METHOD/NAME, .png, or .npy where a PNG cannot hold it."""
    suffix = ".png" if sr.dtype != np.float32 and sr.shape[-1] in (1, 3) else ".npy"
    place = folder / _plain(method)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{_plain(str(Path(example.name).with_suffix('')))}{suffix}"
    files.write(path, files.Picture(sr))
    return path


def _plain(name: str) -> str:
    """A name that stands for itself in a folder; those of pictures and methods may be paths."""
    return name.strip("./\\").replace("/", "_").replace("\\", "_") or "_"
