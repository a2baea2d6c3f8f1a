"""Pictures of several frames: animations of GIF, WebP and PNG, pages of TIFF."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxsr.imaging import files, modes, opening, pillow, tiff
from jaxsr.imaging.opening import DECODED_LIMIT, Source
from jaxsr.imaging.picture import Picture, Unsupported

if TYPE_CHECKING:
    from PIL import Image

_ANIMATED = ("GIF", "WEBP", "PNG")


class Frame(NamedTuple):
    """A whole picture, what stays of the frames before it included, and how long it is shown.

    milliseconds is None for a page of a TIFF and for a still picture.
    """

    picture: Picture
    milliseconds: float | None = None


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of an opened file, decoded one by one; `plays` of the animation, 0 for ever."""

    count: int
    plays: int
    frames: Iterator[Frame]

    def __iter__(self) -> Iterator[Frame]:
        return self.frames


@contextmanager
def open_frames(path: str | Path, *, limit: int = DECODED_LIMIT) -> Iterator[Frames]:
    """Opens all frames of a picture file, a still one having one; errors are those of `files.read`.

    `limit` is of the bytes of all frames together; pages that are not compressed may take more.
    Smaller copies of a page are passed by. Raises `Unsupported` for PNG animations of 16 bits, and
    those beside a still picture.
    """
    with opening.opened(path, limit=limit) as source:
        with opening.errors_of(source.path):
            pages = _pages(source, limit)
        plays = _plays(source) if len(pages) > 1 else 1
        yield Frames(len(pages), plays, (_decode(source, pages, index) for index in pages))


def write_frames(
    path: str | Path,
    frames: Iterable[Frame],
    *,
    plays: int = 1,
    quality: int = 95,
    format: str | None = None,
) -> None:
    """Writes an animation or pages; of one frame, what `files.write` does, with its options.

    GIF counts time in hundredths of a second. Frames that repeat the one before may be written as
    one that is shown for longer. All frames are held in memory. Raises ValueError also where a
    format holds but one frame, or pages stand where times are wanted or times where pages are.
    """
    path, coming = Path(path), iter(frames)
    kind, first = files.format_of(path, format), list(islice(coming, 2))
    if len(first) == 1:
        return files.write(path, first[0].picture, quality=quality, format=format)
    _check(path, kind, first)  # before the others are made, which may take long
    frames = [*first, *coming]
    _check(path, kind, frames)
    with files.writing(path) as temporary, files.encoding(path):
        if kind == "TIFF":
            tiff.write(temporary, [frame.picture for frame in frames])
        else:
            _animate(temporary, kind, frames, plays, quality)


def _check(path: Path, kind: str, frames: Sequence[Frame]) -> None:
    timed = {frame.milliseconds is not None for frame in frames}
    if not frames:
        raise ValueError(f"{path}: there is no frame to write")
    if kind not in (*_ANIMATED, "TIFF"):
        trouble, mend = f"{kind} cannot hold several frames", ".gif, .webp, .png or .tif"
    elif timed != {kind != "TIFF"}:
        trouble = f"{kind} cannot hold {'pages' if kind != 'TIFF' else 'the times of frames'}"
        mend = ".tif" if kind != "TIFF" else ".gif, .webp or .png"
    elif kind != "TIFF" and len({frame.picture.pixels.shape[:2] for frame in frames}) > 1:
        trouble, mend = f"{kind} cannot hold frames of different sizes", "frames of one size"
    elif kind == "PNG" and any(frame.picture.pixels.dtype != np.uint8 for frame in frames):
        trouble, mend = "an animated PNG of 16 bits is not written", "a depth of 8"
    else:
        for frame in frames:
            files.check_holds(path, kind, frame.picture)
        return
    raise ValueError(f"{path}: {trouble}; write {mend}")


