"""Where the outputs of a job go: their folders, names and shares."""

import glob
import hashlib
import os
import string
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsr.imaging import files
from jaxsr.imaging.find import Found, find
from jaxsr.inference.manifest import made_here, manifest_path


class Item(NamedTuple):
    """One picture of a job; `name` is that of the output in its folder, with slashes."""

    source: Path
    target: Path
    name: str


class Plan(NamedTuple):
    """The pictures of a job, and the file that records them: None where the output is one file.

    `deeper` counts the pictures in folders below those named, which `recursive` would take too.
    """

    items: list[Item]
    manifest: Path | None = None
    deeper: int = 0


def plan(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    name: str = "{stem}",
    format: str | None = None,
    scale: float | None = None,
    recursive: bool = False,
) -> Plan:
    """Where each input goes: `output` is a file for one picture, otherwise a folder.

    Inputs are what `find` takes; of folders only the pictures right in them, with `recursive` those
    below too, which keep their structure. A glob reaches as deep as it says, and takes the folders
    that it matches whole. Pictures that an earlier job made here of others among the inputs are
    left out.

    `name` is the pattern of an output's name without extension: {stem} and {ext} are those of the
    input, {scale} is `scale`. `format` is an extension other than the input's.

    Raises ValueError for a missing input, a folder without pictures, an unknown pattern or format,
    two inputs with one output, an output that would overwrite an input, and one that can be neither
    file nor folder.
    """
    extension = _extension(format)
    _check_pattern(name, scale)
    found, deeper = _find(inputs, recursive=recursive)
    one = len(inputs) == len(found) == 1 and not Path(inputs[0]).is_dir()
    if one and output.suffix and not output.is_dir():
        _check_file(output, extension, name)
        job = Plan([Item(found[0].path, output, output.name)], None, deeper)
    else:
        _check_folder(output)
        ratio = None if scale is None else f"{scale:g}"
        items = [
            _item(each, output, name, extension, ratio) for each in _not_made_here(found, output)
        ]
        job = Plan(items, manifest_path(output), deeper)
    _check(job.items)
    return job


def _item(found: Found, folder: Path, name: str, extension: str | None, scale: str | None) -> Item:
    stem, own = os.path.splitext(found.path.name)
    new = name.format(stem=stem, ext=own[1:], scale=scale) + (extension or own)
    inside = (Path(found.name).parent / new).as_posix()
    return Item(found.path, folder / inside, inside)


def shard(job: Plan, i: int, n: int) -> Plan:
    """The i-th of n shares of a job, counted from 1, which records itself in a file of its own.

    An output's name alone decides its share, so machines that see the same folder need not speak to
    each other, and a picture that is added moves no other. ValueError unless 1 <= i <= n.
    """
    if not 1 <= i <= n:
        raise ValueError(f"shard {i}/{n}: the share must lie in 1 to {n}; give 1/{max(n, 1)}")
    if job.manifest is None:
        raise ValueError("one picture cannot be split into shares; leave the shard out")
    items = [item for item in job.items if _share(item.name, n) == i - 1]
    return Plan(items, manifest_path(job.manifest.parent, shard=(i, n)), job.deeper)


def _share(name: str, n: int) -> int:
    digest = hashlib.sha256(os.fsencode(name)).digest()
    return int.from_bytes(digest[:8]) % n


def _find(inputs: Sequence[str | Path], *, recursive: bool) -> tuple[list[Found], int]:
    """The pictures to take, none twice, and the number of those that lie too deep."""
    taken: dict[Path, Found] = {}
    deep: set[Path] = set()
    for source in inputs:
        # Names are relative to the folder that was named, or to a glob's literal part.
        is_glob = glob.has_magic(str(source)) and not os.path.exists(os.path.expanduser(source))
        as_deep_as_asked = recursive or is_glob
        for found in find(source):
            if as_deep_as_asked or "/" not in found.name:
                taken.setdefault(found.path.resolve(), found)
            else:
                deep.add(found.path.resolve())
    deeper = len(deep - taken.keys())
    if not taken:
        raise ValueError(
            f"{inputs[0]} holds no picture itself, but {deeper} in folders below it; take them too "
            "with --recursive"
        )
    return list(taken.values()), deeper


def _not_made_here(found: list[Found], output: Path) -> list[Found]:
    """Leave out what an earlier job wrote to `output` from one of the other pictures."""
    sources = {each.path.resolve() for each in found}
    made = {
        (output / name).resolve() for name, source in made_here(output) if Path(source) in sources
    }
    return [each for each in found if each.path.resolve() not in made]


def _extension(format: str | None) -> str | None:
    if format is None:
        return None
    extension = f".{format.lower().removeprefix('.')}"
    if extension not in files.EXTENSIONS:
        known = ", ".join(each[1:] for each in files.EXTENSIONS)
        raise ValueError(f"format: got {format!r}, wanted one of {known}")
    return extension


def _check_pattern(name: str, scale: float | None) -> None:
    known = ("stem", "ext") if scale is None else ("stem", "ext", "scale")
    wanted = f"wanted a file name with {', '.join(f'{{{field}}}' for field in known)} in it"
    try:
        parts = list(string.Formatter().parse(name))
    except ValueError as error:
        raise ValueError(f"name: got {name!r} ({error}), {wanted}") from None
    for _, field, spec, conversion in parts:
        if field is not None and (field not in known or spec or conversion):
            raise ValueError(f"name: got {name!r} with the unknown field {field!r}, {wanted}")
    if not name or name.startswith(".") or set(name) & {"/", "\\", "\0"}:
        raise ValueError(f"name: got {name!r}, {wanted}, no path and not hidden")


def _check_file(output: Path, extension: str | None, name: str) -> None:
    """Refuse a single output that contradicts itself."""
    if output.suffix.lower() not in files.EXTENSIONS:
        raise ValueError(
            f"{output} has no known extension; use one of {', '.join(files.EXTENSIONS)}, "
            "or name a folder that exists"
        )
    if extension and output.suffix.lower() != extension:
        raise ValueError(f"{output} is not named {extension}, the format asked for; name it so")
    if name != "{stem}":
        raise ValueError(f"{output} is a whole name and leaves no place for {name!r}; drop one")


def _check_folder(output: Path) -> None:
    if output.is_file() or output.suffix.lower() in files.EXTENSIONS and not output.is_dir():
        raise ValueError(
            f"{output} is a file or named like one, while the input is not one picture; name a "
            "folder for the upscaled pictures"
        )


def _check(items: Sequence[Item]) -> None:
    # Not by name: on some file systems A.PNG and a.png are one file.
    sources = {_identity(item.source) for item in items}
    targets: dict[Path, Path] = {}
    for source, target, _ in items:
        if target.exists() and _identity(target) in sources:
            raise ValueError(f"{target} would overwrite an input; name another output")
        resolved = target.resolve()
        if resolved in targets:
            raise ValueError(
                f"{source} and {targets[resolved]} would both become {target}; "
                "upscale them into different folders"
            )
        targets[resolved] = source


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
