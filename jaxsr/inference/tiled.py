"""`upscale_tiled(weights, image)`: pictures of any size through a network, exactly, on the host."""

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxsr.inference.budget import Way, choose, memory
from jaxsr.inference.stream import NotFinite, finished, out_of_memory, pad, stream
from jaxsr.inference.upscale import apply, check, to_network
from jaxsr.inference.windows import Window, bucket, windows
from jaxsr.networks.rows import whole
from jaxsr.networks.weights import Weights

MODES = ("auto", "whole", "overlap", "stream", "sharded")
DTYPES = ("float32", "bfloat16")
LEAST = 2**20  # bytes: a device that has not these has none
IN_FLIGHT = 2  # windows on the device while the host places those before


class Tiling(NamedTuple):
    """The options of `upscale_tiled`, which explains them."""

    mode: str = "auto"
    tile: int | None = None
    halo: int | None = None
    dtype: str = "float32"


def upscale_tiled(
    weights: Weights,
    image: np.ndarray,
    *,
    mode: str = "auto",
    tile: int | None = None,
    halo: int | None = None,
    dtype: str = "float32",
) -> np.ndarray:
    """Super-resolve pictures of any size: [..., H, W, C] -> [..., scale * H, scale * W, C], numpy.

    Takes and gives what `upscale` does, and equals it to float reassociation (1e-5), whatever way
    the picture goes:

    - "whole": at once.
    - "overlap": windows with sides of `tile` LR pixels and a halo, which is as wide as the network
      looks (`receptive_radius`); with a smaller `halo` it is faster and no longer exact.
    - "stream": strips of `tile` rows, of which none is computed twice.
    - "sharded": at once, the rows divided over all local devices.
    - "auto": the first three, by the network, the size and the device's memory, but not "whole"
      where a `tile` or `halo` is given. Out of memory, it goes on with less.

    `dtype` is what the network computes in, "float32" or "bfloat16"; an output that is not finite
    is made again in float32 and a RuntimeWarning says so. Raises ValueError for options that do not
    go together, and where float32 is not finite either.
    """
    sr, notes = upscale_noted(weights, image, Tiling(mode, tile, halo, dtype))
    for note in notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    return sr


def upscale_noted(
    weights: Weights, image: np.ndarray, tiling: Tiling
) -> tuple[np.ndarray, list[str]]:
    """As `upscale_tiled`, returning what its user ought to know instead of warning."""
    image = np.asarray(image)
    check(weights, image)
    check_tiling(tiling)
    image = image.astype(np.float32) if image.dtype == np.float64 else image
    batch = image.reshape(-1, *image.shape[-3:])
    notes: list[str] = []
    sr = in_dtype(weights, tiling.dtype, notes, lambda w: _through(w, batch, tiling, notes))
    return sr.reshape(*image.shape[:-3], *sr.shape[1:]), notes


Result = TypeVar("Result")


def in_dtype(
    weights: Weights, dtype: str, notes: list[str], make: Callable[[Weights], Result]
) -> Result:
    """What `make` gives with a network that computes in `dtype`, or else, noted, in float32.

    Raises ValueError where float32 is not finite either.
    """
    try:
        if dtype != "float32":
            try:
                arch = weights.arch.clone(dtype=jnp.dtype(dtype))
                return make(replace(weights, arch=arch))
            except NotFinite:
                notes.append(f"not finite in {dtype}; made again in float32")
        return make(weights)
    except NotFinite:
        raise ValueError(
            "the network gives values that are not finite, in float32 too: the picture holds a NaN "
            "or the weights are damaged; evaluate the weights on another picture"
        ) from None


def check_tiling(tiling: Tiling) -> None:
    """Raise ValueError for options that do not exist or do not go together."""
    mode, tile, halo, dtype = tiling
    if mode not in MODES:
        raise ValueError(f"mode: got {mode}, wanted one of {', '.join(MODES)}")
    if dtype not in DTYPES:
        raise ValueError(f"dtype: got {dtype}, wanted one of {', '.join(DTYPES)}")
    if tile is not None and (tile < 1 or mode not in ("auto", "overlap", "stream")):
        raise ValueError(
            f"tile: got {tile} with mode {mode}, wanted 1 or more, and auto, overlap or stream"
        )
    if halo is not None and (halo < 0 or mode not in ("auto", "overlap")):
        raise ValueError(
            f"halo: got {halo} with mode {mode}, wanted 0 or more, and the mode auto or overlap"
        )


def _through(weights: Weights, batch: np.ndarray, tiling: Tiling, notes: list[str]) -> np.ndarray:
    """Pictures [N, H, W, C] through the network, with less memory each time it is short."""
    arch: Any = weights.arch
    height, width = batch.shape[1:3]
    padded = _reflected(batch, arch.multiple)
    options = {"mode": tiling.mode, "tile": tiling.tile, "halo": tiling.halo}
    budget = memory()
    while True:
        way = choose(arch, padded.shape, **options, budget=budget)
        try:
            sr = _WAYS[way.mode](weights, padded, way)
            return sr[:, : height * arch.scale, : width * arch.scale]
        except jax.errors.JaxRuntimeError as error:
            if not out_of_memory(error):
                raise
            smaller = way
            while smaller == way and budget > LEAST:
                budget //= 2
                smaller = choose(arch, padded.shape, **options, budget=budget)
            if smaller == way:
                raise MemoryError(
                    f"the device has no room for {way}; take the mode auto, or a smaller tile"
                ) from error
            notes.append(f"the device had no room for {way}; took {smaller}")


