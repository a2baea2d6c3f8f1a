"""The pictures that methods make of a test set, as files."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from jaxsr.evaluation.evaluate import Example
from jaxsr.imaging import files


def make_saver(
    folder: Path, methods: Iterable[str], examples: Sequence[Example]
) -> Callable[[str, Example, np.ndarray], Path]:
    """A function (method, example, SR [H, W, C]) that writes FOLDER/METHOD/NAME and returns it.

    A .png, or a .npy where a PNG cannot hold it, called like the picture; those of one name but for
    the ending keep the ending before their own. Raises ValueError where two would be one file.
    """
    names = [example.name for example in examples]
    stems = [str(Path(name).with_suffix("")) for name in names]
    known = Counter(map(_plain, stems))
    wanted = [
        stem if known[_plain(stem)] == 1 else name for stem, name in zip(stems, names, strict=True)
    ]
    files_of = dict(zip(names, _apart(wanted), strict=True))
    methods = list(methods)
    folders = dict(zip(methods, _apart(methods), strict=True))

    def save(method: str, example: Example, sr: np.ndarray) -> Path:
        suffix = ".png" if sr.dtype != np.float32 and sr.shape[-1] in (1, 3) else ".npy"
        path = folder / folders[method] / (files_of[example.name] + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, files.Picture(sr))
        return path

    return save


def _apart(names: Sequence[str]) -> list[str]:
    plain = [_plain(name) for name in names]
    for name, made in zip(names, plain, strict=True):
        if plain.count(made) > 1:
            raise ValueError(f"--save: {name} would share {made} with another; rename one of them")
    return plain


def _plain(name: str) -> str:
    """A name that stands for itself in a folder; those of pictures and methods may be paths."""
    return name.strip("./\\").replace("/", "_").replace("\\", "_") or "_"
