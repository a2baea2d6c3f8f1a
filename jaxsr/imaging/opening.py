"""Which reader a picture file is for, and the same errors from all of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from jaxsr.imaging import arrays, avif, gif, metadata, pillow, png, tiff, webp
from jaxsr.imaging.picture import Header, Picture, Unsupported

if TYPE_CHECKING:
    from PIL import Image

DECODED_LIMIT = 2**30  # bytes of a picture with all its frames, against decompression bombs


@dataclass(frozen=True, eq=False)
class Source:
    """An opened picture file and its reader; Pillow has opened also PNG of 16 bits ("deep").

    `mode` names the samples as Pillow does, and is empty where Pillow has opened nothing.
    """

    path: Path
    reader: Literal["pillow", "deep", "tiff", "npy"]
    image: "Image.Image | None" = None
    mode: str = ""


@contextmanager
def opened(path: str | Path, *, limit: int = DECODED_LIMIT) -> Iterator[Source]:
    """Opens a picture; ValueError where that fails, but errors of the block are its own."""
    path = Path(path)
    with ExitStack() as stack:
        with errors_of(path):
            # A stream, not the path: a mapped TIFF that lies on its side comes garbled of Pillow.
            source = _identify(path, stack.enter_context(open(path, "rb")))
            check_size(path, decoded_size(source), limit)
        yield source


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Makes one ValueError, which names the file, of whatever a decoder meets in the block."""
    from PIL import UnidentifiedImageError

    try:
        yield
    except Unsupported:
        raise
    except Exception as error:  # decoders of damaged files raise errors of every kind
        said = reason(error)
        if isinstance(error, UnidentifiedImageError):
            said = f"its content is none of {', '.join(pillow.FORMATS)}"
        raise ValueError(
            f"{path} is not a readable picture ({said}); replace or remove it"
        ) from error


def decode(source: Source) -> Picture:
    """Decodes the first frame of an opened picture; ValueError where it is damaged."""
    with errors_of(source.path):
        if source.reader == "npy":
            return Picture(arrays.read(source.path))
        if source.reader == "tiff":
            return tiff.read(source.path, 0)
        assert source.image is not None
        decoder = pillow.decode_deep if source.reader == "deep" else pillow.decode
        return decoder(source.path, source.image)


def header(source: Source) -> Header:
    """Tells what `decode` will give, as far as it can be seen before the pixels."""
    if source.image is None:
        read = arrays.header if source.reader == "npy" else tiff.header
        with errors_of(source.path):
            (height, width, channels), dtype = read(source.path)
        return Header(height, width, channels, dtype)
    dtype = "uint16" if source.reader == "deep" else "uint8"
    return Header(*pillow.size(source.image), len(source.mode.removesuffix("A")), dtype)


def decoded_size(source: Source) -> int:
    """Gives the bytes of a frame, 0 for files as long as their pixels take, or nearly."""
    if source.image is None:
        return 0
    height, width = pillow.size(source.image)
    return height * width * len(source.mode) * (2 if source.reader == "deep" else 1)


def check_size(path: Path, size: int, limit: int) -> None:
    """Raises `Unsupported` for more bytes than the limit."""
    if size > limit:
        raise Unsupported(
            f"{path} would take {size / 2**30:.3g} GiB decoded, more than the limit of "
            f"{limit / 2**30:.3g} GiB against decompression bombs; if you trust it, pass a larger "
            "`limit=` from Python, or convert it: a picture to a TIFF of strips, several frames "
            "to files of fewer"
        )


def reason(error: BaseException) -> str:
    """Gives the words of an error that are worth repeating."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _identify(path: Path, file: IO[bytes]) -> Source:
    from PIL import UnidentifiedImageError

    if path.suffix.lower() == ".npy":
        return Source(path, "npy")
    try:
        image = pillow.identify(file)
    except UnidentifiedImageError:
        if not tiff.is_tiff(file):
            raise
        return Source(path, "tiff")
    if tiff.beyond_pillow(image):
        return Source(path, "tiff")
    position = file.tell()  # whence Pillow will read on
    if image.format == "GIF" and not gif.is_whole(file):
        raise ValueError("it ends before its frames do")
    file.seek(position)
    if image.format == "PNG":
        image.info |= png.late_metadata(file)
    elif image.format == "WEBP":
        image.info["lossless"] = webp.is_lossless(file)
    elif image.format == "AVIF" and avif.is_deep(file):
        raise Unsupported(
            f"{path} has more than 8 bits, of which an AVIF's decoder would keep but 8; "
            "convert it to a PNG of 16 bits"
        )
    metadata.mend_exif(image)
    if image.format != "PNG":
        file.seek(position)
        return Source(path, "pillow", image, pillow.target_mode(path, image))
    bits, mode = png.depth_and_mode(file)
    file.seek(position)
    if bits == 16:
        return Source(path, "deep", image, mode)
    return Source(path, "pillow", image, pillow.target_mode(path, image))
