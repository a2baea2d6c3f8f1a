"""Pixels of any bands and numbers: which are taken, and NumPy's .npy files."""

from pathlib import Path

import numpy as np

from jaxsr.imaging.picture import Unsupported


def read(path: str | Path) -> np.ndarray:
    """Reads .npy of [H, W] or [H, W, C] to [H, W, C], as `kept` says."""
    return kept(_open(path), path)


def header(path: str | Path) -> tuple[tuple[int, ...], str]:
    """Gives shape and dtype of what `read` will give, without reading pixels."""
    pixels = _open(path)
    return pixels.shape, kept_dtype(pixels.dtype, path)


def write(path: Path, pixels: np.ndarray) -> None:
    """Writes [H, W, C] as it is."""
    with path.open("wb") as file:
        np.save(file, pixels, allow_pickle=False)


def kept(pixels: np.ndarray, path: str | Path) -> np.ndarray:
    """Copies pixels: uint8 and uint16 are kept, all other real numbers become float32.

    Raises `Unsupported` for other numbers, NaN and infinity.
    """
    with np.errstate(over="ignore"):  # what overflows float32 is refused as infinite
        pixels = np.array(pixels, kept_dtype(pixels.dtype, path), order="C")
    if not np.isfinite(pixels).all():
        raise Unsupported(f"{path} holds NaN or infinity; replace them by numbers below 3e38")
    return pixels


def kept_dtype(dtype: np.dtype, path: str | Path) -> str:
    """Names the dtype that pixels stored in another come in."""
    if dtype.kind not in "biuf":
        raise Unsupported(f"{path} holds {dtype}; convert it to uint8, uint16 or float32")
    native = dtype.newbyteorder("=")  # files of either byte order hold the same numbers
    return native.name if native in (np.uint8, np.uint16) else "float32"


def _open(path: str | Path) -> np.ndarray:
    pixels = np.lib.format.open_memmap(path, mode="r")  # refuses objects, and with them pickles
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise Unsupported(
            f"{path} has shape {pixels.shape}, but a picture has [H, W] or [H, W, C]; reshape it"
        )
    return pixels if pixels.ndim == 3 else pixels[..., None]
