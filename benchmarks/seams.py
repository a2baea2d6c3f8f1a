"""What a guessed pad costs: `python benchmarks/seams.py -w WEIGHTS PICTURE --halo 0 8 10 16 32`.

One JSON line for each halo and, last, for the network's own radius: the difference to the picture
taken whole, in levels of 255, where it is largest, and in the mean over the pixels within 4 of a
cut; the seconds beside those of the row stream; and the work, that of the whole picture being 1.
"""

import argparse
import statistics
import time
from typing import Any

import jax
import numpy as np
from timing import report

from jaxsr import load, upscale_tiled
from jaxsr.imaging import files
from jaxsr.imaging.color import to_float
from jaxsr.inference.budget import aligned, cost
from jaxsr.inference.windows import windows
from jaxsr.networks.receptive import receptive_radius


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("-w", "--weights", required=True)
    parser.add_argument("--tile", type=int, default=64, help="LR pixels of a side, without halo")
    parser.add_argument("--halo", type=int, nargs="+", default=[0, 8, 10, 16, 32])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    weights = load(options.weights)
    arch: Any = weights.arch
    image = np.asarray(to_float(files.read(options.picture).pixels))
    height, width = image.shape[:2]
    whole, _ = _timed(options.repeat, weights, image, mode="whole")
    streamed, seconds = _timed(options.repeat, weights, image, mode="stream")
    case = {
        "benchmark": "seams",
        "weights": options.weights,
        "generator": type(arch).__name__,
        "height": height,
        "width": width,
    }
    work = 1 + cost(arch).lag / (arch.scale * height)
    figures = _error(streamed, whole) | {"seconds": seconds, "work": work}
    report(case | {"mode": "stream"} | figures, jax.devices()[0])
    radius = receptive_radius(arch)
    for asked in (*options.halo, radius):
        halo = aligned(asked, arch.multiple)  # as upscale_tiled does
        tiling = {"mode": "overlap", "tile": options.tile, "halo": halo}
        sr, seconds = _timed(options.repeat, weights, image, **tiling)
        window = options.tile + 2 * halo
        cuts = [windows(n, window, halo=halo) for n in (height, width)]
        area = np.prod(
            [min(window, n) * len(c) for n, c in zip((height, width), cuts, strict=True)]
        )
        figures = _error(sr, whole) | {"near_cuts": _near_cuts(sr, whole, cuts, arch.scale)}
        figures |= {"seconds": seconds, "work": area.item() / (height * width)}
        report(case | tiling | {"radius": radius} | figures, jax.devices()[0])


def _timed(repeat: int, weights: Any, image: np.ndarray, **tiling: Any) -> tuple[np.ndarray, float]:
    sr = upscale_tiled(weights, image, **tiling)
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        upscale_tiled(weights, image, **tiling)
        times.append(time.perf_counter() - start)
    return sr, statistics.median(times)


def _error(sr: np.ndarray, whole: np.ndarray) -> dict[str, float]:
    return {"max_levels": 255 * np.abs(sr - whole).max().item()}


def _near_cuts(sr: np.ndarray, whole: np.ndarray, cuts: Any, scale: int) -> float:
    """The mean difference, in levels, within 4 pixels of a cut."""
    near = np.zeros(sr.shape[:2], bool)
    for axis, (found, length) in enumerate(zip(cuts, sr.shape[:2], strict=True)):
        lines = np.zeros(length, bool)
        for cut in found[1:]:
            lines[cut.first * scale - 4 : cut.first * scale + 4] = True
        near |= lines[:, None] if axis == 0 else lines[None]
    return 255 * np.abs(sr - whole)[near].mean().item() if near.any() else 0.0


if __name__ == "__main__":
    main()
