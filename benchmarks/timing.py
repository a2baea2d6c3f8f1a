"""What the benchmarks share: timing of chained calls, and the facts of a compiled program."""

import json
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def chained(call: Callable[[], Any], *, warm_up: int, chains: int, length: int) -> dict[str, float]:
    """Seconds of one call: median, p10 and p90 over `chains` chains of `length` calls each.

    The device is waited for at the end of a chain only, as a training loop would have it.
    """
    for _ in range(warm_up):
        jax.block_until_ready(call())
    seconds = []
    for _ in range(chains):
        start = time.perf_counter()
        for _ in range(length):
            result = call()
        jax.block_until_ready(result)
        seconds.append((time.perf_counter() - start) / length)
    p10, median, p90 = np.percentile(seconds, [10, 50, 90]).tolist()
    return {"seconds": median, "p10": p10, "p90": p90}


def compiled(lowered: jax.stages.Lowered) -> tuple[jax.stages.Compiled, dict[str, Any]]:
    """Compile, and say how long it took, the FLOPs of XLA's own count and the bytes it reserves.

    FLOPs and bytes are those of one device.
    """
    start = time.perf_counter()
    program = lowered.compile()
    seconds = time.perf_counter() - start
    cost, memory = program.cost_analysis(), program.memory_analysis()
    reserved = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    reserved += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return program, {
        "compile_seconds": round(seconds, 2),
        "gflop": round(cost["flops"] / 1e9, 3),
        "program_bytes": reserved,
    }


def report(case: dict[str, Any], device: jax.Device) -> None:
    """Print one JSON line: the case, the device and the versions, floats at five digits."""
    stats = device.memory_stats() or {}
    facts = {
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        # Only accelerators count it; on the CPU `program_bytes` has to do.
        "peak_bytes": stats.get("peak_bytes_in_use"),
    }
    rounded = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in case.items()}
    print(json.dumps(rounded | facts), flush=True)