def _reflected(batch: np.ndarray, multiple: int) -> np.ndarray:
    """As the network itself extends sides that it does not take."""
    rows, columns = (-n % multiple for n in batch.shape[1:3])
    return np.pad(batch, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="reflect")


def _by_windows(weights: Weights, batch: np.ndarray, way: Way) -> np.ndarray:
    """Overlapping windows, all of one size; the whole picture is one window of its own size."""
    arch: Any = weights.arch
    height, width = batch.shape[1:3]
    buckets = [bucket(n, multiple=arch.multiple) for n in (height, width)]
    if way.mode == "whole":
        window = buckets
    else:
        window = [min(way.tile + 2 * way.halo, n) for n in buckets]
    sr = _output(batch, arch)
    flying: deque[tuple[Any, ...]] = deque()
    for y in windows(height, window[0], halo=way.halo):
        for x in windows(width, window[1], halo=way.halo):
            part = batch[:, y.start : y.start + window[0], x.start : x.start + window[1]]
            flying.append((*_run(weights, part, window), y, x))
            if len(flying) > IN_FLIGHT:
                _place(sr, arch.scale, *flying.popleft())
    for landed in flying:
        _place(sr, arch.scale, *landed)
    return sr


def _output(batch: np.ndarray, arch: Any) -> np.ndarray:
    count, height, width, channels = batch.shape
    return np.empty((count, height * arch.scale, width * arch.scale, channels), batch.dtype)


def _run(weights: Weights, part: np.ndarray, window: Sequence[int]) -> tuple[Any, Any]:
    """Start a window on the device: its pixels, which may be more than its own, and `finite`."""
    height, width = part.shape[1:3]
    if [height, width] == list(window):
        return _plain(weights, part)
    return _padded(weights, pad(part, *window), height, width)


def _place(sr: np.ndarray, scale: int, pixels: Any, finite: Any, y: Window, x: Window) -> None:
    if not finite:
        raise NotFinite
    rows = slice((y.first - y.start) * scale, (y.last - y.start) * scale)
    columns = slice((x.first - x.start) * scale, (x.last - x.start) * scale)
    kept = np.asarray(pixels)[:, rows, columns]
    sr[:, y.first * scale : y.last * scale, x.first * scale : x.last * scale] = kept


@jax.jit
def _plain(weights: Weights, batch: jax.Array) -> Any:
    return finished(weights, apply(weights, to_network(weights, batch)), batch.dtype)


def _masked(weights: Weights, batch: jax.Array, height: Any, width: Any) -> Any:
    rows = apply(weights, whole(to_network(weights, batch), height=height, width=width))
    return finished(weights, rows.v, batch.dtype)


_padded = jax.jit(_masked)


def _by_rows(weights: Weights, batch: np.ndarray, way: Way) -> np.ndarray:
    """The row stream; of a picture too wide for it, in bands of columns that overlap."""
    scale, sr = weights.arch.scale, _output(batch, weights.arch)
    for x in windows(batch.shape[2], way.band + 2 * way.halo, halo=way.halo):
        band = batch[:, :, x.start : x.start + way.band + 2 * way.halo]
        columns = slice((x.first - x.start) * scale, (x.last - x.start) * scale)
        top = 0
        read = partial(_rows_of, band)
        for rows in stream(weights, read, shape=band.shape, strip=way.tile):
            bottom = top + rows.shape[1]
            sr[:, top:bottom, x.first * scale : x.last * scale] = rows[:, :, columns]
            top = bottom
    return sr


def _rows_of(batch: np.ndarray, top: int, bottom: int) -> np.ndarray:
    return batch[:, top:bottom]


def _by_devices(weights: Weights, batch: np.ndarray, way: Way) -> np.ndarray:
    """Whole, its rows divided over all local devices, which exchange what lies at the cuts."""
    del way
    arch: Any = weights.arch
    devices = jax.local_device_count()
    height, width = batch.shape[1:3]
    rows = bucket(height, multiple=arch.multiple * devices)
    columns = bucket(width, multiple=arch.multiple)
    sr, finite = sharded(devices)(weights, pad(batch, rows, columns), height, width)
    if not finite:
        raise NotFinite
    return np.asarray(sr)[:, : height * arch.scale, : width * arch.scale]


@lru_cache
def sharded(devices: int) -> Any:
    """The compiled (weights, padded batch, height, width) -> (pixels, finite) over `devices`."""
    mesh = jax.make_mesh((devices,), ("rows",), axis_types=(AxisType.Auto,))
    rows, all_over = NamedSharding(mesh, P(None, "rows")), NamedSharding(mesh, P())
    return jax.jit(
        _masked,
        in_shardings=(all_over, rows, all_over, all_over),
        out_shardings=(rows, all_over),
    )


_WAYS: dict[str, Callable[[Weights, np.ndarray, Way], np.ndarray]] = {
    "whole": _by_windows,
    "overlap": _by_windows,
    "stream": _by_rows,
    "sharded": _by_devices,
}
