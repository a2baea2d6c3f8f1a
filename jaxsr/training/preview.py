"""What the networks of a run see of pictures: its first examples, and what was drawn for each."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import msgspec
import numpy as np

from jaxsr.imaging import bsrgan, files, passes
from jaxsr.imaging.bands import from_unit
from jaxsr.imaging.degrade import Chain, Spec, degradation_fields, draw_corner
from jaxsr.imaging.files import replacing
from jaxsr.inference.sample import tile
from jaxsr.training.config import degradation, generator, load_config
from jaxsr.training.data import Source
from jaxsr.training.draws import draw_codings
from jaxsr.training.log import picture_grid, shown
from jaxsr.training.pictures import Pictures
from jaxsr.training.schema import Config
from jaxsr.training.state import root_key
from jaxsr.training.step import example_keys, make_pairs, stream

Table = dict[str, Any]

# What numbers stand for in the draws of a kind.
_NAMES = {
    "realesrgan": passes.NAMES,
    "bsrgan": {
        "method": passes.NAMES["method"],
        "order": bsrgan.OPS,
        "noise": bsrgan.NOISES,
    },
}
_LEAST = 96  # pixels of a side of what is shown in the grid
_GAP = 8  # pixels between the pairs of the grid


class Seen(NamedTuple):
    """One example: LR and HR crop [H, W, C], float32 in [0, 1], and what made them."""

    lr: np.ndarray
    hr: np.ndarray
    table: Table


def preview_config(
    path: str | Path,
    inputs: Sequence[str],
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
) -> Config:
    """Read a config as `load_config` does, with the pictures given in place of `data.train`.

    ValueError where it has no degradation to be seen.
    """
    given = ["data.train=given"] if seed is None else ["data.train=given", f"train.seed={seed}"]
    config = load_config(path, overrides=[*overrides, *given])
    if getattr(generator(config), "latent", 0):
        raise ValueError(f"{path}: its generator makes pictures of noise, so none is degraded")
    if config.data.lr:
        raise ValueError(
            f"{path}: data.lr names LR pictures, which are taken as they are; look at those"
        )
    data = msgspec.structs.replace(config.data, train=tuple(inputs))
    return msgspec.structs.replace(config, data=data)


def preview(config: Config, pictures: Pictures, *, count: int) -> Iterator[Seen]:
    """Make the first `count` examples of a run, as its step makes them.

    A table has the `number` of the example, its `picture` and the place of the `crop` there; of a
    degradation of larger crops the place of the `cut` in what became of them; what `data.codecs`
    did; and the draws of the `degradation`, numbers replaced by what they stand for.
    """
    spec, root = degradation(config), root_key(config.train.seed)
    source = Source(pictures, seed=config.train.seed, codecs=config.data.codecs)
    make = jax.jit(partial(_make, config=config))
    for number in range(count):
        example = source[number]
        bad = int(example.pop("bad"))
        batch = {name: value[None] for name, value in example.items()}
        lr, hr, draws, corner = jax.device_get(make(root, batch))
        table = {"number": number, **_place(source, number)}
        if bad >= 0:
            table["unreadable"] = pictures.paths[bad]  # for which this picture stands in
        if corner:
            y, x = (int(n) * spec.scale for n in corner)
            table["cut"] = {"y": y, "x": x, "size": config.data.crop}
        if config.data.codecs:
            table["codecs"] = _codings(config, number)
        yield Seen(lr, hr, {**table, "degradation": named(draws, spec)})


def _make(key: jax.Array, batch: dict[str, jax.Array], *, config: Config) -> Any:
    """LR, HR, the draws, and where both were cut in pixels of LR, of a batch of one."""
    spec = degradation(config)
    keys = stream(example_keys(key, batch["number"]), "degrade")
    lr, _, hr = make_pairs(keys, batch, config=config)
    corner = ()
    if spec.crop:
        side = spec.crop // spec.scale
        corner = draw_corner(keys[0], (side, side), size=config.data.crop // spec.scale)
    return lr[0], hr[0], spec.draw(keys[0]), corner


def _place(source: Source, number: int) -> Table:
    place = source.place(number)
    return {
        "picture": source.pictures.paths[place.picture],
        "crop": {
            "y": place.y,
            "x": place.x,
            "size": source.pictures.crop,
            "flip": place.flip,
            "turn": 90 * place.turn,  # degrees, counter-clockwise
        },
    }


def _codings(config: Config, number: int) -> list[Table]:
    codecs = config.data.codecs
    codings = draw_codings(config.train.seed, number, codecs)
    return [
        {"codec": codec.codec, "happens": bool(happens), "quality": int(quality)}
        for codec, (happens, quality) in zip(codecs, codings, strict=True)
    ]


def named(draws: Any, spec: Spec) -> Table:
    """Give what `spec.draw` drew for one picture as JSON can hold it, by names."""
    fields = degradation_fields(spec)
    table = _named(draws, _NAMES.get(fields["kind"], {}))
    if isinstance(spec, Chain):
        ops = (step["op"] for step in fields["steps"])
        table["steps"] = [{"op": op, **step} for op, step in zip(ops, table["steps"], strict=True)]
    return table


def _named(draws: Any, names: dict[str, tuple[str, ...]], name: str = "") -> Any:
    if isinstance(draws, dict):
        return {key: _named(value, names, key) for key, value in draws.items()}
    if isinstance(draws, list):
        return [_named(each, names) for each in draws]
    if draws.dtype.kind == "f":
        return float(str(draws[()]))  # the shortest number that is this float32
    known = names.get(name)
    if known is None:
        return draws.tolist()
    return [known[i] for i in draws.tolist()] if draws.ndim else known[int(draws)]


def grid(examples: Sequence[Seen]) -> np.ndarray:
    """Lay examples out as pairs, LR enlarged to the size of HR on its left: uint8 [H, W, 3]."""
    return tile(np.stack([_cell(each) for each in examples]), gap=_GAP)


def _cell(example: Seen) -> np.ndarray:
    side = -(-_LEAST // len(example.hr)) * len(example.hr)
    lr, hr = (
        shown(image).repeat(side // len(image), 0).repeat(side // len(image), 1)
        for image in (example.lr, example.hr)
    )
    number = example.table["number"]
    return picture_grid({f"{number} LR": [lr], f"{number} HR": [hr]})


def check_output(output: Path, inputs: Sequence[str], found: Sequence[str]) -> None:
    """Refuse, by ValueError, an output that would take the place of anything but a preview.

    `found` are all pictures that the inputs name, also those that are left out.
    """
    other = (*files.EXTENSIONS, ".json")
    if not _is_png(output) and (output.is_file() or output.suffix.lower() in other):
        raise ValueError(f"{output}: wanted a folder, or a file that ends in .png")
    folders = [Path(source).resolve() for source in inputs if Path(source).is_dir()]
    if any(output.resolve().is_relative_to(folder) for folder in folders):
        raise ValueError(f"{output} lies among the pictures that are given; name another output")
    if any(Path(path).resolve().is_relative_to(output.resolve()) for path in found):
        raise ValueError(f"{output} is or holds a picture that is given; name another output")
    for parent in output.parents:
        if parent.exists() and not parent.is_dir():
            raise ValueError(f"{output}: {parent} is a file; name another output")
    picture, listing = _places(output)
    there = [picture, listing] if _is_png(output) else list(output.glob("*"))
    taken = [path for path in there if path.exists()]
    if earlier := _earlier(listing):  # the crops that it does not name are not its own
        crops = {path for part in ("lr", "hr") for path in output.glob(f"{part}/*")}
        taken = sorted(crops - _crops(output, earlier))
    if taken:
        raise ValueError(f"{taken[0]} is there and of no earlier preview; name another output")


def write_preview(output: Path, examples: Sequence[Seen], pictures: Pictures) -> None:
    """Write the grid and the tables: a .png with a .json beside it, or a folder.

    The folder has `grid.png`, `draws.json`, and each crop in `lr` and `hr`, so that it is a set of
    pairs: a PNG, or a .npy of what a PNG cannot hold. The pairs of an earlier preview are removed.
    """
    picture, listing = _places(output)
    picture.parent.mkdir(parents=True, exist_ok=True)
    earlier = _crops(output, _earlier(listing) or [])
    tables = [example.table for example in examples]
    if not _is_png(output):
        tables = [
            table | _write_pair(output, e, pictures)
            for table, e in zip(tables, examples, strict=True)
        ]
    files.write(picture, files.Picture(grid(examples)))
    with replacing(listing) as temporary:
        temporary.write_text(json.dumps(tables, indent=1, allow_nan=False), encoding="utf-8")
    for path in earlier - _crops(output, tables):
        path.unlink(missing_ok=True)


def _places(output: Path) -> tuple[Path, Path]:
    """Where the grid and the tables go."""
    if _is_png(output):
        return output, output.with_suffix(".json")
    return output / "grid.png", output / "draws.json"


def _earlier(listing: Path) -> list[Table] | None:
    """The tables of an earlier preview, one at least; None where the file is something else."""
    try:
        tables = json.loads(listing.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    if not isinstance(tables, list) or not tables:
        return None
    told = all(isinstance(each, dict) and {"number", "degradation"} <= {*each} for each in tables)
    return tables if told else None


def _crops(folder: Path, tables: Sequence[Table]) -> set[Path]:
    """The files that tables name, all of them in `lr` and `hr`."""
    return {
        folder / part / Path(table[part]).name
        for table in tables
        for part in ("lr", "hr")
        if part in table
    }


def _write_pair(folder: Path, example: Seen, pictures: Pictures) -> Table:
    """The names of the files in the folder."""
    plain = pictures.dtype != "float32" and pictures.channels in (1, 3)
    names = {}
    for part, image in (("lr", example.lr), ("hr", example.hr)):
        name = f"{part}/{example.table['number']:04}{'.png' if plain else '.npy'}"
        (folder / part).mkdir(parents=True, exist_ok=True)
        pixels = from_unit(image, pictures.ranges, pictures.dtype)
        files.write(folder / name, files.Picture(pixels))
        names[part] = name
    return names


def _is_png(output: Path) -> bool:
    return output.suffix.lower() == ".png"
