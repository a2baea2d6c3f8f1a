"""Where pictures lie: files, folders, globs, and the same inside an installed package."""

import glob
import importlib.util
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsr.imaging import files

Sources = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Found(NamedTuple):
    """A picture file, the source that named it, and its name there without the suffix."""

    source: int
    name: str
    path: Path


def find_pictures(source: Sources) -> list[Path]:
    """List the pictures of one source or of several, each source sorted, no file twice.

    A source is a file, a folder (recursive), a glob, or one of these inside an installed package:
    `package:skimage/data/*.png`. ValueError where it is missing or holds no picture.
    """
    return [found.path for found in find(source)]


def find(source: Sources) -> list[Found]:
    """List what `find_pictures` does, each with the source that named it and its name there."""
    seen, found = set(), []
    for index, one in enumerate(listed(source)):
        folder, paths = _search(os.fspath(one))
        if not paths:
            raise ValueError(
                f"{one} holds no picture; name a folder of PNG, JPEG, TIFF, .npy or the like"
            )
        named = sorted((path.relative_to(folder).as_posix(), path) for path in paths)
        for name, path in named:
            if path.resolve() not in seen:
                seen.add(path.resolve())
                found.append(Found(index, os.path.splitext(name)[0], path))
    return found


def pair(
    found: Sequence[Found], source: Sources, lr: Sources, *, scale: int
) -> tuple[list[Path | None], list[Path]]:
    """Return the LR picture of each HR one `found` in `source`, and the LR ones that have none.

    `lr` has as many sources, and a picture the same name in both but for its ending: that of LR may
    have the scale behind it, as in DIV2K (`0801`, `0801x4`), or both may say what they are, as in
    RealSR (`a_HR`, `a_LR4`). Raises ValueError where two LR pictures have one name.
    """
    if len(listed(source)) != len(listed(lr)):
        raise ValueError(
            f"{len(listed(source))} sources of HR pictures cannot be paired with "
            f"{len(listed(lr))} of LR ones; give one for each, in the same order"
        )
    left: dict[tuple[int, str], Path] = {}
    for item in find(lr):
        if other := left.get((item.source, item.name)):
            raise ValueError(f"{item.path} and {other} have one name; remove one of them")
        left[item.source, item.name] = item.path
    partners = []
    for item in found:
        names = [item.name, f"{item.name}x{scale}"]
        if item.name.endswith("_HR"):
            names += [f"{item.name[:-2]}LR{scale}", f"{item.name[:-2]}LR"]
        keys = [(item.source, name) for name in names]
        partners.append(next((left.pop(key) for key in keys if key in left), None))
    return partners, list(left.values())


def other_files(source: Sources, *, recursive: bool = True) -> int:
    """Count the files in the folders of a source that `find` passes by, the hidden not."""
    folders = (Path(os.path.expanduser(one)) for one in listed(source))
    return sum(
        path.is_file()
        and path.suffix.lower() not in files.EXTENSIONS
        and not path.name.startswith(".")
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("**/*" if recursive else "*")
    )


def listed(source: Sources) -> Sequence[str | os.PathLike[str]]:
    """A single source as a sequence of one."""
    return [source] if isinstance(source, str | os.PathLike) else source


def _search(source: str) -> tuple[Path, list[Path]]:
    """Return the folder that names are relative to, and the pictures of one source."""
    text = _in_package(source) if source.startswith("package:") else os.path.expanduser(source)
    path = Path(text)
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        return path, files.list_pictures(path)
    if not glob.has_magic(text):
        raise ValueError(f"{source} is neither a file nor a folder; correct the path")
    literal = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    return Path(*literal), list(_expand(glob.glob(text, recursive=True)))


def _expand(matches: list[str]) -> Iterator[Path]:
    """Yield the files that a glob matched, and the pictures in the folders that it matched."""
    for match in map(Path, matches):
        if match.is_dir():
            yield from files.list_pictures(match)
        elif match.suffix.lower() in files.EXTENSIONS:
            yield match


def _in_package(source: str) -> str:
    """Return the path that `package:NAME/PATH` stands for, without importing the package."""
    package, _, inside = source.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        remedy = 'pip install ".[demo]"' if package == "skimage" else f"install {package}"
        raise ValueError(f"{source} needs the package {package!r}, which is absent; {remedy}")
    return os.path.join(spec.submodule_search_locations[0], inside)
