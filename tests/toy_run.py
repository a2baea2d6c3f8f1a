"""Toy runs: pictures, configs as TOML files, and `jaxsr` in processes of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import tomli_w
from PIL import Image
from typer.testing import CliRunner

from jaxsr.cli import app
from jaxsr.networks.generators import SRVGGNetCompact
from jaxsr.networks.weights import init_weights, read_weights, save_weights

PIXEL = {
    "generator": {"name": "compact", "scale": 2, "num_features": 4, "num_convs": 1},
    "loss": {"pixel": {"l1": 1.0}},
    "data": {"crop": 16},
    "optim": {"lr": 1e-3},
    "train": {"steps": 6, "batch_size": 8, "log_every": 1},
}
GAN = {
    **PIXEL,
    "discriminator": {"name": "unet", "num_features": 2},
    "loss": {"pixel": {"l1": 1.0}, "adversarial": {"weight": 0.1}},
}


def merged(tree: dict, over: dict) -> dict:
    """`tree` with the sections of `over` laid upon its own."""
    return {name: {**tree.get(name, {}), **over.get(name, {})} for name in {**tree, **over}}


def waves(folder: Path, *, count: int = 4, size: int = 48) -> Path:
    """A folder of pictures of a few waves each, cut off at black and white."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:size, :size]
    for number in range(count):
        rng = np.random.default_rng(number)
        fy, fx, phase = rng.uniform(-0.6, 0.6, (2, 4, 3)).tolist() + [rng.uniform(0, 6, (4, 3))]
        angle = np.multiply.outer(y, fy) + np.multiply.outer(x, fx) + phase
        pixels = 127.5 + 120 * np.sin(angle).sum(axis=2)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def write_config(path: Path, tree: dict, **sections: dict) -> Path:
    path.write_text(tomli_w.dumps(merged(tree, sections)))
    return path


def write_weights(path: Path) -> Path:
    """The smallest network, as it begins, that enlarges twice."""
    arch = SRVGGNetCompact(scale=2, num_features=4, num_convs=1)
    save_weights(path, init_weights(jax.random.key(0), arch))
    return path


def jaxsr(*arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command that runs in this process."""
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def environment(cache: Path, *, devices: int = 1) -> dict[str, str]:
    """Of a process that computes as the tests do, which shares what is compiled by `cache`."""
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def start(arguments: list, env: dict[str, str]) -> subprocess.Popen:
    """Begin `jaxsr ARGUMENTS` in a process and a process group of its own."""
    command = [sys.executable, "-c", "from jaxsr.cli import app; app()", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=env, start_new_session=True, **streams)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, output and errors of what `start` began."""
    try:
        output, errors = process.communicate(timeout=100)
    finally:
        process.kill()
    return process.returncode, output, errors


def wait_for(condition, process: subprocess.Popen) -> None:
    """Until the condition holds; the process must be alive then."""
    limit = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < limit
        time.sleep(0.002)


def records(run: Path, event: str = "step") -> list[dict]:
    """The log's records of one kind, without the times that no two runs share."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    found = [record for record in map(json.loads, lines) if record["event"] == event]
    return [{k: v for k, v in record.items() if k != "seconds"} for record in found]


def logged(run: Path) -> int:
    """How many lines the log has by now."""
    path = run / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def tensors(path: Path) -> dict[str, np.ndarray]:
    weights = read_weights(path)
    return {
        f"{kind}/{layer}/{name}": np.asarray(value)
        for kind, tree in (("params", weights.params), ("stats", weights.stats))
        for layer, leaves in tree.items()
        for name, value in leaves.items()
    }
