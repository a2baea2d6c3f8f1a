"""The run directory: whose it is, and the config that it keeps."""

from pathlib import Path
from typing import Any

from jaxsr.imaging.files import replacing
from jaxsr.training.config import Config, discriminator, dump_config, generator, load_config

CONFIG = "config.toml"


def check_run(config: Config, run_dir: Path) -> None:
    """Refuse, by ValueError, a folder that is no run directory or holds a run of other networks."""
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
    differing = _differing(load_config(run_dir / CONFIG), config)
    if differing:
        raise ValueError(
            f"{run_dir} holds a run of another network: {'; '.join(differing)}; "
            "name another --run-dir, or give it the config that it was begun with"
        )


def write_config(config: Config, run_dir: Path) -> None:
    """Keep the resolved config in the run directory, whole or not at all."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with replacing(run_dir / CONFIG) as temporary:
        temporary.write_text(dump_config(config))


def _differing(was: Config, now: Config) -> list[str]:
    """The differing fields of those that shape the saved state, with both values."""
    pairs: dict[str, Any] = {"optim.name": (was.optim.name, now.optim.name)}
    for section, network in (("generator", generator), ("discriminator", discriminator)):
        old, new = getattr(was, section) or {}, getattr(now, section) or {}
        # A default that is written out changes nothing.
        for field in {**old, **new} if network(was) != network(now) else ():
            pairs[f"{section}.{field}"] = (old.get(field), new.get(field))
    return [f"{name} was {a!r} and is {b!r}" for name, (a, b) in pairs.items() if a != b]