def _animate(temporary: Path, kind: str, frames: Sequence[Frame], plays: int, quality: int) -> None:
    options = pillow.options(frames[0].picture, kind, quality=quality)
    options["duration"] = [frame.milliseconds for frame in frames]
    if kind != "GIF":
        options["loop"] = plays
    elif plays != 1:
        options["loop"] = max(plays - 1, 0)
    if any(frame.picture.alpha is not None for frame in frames):
        # Else what is transparent would show the frame before; of WebP, libwebp drops all alpha.
        options |= {"GIF": {"disposal": 2}, "WEBP": {"kmin": 0, "kmax": 1}}.get(kind, {})
    images = [pillow.encodable(picture, kind) for picture in _alike(frames, kind)]
    temporary.write_bytes(pillow.encode(images, kind, options))


def _alike(frames: Sequence[Frame], kind: str) -> Iterator[Picture]:
    """Brings the frames of PNG to one mode, for a file has one; palettes where they are equal."""
    pictures = [frame.picture for frame in frames]
    palettes = {None if p.palette is None else p.palette.tobytes() for p in pictures}
    forms = {(p.mode, p.pixels.shape[-1], p.alpha is None) for p in pictures}
    if kind != "PNG" or (len(forms) == 1 and len(palettes) == 1):
        yield from pictures
        return
    with_alpha = any(picture.alpha is not None for picture in pictures)
    for picture in pictures:
        pixels, alpha = picture.pixels, picture.alpha
        if pixels.shape[-1] == 1:
            pixels = pixels.repeat(3, axis=-1)
        if with_alpha and alpha is None:
            alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        yield Picture(pixels, alpha)


def _pages(source: Source, limit: int) -> Sequence[int]:
    """Lists the frames of a file that are to be seen."""
    image = source.image
    if source.reader == "tiff" or image is not None and image.format == "TIFF":
        sizes = tiff.pages(source.path)
        if len(sizes) > 1:
            most = max(limit, source.path.stat().st_size)
            opening.check_size(source.path, sum(sizes.values()), most)
        return list(sizes)
    if image is None or image.format == "MPO":  # views of one scene, not frames
        return [0]
    count = getattr(image, "n_frames", 1)
    if count > 1 and source.reader == "deep":
        raise Unsupported(
            f"{source.path} is an animation of 16 bits, which is not decoded; "
            "convert it to 8 bits, or its frames to PNG files"
        )
    if count > 1 and image.info.get("default_image"):
        raise Unsupported(
            f"{source.path} holds a still picture beside its animation; split them into two files"
        )
    opening.check_size(source.path, count * opening.decoded_size(source), limit)
    return range(count)


def _plays(source: Source) -> int:
    if source.image is None or source.image.format == "TIFF":
        return 1
    loop = source.image.info.get("loop")
    if source.image.format != "GIF":
        return loop or 0
    # GIF counts the repetitions, and says nothing of an animation that is played once.
    return 1 if loop is None else loop + 1 if loop else 0


def _decode(source: Source, pages: Sequence[int], index: int) -> Frame:
    image = source.image
    if source.reader != "tiff" and len(pages) == 1:
        return Frame(opening.decode(source))
    with opening.errors_of(source.path):
        if image is None:
            return Frame(tiff.read(source.path, index))
        if image.format == "TIFF":
            return Frame(_page(source, image, index))
        image.seek(index)
        image.load()  # WebP tells the time only then
        milliseconds = float(image.info.get("duration", 0))
        return Frame(_indexed(pillow.decode(source.path, image), image.format), milliseconds)


def _page(source: Source, image: "Image.Image", index: int) -> Picture:
    try:
        image.seek(index)
    except SyntaxError:  # of a kind that Pillow does not know
        return tiff.read(source.path, index)
    deep = tiff.beyond_pillow(image)
    return tiff.read(source.path, index) if deep else pillow.decode(source.path, image)


def _indexed(picture: Picture, kind: str | None) -> Picture:
    """Gives a frame of a GIF, which Pillow has laid over those before, a palette of its colours."""
    if kind != "GIF" or picture.mode != "plain" or picture.pixels.shape[-1] == 1:
        return picture
    palette = modes.palette_of(picture.pixels, picture.alpha)
    return picture if palette is None else replace(picture, mode="palette", palette=palette)
