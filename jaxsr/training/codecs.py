"""The round trip of a picture through a file, on the host: for codecs that no device computes."""

import io

import numpy as np

from jaxsr.imaging import pillow

# Of each codec Pillow's name, the feature that it needs, and what its encoder is told. One thread
# codes AVIF otherwise than several do, and not every machine has several.
_PILLOW = {
    "jpeg": ("JPEG", "jpg", {}),
    "webp": ("WEBP", "webp", {}),
    "avif": ("AVIF", "avif", {"max_threads": 1}),
}


def recode(pixels: np.ndarray, codec: str, *, quality: int) -> np.ndarray:
    """Give [H, W, C] uint8, grey or RGB, as it returns from a lossy file of Pillow's defaults.

    `quality` is that of the codec, 1 to 100.
    """
    from PIL import Image

    kind, _, options = _PILLOW[codec]
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    content = pillow.encode([image], kind, {"quality": quality, **options})
    with Image.open(io.BytesIO(content), formats=[kind]) as coded:
        # WebP and AVIF know no grey.
        return np.array(coded.convert(image.mode)).reshape(pixels.shape)


def is_writable(codec: str) -> bool:
    """Say whether the Pillow that is installed has been built with the codec."""
    from PIL import features

    return bool(features.check(_PILLOW[codec][1]))
