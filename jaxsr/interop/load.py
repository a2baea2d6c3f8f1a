"""`load(path)`: weights from whatever holds them."""

import tomllib
from pathlib import Path
from typing import Any

from jaxsr.networks.weights import Weights, read_metadata, read_weights


def load(path: str | Path) -> Weights:
    """Weights from a `.safetensors` file of jaxsr, or the newest averaged ones of a run directory.

    Raises ValueError where there is nothing to load, and says what there is.
    """
    return read_weights(_file(path))


def load_degradation(path: str | Path) -> dict[str, Any] | None:
    """The fields of what the network of `load(path)` was trained to undo, where its file says."""
    text = read_metadata(_file(path)).get("config")
    return None if text is None else tomllib.loads(text)["degrade"]


def _file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        return _in_run(path)
    if not path.exists():
        raise ValueError(f"no weights at {path}; name a .safetensors file or a run directory")
    return path


def _in_run(run: Path) -> Path:
    file = run / "weights" / "last.safetensors"
    if not (run / "config.toml").is_file():
        raise ValueError(
            f"{run} is not a run directory (it has no config.toml); "
            "name the folder that jaxsr train wrote"
        )
    if not file.is_file():
        raise ValueError(f"{run} holds no weights yet; train it up to its first checkpoint")
    return file
