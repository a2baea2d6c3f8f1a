"""How many crops a second reach the device: `python benchmarks/data.py SOURCE... [--cache disk]`.

One JSON line per case, a case being one of `--cache` with one of `--workers`. Crops/s are those of
single batches, timed one after the other after a warm-up; `fill_seconds` is what the store took.
"""

import argparse
import json
import math
import os
import time

import numpy as np

from jaxsr.training.data import Source, batches
from jaxsr.training.pictures import Pictures, scan
from jaxsr.training.store import Store, fill


def main() -> None:
    options = _options()
    start = time.perf_counter()
    pictures, dropped = scan(options.source, crop=options.crop, channels=options.channels)
    scanned = time.perf_counter() - start
    common = {
        "source": options.source,
        "pictures": len(pictures.paths),
        "dropped": len(dropped),
        "scan_seconds": round(scanned, 3),
        "crop": options.crop,
        "batch": options.batch,
        "cpus": os.cpu_count(),
    }
    for cache in options.cache:
        for workers in options.workers:
            print(json.dumps(common | _measure(pictures, cache, workers, options)), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="+", help="file, folder, glob or package:NAME/PATH")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--cache", nargs="+", default=["none"], choices=["none", "memory", "disk"])
    parser.add_argument("--workers", nargs="+", type=int, default=[0])
    parser.add_argument("--batches", type=int, default=50, help="timed")
    return parser.parse_args()


def _measure(pictures: Pictures, cache: str, workers: int, options: argparse.Namespace) -> dict:
    start = time.perf_counter()
    if cache == "disk":
        for _ in fill(pictures):
            pass
    filled = time.perf_counter() - start
    store = Store(pictures) if cache == "disk" else None
    source = Source(pictures, seed=0, memory=cache == "memory", store=store)
    warm_up = 4 + 4 * workers  # what is buffered before the clock starts
    if cache == "memory":  # each worker has to meet every picture: nearly surely in 6 epochs a head
        warm_up += math.ceil((6 * workers or 1) * len(pictures.paths) / options.batch)
    iterator = batches(source, position=0, batch_size=options.batch, workers=workers)
    try:
        for _ in range(warm_up):
            next(iterator)
        times = [time.perf_counter()]
        for _ in range(options.batches):
            next(iterator)
            times.append(time.perf_counter())
    finally:
        iterator.close()
    return {"cache": cache, "workers": workers, "fill_seconds": round(filled, 2)} | _rates(
        np.array(times), options.batch
    )


def _rates(times: np.ndarray, batch: int) -> dict[str, float]:
    """Crops/s over spans of batches, for buffered ones arrive in bursts; and over the whole."""
    span = max(1, (len(times) - 1) // 10)
    rates = batch * span / (times[span:] - times[:-span])[::span]
    low, median, high = np.percentile(rates, [10, 50, 90]).round(1).tolist()
    whole = batch * (len(times) - 1) / (times[-1] - times[0])
    return {"crops_per_s": median, "p10": low, "p90": high, "mean": round(whole, 1)}


if __name__ == "__main__":
    main()
