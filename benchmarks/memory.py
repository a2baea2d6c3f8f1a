"""Peak memory against height: `python benchmarks/memory.py -w WEIGHTS --height 512 1024 2048`.

One JSON line for each height and mode, each measured in a process of its own: its peak resident
memory in MB, also less that of a picture of 64 rows, and LR megapixels a second, compilation left
out, but of "file" included. That is TIFF to TIFF by strips, as `jaxsr upscale` does with large
ones; `--check` compares a window of its output with the same window, and a margin, taken whole.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from timing import report

from jaxsr import load, upscale_tiled
from jaxsr.imaging.strips import open_strips, write_strips
from jaxsr.inference.large import upscale_large
from jaxsr.inference.tiled import Tiling
from jaxsr.networks.receptive import receptive_radius

BASE = 64  # rows
CHECKED = 64  # LR pixels of the window's side


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-w", "--weights", required=True)
    parser.add_argument("--mode", nargs="+", default=["whole", "overlap", "stream", "file"])
    parser.add_argument("--height", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--tile", type=int, help="of overlap; rows of a strip of stream and file")
    parser.add_argument("--folder", help="for the pictures of the mode file")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(options)))
        return
    for mode in options.mode:
        base = _run(options, mode, BASE)["peak_mb"]
        for height in options.height:
            found = _run(options, mode, height)
            found["peak_mb_over_base"] = found["peak_mb"] - base
            case = {"benchmark": "memory", "weights": options.weights, "mode": mode}
            case |= {"tile": options.tile}
            size = {"height": height, "width": options.width}
            report(case | size | found, jax.devices()[0])


def _run(options: argparse.Namespace, mode: str, height: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", "-w", options.weights, "--mode", mode]
    command += ["--height", str(height), "--width", str(options.width)]
    command += ["--folder", options.folder] if options.folder else []
    command += ["--tile", str(options.tile)] if options.tile and mode != "whole" else []
    command += ["--check"] if options.check and height >= CHECKED else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def _one(options: argparse.Namespace) -> dict[str, Any]:
    weights, mode, height, width = (
        load(options.weights),
        *options.mode,
        *options.height,
        options.width,
    )
    if mode == "file":
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            return _file(weights, Path(folder), height, width, options)
    image = np.concatenate(list(_picture(height, width)))
    upscale_tiled(weights, image, mode=mode, tile=options.tile)
    start = time.perf_counter()
    upscale_tiled(weights, image, mode=mode, tile=options.tile)
    return _figures(height * width, time.perf_counter() - start)


def _file(
    weights: Any, folder: Path, height: int, width: int, options: argparse.Namespace
) -> dict[str, Any]:
    source, target = folder / "lr.tif", folder / "sr.tif"
    write_strips(source, _picture(height, width), shape=(height, width, 3), dtype=np.uint8)
    start = time.perf_counter()
    upscale_large(weights, source, target, tiling=Tiling("stream", options.tile))
    figures = _figures(height * width, time.perf_counter() - start)
    figures |= {"input_mb": source.stat().st_size / 1e6, "output_mb": target.stat().st_size / 1e6}
    return figures | ({"check_levels": _check(weights, source, target)} if options.check else {})


def _picture(height: int, width: int) -> Any:
    """Strips of 64 rows of smooth noise, as pictures are smooth, the same for a seed."""
    for top in range(0, height, 64):
        rows = min(64, height - top)
        noise = np.random.default_rng(top).integers(0, 256, (-(-rows // 8), -(-width // 8), 3))
        yield noise.repeat(8, 0).repeat(8, 1)[:rows, :width].astype(np.uint8)


def _figures(pixels: int, seconds: float) -> dict[str, Any]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mb": peak, "seconds": seconds, "lr_megapixels_per_s": pixels / 1e6 / seconds}


def _check(weights: Any, source: Path, target: Path) -> int:
    """The largest difference, in levels, between a window of the file and the same taken whole."""
    scale, margin = weights.arch.scale, receptive_radius(weights.arch)
    with open_strips(source) as lr, open_strips(target) as sr:
        y, x = (n // 2 for n in (lr.height, lr.width))
        top, left = max(0, y - margin), max(0, x - margin)
        window = lr.rows(top, min(lr.height, y + CHECKED + margin))
        window = window[:, left : x + CHECKED + margin]
        whole = upscale_tiled(weights, window, mode="whole")
        rows = slice((y - top) * scale, (y - top + CHECKED) * scale)
        columns = slice((x - left) * scale, (x - left + CHECKED) * scale)
        wanted = whole[rows, columns].astype(int)
        got = sr.rows(y * scale, y * scale + len(wanted))[
            :, x * scale : x * scale + wanted.shape[1]
        ]
    return int(np.abs(got - wanted).max())


if __name__ == "__main__":
    main()
