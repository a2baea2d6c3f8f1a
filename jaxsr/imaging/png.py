"""PNG of 16 bits in any channels, which Pillow alone cannot read or write, and PNG's chunks."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from jaxsr.imaging.picture import Metadata

_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}  # by the colour type
_SIGNATURE_AND_HEADER = 33  # bytes: the signature, and the chunk IHDR
_XMP = b"XML:com.adobe.xmp\0"
_INCHES_PER_METRE = 1 / 0.0254


def depth_and_mode(file: IO[bytes]) -> tuple[int, str]:
    """Reads how many bits a sample has, and Pillow's name of the samples, palettes being P."""
    file.seek(24)
    bits, color = file.read(2)
    return bits, _MODES.get(color, "P")


def late_metadata(file: IO[bytes]) -> dict[str, bytes]:
    """Finds what may also stand behind the pixels, by the names that Pillow gives it."""
    found = {}
    for kind, content in _chunks(file):
        if kind == b"eXIf":
            found["exif"] = b"Exif\0\0" + content
        elif kind == b"iTXt" and content.startswith(_XMP):
            compressed, text = content[len(_XMP)], content[len(_XMP) + 2 :].split(b"\0", 2)[2]
            found["xmp"] = zlib.decompress(text) if compressed else text
    return found


def decode(path: str | Path) -> np.ndarray:
    """Decodes to [H, W, C], a transparent colour to alpha."""
    import imagecodecs

    pixels = imagecodecs.png_decode(Path(path).read_bytes())
    return pixels.reshape(*pixels.shape[:2], -1)


def encode(pixels: np.ndarray, metadata: Metadata) -> bytes:
    """Encodes [H, W, C]: grey, grey and alpha, RGB or RGBA."""
    import imagecodecs

    flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    plain = bytes(imagecodecs.png_encode(np.ascontiguousarray(flat)))
    chunks = []
    if metadata.icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        x, y = (round(dpi * _INCHES_PER_METRE) for dpi in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")))
    if metadata.xmp:
        chunks.append((b"iTXt", xmp_text(metadata.xmp)))
    start, rest = plain[:_SIGNATURE_AND_HEADER], plain[_SIGNATURE_AND_HEADER:]
    return start + b"".join(_chunk(*chunk) for chunk in chunks) + rest


def xmp_text(xmp: bytes) -> bytes:
    """Gives the content of an iTXt chunk: not compressed, of no language."""
    return _XMP + b"\0\0\0\0" + xmp


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yields the kind and the content of each chunk, but of pixels no content."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"IDAT", b"fdAT"):
            file.seek(length, 1)
            yield kind, b""
        else:
            yield kind, file.read(length)
        file.seek(4, 1)
