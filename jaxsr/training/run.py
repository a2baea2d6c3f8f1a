"""The run directory: whose it is, and the config that it keeps."""

from pathlib import Path
from typing import Any

from jaxsr.imaging.files import replacing
from jaxsr.training.config import dump_config, load_config
from jaxsr.training.schema import Config

CONFIG = "config.toml"


def check_run(config: Config, run_dir: Path) -> None:
    """Refuse, by ValueError, a folder that is no run directory or holds another or a longer run."""
    if not run_dir.exists():
        return
    if not run_dir.is_dir():
        raise ValueError(f"{run_dir} is a file; name a folder with --run-dir")
    if not (run_dir / CONFIG).is_file():
        if any(run_dir.iterdir()):
            raise ValueError(
                f"{run_dir} is not empty and not a run directory (it has no {CONFIG}); "
                "name another folder with --run-dir"
            )
        return
    try:
        kept = load_config(run_dir / CONFIG)
    except ValueError as error:
        raise ValueError(f"{run_dir / CONFIG}, which the run keeps: {error}") from error
    differing = _differing(kept, config)
    if differing:
        raise ValueError(
            f"{run_dir} holds a run of another network: {'; '.join(differing)}; "
            "name another --run-dir, or give it the config that it was begun with"
        )
    step = saved_step(run_dir)
    if step is not None and step > config.train.steps:
        raise ValueError(
            f"train.steps: got {config.train.steps}, while {run_dir} stands at step {step}; raise "
            "it to train on, or name another --run-dir to begin anew"
        )


def saved_step(run_dir: Path) -> int | None:
    """The step of the newest checkpoint, without opening it."""
    names = (path.name for path in (run_dir / "checkpoints").glob("*"))
    return max((int(name) for name in names if name.isdecimal()), default=None)


def write_config(config: Config, run_dir: Path) -> None:
    """Keep the resolved config in the run directory, whole or not at all."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with replacing(run_dir / CONFIG) as temporary:
        temporary.write_text(dump_config(config), encoding="utf-8")


def _differing(was: Config, now: Config) -> list[str]:
    """The differing fields of those that shape the saved state, with both values."""
    pairs: dict[str, Any] = {"optim.name": (was.optim.name, now.optim.name)}
    for section in ("generator", "discriminator"):
        old, new = getattr(was, section) or {}, getattr(now, section) or {}
        pairs |= {f"{section}.{k}": (old.get(k), new.get(k)) for k in {**old, **new}}
    return [f"{name} was {a!r} and is {b!r}" for name, (a, b) in pairs.items() if a != b]
