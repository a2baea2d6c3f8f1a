"""`load(path)`: weights from whatever holds them."""

from pathlib import Path

from jaxsr.networks.weights import Weights, read_weights


def load(path: str | Path) -> Weights:
    """Weights from a `.safetensors` file of jaxsr, or the newest averaged ones of a run directory.

    Raises ValueError where there is nothing to load, and says what there is.
    """
    path = Path(path)
    if path.is_dir():
        return read_weights(_in_run(path))
    if not path.exists():
        raise ValueError(f"no weights at {path}; name a .safetensors file or a run directory")
    return read_weights(path)


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
