"""The formats that Pillow reads and writes: from its images to pictures and back."""

import io
import threading
import warnings
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from jaxsr.imaging import exif, metadata, modes, png
from jaxsr.imaging.picture import Mode, Picture, Unsupported

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_MOST_JPEG_DPI = 65535  # Pillow would write the lower 16 bits of more
_LOSSY = ("JPEG", "WEBP", "AVIF")
_OPENING = threading.Lock()

# Pillow's mode as stored: the mode it is decoded to, without and with transparency.
_OPAQUE = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "CMYK": "CMYK", "RGBX": "RGB"}
_TRANSPARENT = {"1": "LA", "L": "LA", "LA": "LA", "P": "RGBA", "PA": "RGBA"} | {
    mode: "RGBA" for mode in ("RGB", "RGBA")
}
_MODES: dict[str, Mode] = {"1": "bilevel", "P": "palette", "CMYK": "cmyk"}


def identify(file: IO[bytes]) -> "Image.Image":
    """Opens a picture of any size; decodes nothing, so that its size may be looked at."""
    from PIL import Image

    # Pillow's own limit, 179 million pixels, could only be changed for the whole process.
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of damaged EXIF, which is mended
        most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(file, formats=FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = most
    return image


def target_mode(path: Any, image: "Image.Image") -> str:
    """Gives Pillow's mode of the decoded pixels, transparency included."""
    targets = _TRANSPARENT if image.has_transparency_data else _OPAQUE
    if image.mode not in targets:
        transparent = " with a transparent colour" if image.mode in _OPAQUE else ""
        raise Unsupported(
            f"{path} has mode {image.mode}{transparent}, but only grey, RGB and CMYK pictures are "
            "read; convert it to one of them with an image editor"
        )
    return targets[image.mode]


def size(image: "Image.Image") -> tuple[int, int]:
    """Gives height and width of the decoded pixels."""
    on_side = metadata.exif_of(image).get(exif.ORIENTATION) in metadata.ON_SIDE
    # Pillow itself turns TIFF, and states the size it will have.
    width, height = image.size
    return (width, height) if on_side and image.format != "TIFF" else (height, width)


def decode(path: Any, image: "Image.Image") -> Picture:
    """Decodes an opened picture, or the frame to which it was moved, to 8 bits, upright."""
    mode, about = target_mode(path, image), metadata.of_image(image)
    kind = _MODES.get(image.mode, "plain") if mode != "LA" else "plain"
    # Pillow itself turns TIFF.
    turn = 1 if image.format == "TIFF" else metadata.exif_of(image).get(exif.ORIENTATION, 1)
    image.load()
    palette = _palette(image) if kind == "palette" else None
    pixels = np.array(image.convert(mode))
    pixels = np.ascontiguousarray(metadata.upright(pixels.reshape(*pixels.shape[:2], -1), turn))
    if not mode.endswith("A"):
        return Picture(pixels, None, mode=kind, palette=palette, metadata=about)
    color, alpha = pixels[..., :-1].copy(), pixels[..., -1:].copy()
    return Picture(color, alpha, mode=kind, palette=palette, metadata=about)


def decode_deep(path: Any, image: "Image.Image") -> Picture:
    """Decodes an opened PNG of 16 bits."""
    about, orientation = metadata.of_image(image), metadata.exif_of(image).get(exif.ORIENTATION, 1)
    pixels = metadata.upright(png.decode(path), orientation)
    if pixels.shape[-1] in (1, 3):
        return Picture(np.ascontiguousarray(pixels), metadata=about)
    return Picture(pixels[..., :-1].copy(), pixels[..., -1:].copy(), metadata=about)


def encodable(picture: Picture, kind: str) -> "Image.Image":
    """Makes an image of Pillow's to be saved as a format, of its fitting mode."""
    from PIL import Image

    pixels, alpha = picture.pixels, picture.alpha
    if kind == "GIF":
        return _paletted(*_binary(_colourful(picture)))
    if picture.mode == "palette" and kind in ("PNG", "BMP"):
        assert picture.palette is not None
        return _paletted(pixels, alpha, picture.palette)
    if picture.mode == "bilevel" and kind in ("PNG", "BMP") and alpha is None:
        return Image.fromarray(modes.to_bits(pixels))
    if picture.mode == "cmyk":
        return Image.frombytes("CMYK", pixels.shape[1::-1], pixels.tobytes())
    if alpha is not None:
        pixels = np.concatenate([pixels, alpha], axis=-1)
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def encode(images: "Sequence[Image.Image]", kind: str, options: dict[str, Any]) -> bytes:
    """Encodes an image, or several as one animation.

    In memory, for of a file on a full disk Pillow does not always notice that it was cut off.
    """
    more = {"save_all": True, "append_images": images[1:]} if len(images) > 1 else {}
    with io.BytesIO() as buffer:
        try:
            images[0].save(buffer, kind, **more, **options)
        except OSError as error:  # in memory it is the encoder's, not the system's
            raise ValueError(str(error)) from error
        return buffer.getvalue()


def options(picture: Picture, kind: str, *, quality: int) -> dict[str, Any]:
    """Gives what Pillow's `save` is told of quality and metadata, as far as the format has room."""
    from PIL.PngImagePlugin import PngInfo

    about = picture.metadata
    found: dict[str, Any] = {"quality": quality} if kind in _LOSSY else {}
    if kind == "WEBP" and about.lossless:
        found = {"lossless": True, "exact": True}  # also under what is transparent
    if kind in ("JPEG", "AVIF"):
        found["subsampling"] = "4:4:4"
    if kind == "PNG" or (kind == "JPEG" and max(about.dpi or (0,)) <= _MOST_JPEG_DPI):
        found["dpi"] = about.dpi
    if kind == "BMP":
        found["dpi"] = about.dpi or (0, 0)  # else it would say 96
    if kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        only_here = kind in ("WEBP", "AVIF")
        block = exif.with_resolution(about.exif, about.dpi) if only_here else about.exif
        found |= {"icc_profile": about.icc, "exif": block}
    if kind == "PNG" and about.xmp:
        found["pnginfo"] = PngInfo()
        found["pnginfo"].add(b"iTXt", png.xmp_text(about.xmp), after_idat=False)
    elif kind in _LOSSY:
        found["xmp"] = about.xmp
    return {name: value for name, value in found.items() if value}


def _palette(image: "Image.Image") -> np.ndarray:
    """Gives the colours of a palette image, [N, 4] uint8."""
    from PIL import Image

    colors = image.getpalette()
    assert colors is not None
    swatch = Image.frombytes("P", (256, 1), bytes(range(256)))
    swatch.putpalette(colors)
    swatch.info = image.info  # which knows the transparent ones
    return np.asarray(swatch.convert("RGBA"))[0, : len(colors) // 3]


def _colourful(picture: Picture) -> Picture:
    """RGB with a palette: its own, or all its colours, or 255 that the median cut finds."""
    from PIL import Image

    pixels, alpha, palette = picture.pixels, picture.alpha, picture.palette
    if picture.mode == "bilevel":
        pixels = modes.to_bits(pixels)[..., None] * np.uint8(255)
    if pixels.shape[-1] == 1:
        pixels = pixels.repeat(3, axis=-1)
    if palette is None:
        alpha = None if alpha is None else np.where(alpha < 128, 0, 255).astype(np.uint8)
        palette = modes.palette_of(pixels, alpha)
    if palette is None:
        cut = _palette(Image.fromarray(pixels).quantize(255))
        palette = cut if alpha is None else np.concatenate([cut, np.zeros((1, 4), np.uint8)])
    return Picture(pixels, alpha, palette=palette)


def _binary(picture: Picture) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Rounds transparency to none or all, of which alone GIF knows."""
    assert picture.palette is not None
    palette, alpha = picture.palette.copy(), picture.alpha
    clear = palette[:, 3] < 128
    palette[:, 3] = 255
    if clear.any():
        palette = np.concatenate([palette[~clear], np.zeros((1, 4), np.uint8)])
    if alpha is not None:
        alpha = np.where(alpha < 128, 0, 255).astype(np.uint8)
    return picture.pixels, alpha, palette


def _paletted(pixels: np.ndarray, alpha: np.ndarray | None, palette: np.ndarray) -> "Image.Image":
    from PIL import Image

    indices = modes.to_indices(pixels, alpha, palette)
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette(palette[:, :3].tobytes())
    opacities = palette[:, 3]
    if (opacities < 255).any():
        only = np.flatnonzero(opacities == 0)
        binary = len(only) == 1 and set(opacities) <= {0, 255}
        image.info["transparency"] = int(only[0]) if binary else opacities.tobytes()
    return image
