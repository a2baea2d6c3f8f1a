"""Training pictures: where they lie, which of them can be used, and their pixels."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from jaxsr.imaging import files
from jaxsr.imaging.bands import Ranges
from jaxsr.imaging.color import fit_channels
from jaxsr.imaging.files import Header
from jaxsr.imaging.find import Sources, find, pair
from jaxsr.training.config import generator, read_crop
from jaxsr.training.schema import Config

SHOWN = 3  # refusals that an error quotes


@dataclass(frozen=True, eq=False)
class Pictures:
    """The usable pictures of a training set, known by their headers; light enough to pickle.

    `sizes` [P, 2] holds height and width of the HR pictures and `dtype` is the one of all files:
    uint8, uint16 or float32. Of paired pictures `lr_paths[i]` is exactly 1 / `scale` of `paths[i]`;
    otherwise it is empty. Crops are mirrored only with `flip`, turned only with `turn`; float32
    crops lie in [0, 1] unless `ranges` state what becomes 0 and 1.
    """

    paths: tuple[str, ...]
    sizes: np.ndarray
    crop: int
    channels: int
    dtype: str
    lr_paths: tuple[str, ...] = ()
    scale: int = 1
    flip: bool = True
    turn: bool = True
    ranges: Ranges = ()

    @property
    def unit(self) -> int:
        """HR pixels per step of a corner: crops of a pair start at whole LR pixels."""
        return self.scale if self.lr_paths else 1

    @property
    def files(self) -> tuple[str, ...]:
        """Every file: the HR pictures, then the LR ones."""
        return self.paths + self.lr_paths

    def members(self, picture: int) -> tuple[int, ...]:
        """Return the indices in `files` of a picture, or of both pictures of a pair."""
        return (picture, picture + len(self.paths)) if self.lr_paths else (picture,)

    def shape(self, file: int) -> tuple[int, int, int]:
        """Return the shape [H, W, C] of a decoded file."""
        row, ratio = (file, 1) if file < len(self.paths) else (file - len(self.paths), self.scale)
        height, width = self.sizes[row].tolist()
        return height // ratio, width // ratio, self.channels


def scan(
    source: Sources,
    *,
    crop: int,
    channels: int,
    lr: Sources | None = None,
    scale: int = 1,
    flip: bool = True,
    turn: bool = True,
    ranges: Ranges = (),
) -> tuple[Pictures, list[tuple[str, str]]]:
    """Read the headers of a training set; return what can be used, and each other file and why not.

    `crop` is in HR pixels; `flip`, `turn` and `ranges` are those of `Pictures`. With `lr`, as many
    sources as `source` has, each picture is paired with the LR one of its name, which may end in
    `x2`, `x3`, ... as BasicSR's do, and no LR is made. ValueError where nothing is left.
    """
    _check(crop, scale if lr else 1)
    found = find(source)
    paths = [str(item.path) for item in found]
    partners: list[str | None] = [None] * len(found)
    dropped = []
    if lr:
        paired, lonely = pair(found, source, lr, scale=scale)
        partners = [path and str(path) for path in paired]
        dropped = [(str(path), "no HR picture has its name") for path in lonely]
    headers = _headers([*paths, *filter(None, partners)])
    dtype = _common_dtype([headers[path] for path in paths], channels, crop)
    kept = []
    for path, partner in zip(paths, partners, strict=True):
        header, other = headers[path], headers.get(partner) if partner else None
        refused = _refusal(header, channels, crop) or _refusal_of_dtype(header, dtype)
        if not refused and lr:
            refused = _refusal_of_pair(headers[path], other, dtype, channels, scale)
        dropped += [(path, refused)] if refused else []
        kept += [] if refused else [(path, partner, header)]
    if not kept:
        raise ValueError(_nothing_left(source, crop, headers, dropped))
    return Pictures(
        paths=tuple(path for path, _, _ in kept),
        sizes=np.array([(header.height, header.width) for _, _, header in kept], np.uint32),
        crop=crop,
        channels=channels,
        dtype=dtype,
        lr_paths=tuple(partner for _, partner, _ in kept) if lr else (),
        scale=scale,
        flip=flip,
        turn=turn,
        ranges=ranges,
    ), dropped


def scan_of(config: Config) -> tuple[Pictures, list[tuple[str, str]]]:
    """Do as `scan` does with the training set of a config."""
    arch, data = generator(config), config.data
    return scan(
        data.train,
        crop=read_crop(config),
        channels=arch.channels,
        lr=data.lr,
        scale=arch.scale,
        flip=data.flip,
        turn=data.turn,
        ranges=data.ranges,
    )


def decode(pictures: Pictures, file: int) -> np.ndarray:
    """Decode `pictures.files[file]` to [H, W, C]; ValueError, not naming it, where that fails.

    Grey and RGB become one another by `color.fit_channels`.
    """
    path = pictures.files[file]
    try:
        pixels = fit_channels(files.read(path).pixels, pictures.channels)
    except ValueError as error:
        raise ValueError(_without(path, error)) from error
    if pixels.shape != pictures.shape(file) or pixels.dtype != pictures.dtype:
        raise ValueError(
            f"it decodes to {pixels.dtype} {pixels.shape}, but its header promised "
            f"{pictures.dtype} {pictures.shape(file)}; was it changed during the run?"
        )
    return pixels


def _check(crop: int, scale: int) -> None:
    if crop < 1 or crop % scale:
        raise ValueError(
            f"data.crop is {crop}, but must be a positive multiple of the scale {scale} of the "
            f"LR pictures"
        )


def _headers(paths: list[str]) -> dict[str, Header | str]:
    """Read the header of each file; where that cannot be done, the reason stands in its place."""
    with ThreadPoolExecutor() as threads:
        return dict(zip(paths, threads.map(_header, paths), strict=True))


def _header(path: str) -> Header | str:
    try:
        return files.header(path)
    except ValueError as error:
        return _without(path, error)


def _without(path: str, error: ValueError) -> str:
    """Return a reason that stands beside its path without the path inside."""
    return str(error).removeprefix(f"{path} ")


def _common_dtype(headers: list[Header | str], channels: int, crop: int) -> str:
    """Return the dtype of most of the pictures that can be used, of the first where two tie."""
    usable = (h for h in headers if isinstance(h, Header) and not _refusal(h, channels, crop))
    most = Counter(header.dtype for header in usable).most_common(1)
    return most[0][0] if most else "uint8"


def _refusal_of_dtype(header: Header | str, dtype: str) -> str:
    assert isinstance(header, Header)
    return "" if header.dtype == dtype else f"it is {header.dtype}, but most pictures are {dtype}"


def _refusal(header: Header | str, channels: int, crop: int) -> str:
    """Say why a picture cannot be used, whatever its dtype; empty where it can."""
    if isinstance(header, str):
        return header
    colours = {header.channels, channels} <= {1, 3}  # which stand in for each other
    if header.channels != channels and not colours:
        bands = "1 band" if header.channels == 1 else f"{header.channels} bands"
        return f"it has {bands}, generator.channels is {channels}"
    if min(header.height, header.width) < crop:
        size = f"{header.height}x{header.width} pixels (HxW)"
        return f"its {size} are fewer than the crop {crop} (data.crop, or degrade.crop)"
    return ""


def _refusal_of_pair(
    hr: Header | str, lr: Header | str | None, dtype: str, channels: int, scale: int
) -> str:
    """Say why a usable HR picture cannot be paired with its LR one; empty where it can."""
    assert isinstance(hr, Header)
    if lr is None:
        return "no LR picture has its name"
    if refused := _refusal(lr, channels, 1) or _refusal_of_dtype(lr, dtype):
        return f"its LR picture: {refused}"
    assert isinstance(lr, Header)
    if (lr.height * scale, lr.width * scale) != (hr.height, hr.width):
        return (
            f"its {hr.height}x{hr.width} pixels (HxW) are not {scale} times the "
            f"{lr.height}x{lr.width} of its LR picture"
        )
    return ""


def _nothing_left(source: Sources, crop: int, headers: dict, dropped: list) -> str:
    readable = {path: header for path, header in headers.items() if isinstance(header, Header)}
    if readable and all(min(h.height, h.width) < crop for h in readable.values()):
        path, largest = max(readable.items(), key=lambda item: min(item[1][:2]))
        return (
            f"the crop {crop} is larger than every picture in {source}: the largest, {path}, is "
            f"{largest.height}x{largest.width} (HxW); lower data.crop (or degrade.crop) or add "
            "larger pictures"
        )
    reasons = "; ".join(f"{path}: {reason}" for path, reason in dropped[:SHOWN])
    more = f"; and {len(dropped) - SHOWN} more" if len(dropped) > SHOWN else ""
    return f"no picture in {source} can be used: {reasons}{more}"
