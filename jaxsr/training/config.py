"""The config of a run: TOML in and out, and overrides."""

import tomllib
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tomli_w
from flax import linen as nn

from jaxsr.evaluation.measures import usual
from jaxsr.imaging.degrade import degradation_fields, make_degradation
from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import arch_spec, make_arch
from jaxsr.training.checks import check, unknown_key
from jaxsr.training.schema import Config


def load_config(path: str | Path, *, overrides: Sequence[str] = ()) -> Config:
    """Read TOML and lay `section.key=value` over it; ValueError says what is wrong and where."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no config at {path}; name a TOML file, such as configs/quickstart.toml")
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    for override in overrides:
        _override(tree, override)
    return make_config(tree)


def make_config(tree: dict[str, Any]) -> Config:
    """The checked config; ValueError names the field, and the nearest for one unknown."""
    _reject_unknown(Config, tree, "")
    try:
        config = msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$")
        reason = reason.replace("Object missing required field", "it lacks")
        field = where.strip(".`") or "config"
        raise ValueError(
            f"{field}: {reason}{_got(tree, field)}; mend it in the config or with --set"
        ) from error
    return _resolve(config)


def _got(tree: Any, field: str) -> str:
    """The value of a field in brackets, if it is short."""
    for key in field.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return "" if tree is None or isinstance(tree, dict | list) else f" ({tree!r})"


def dump_config(config: Config) -> str:
    """The whole config as TOML, which `make_config` reads back as an equal config."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(config)))


def generator(config: Config) -> Any:
    """The generator that the config names, in float32."""
    return _network("generator", GENERATORS, config.generator)


def discriminator(config: Config) -> Any:
    """The discriminator, in float32; None where the config has no adversarial term."""
    if config.discriminator is None:
        return None
    return _network("discriminator", DISCRIMINATORS, config.discriminator)


def _network(section: str, registry: dict[str, type[nn.Module]], spec: dict[str, Any]) -> Any:
    try:
        return make_arch(registry, spec)
    except ValueError as error:
        raise ValueError(f"{section}: {error}") from error


def degradation(config: Config) -> Any:
    """The spec of `jaxsr.imaging.degrade`; its `levels` may be left to the pictures."""
    return make_degradation(config.degrade, generator(config).scale)


def _resolve(config: Config) -> Config:
    """The config with the defaults of its networks and degradation written out, once it is sound.

    A run keeps them so: another default in a later version does not change it.
    """
    g, d, spec = generator(config), discriminator(config), degradation(config)
    check(config, g, d, spec)
    best = config.eval.best or usual(g.channels, scale=getattr(g, "scale", 1))[0]
    return msgspec.structs.replace(
        config,
        generator=arch_spec(g),
        discriminator=arch_spec(d, registry=DISCRIMINATORS) if d else None,
        degrade=degradation_fields(spec),
        eval=msgspec.structs.replace(config.eval, best=best),
    )


def read_crop(config: Config) -> int:
    """The pixels of a side of what is read of a picture: `degrade.crop` or else `data.crop`."""
    return degradation(config).crop or config.data.crop


def _override(tree: dict[str, Any], override: str) -> None:
    """Lay one `a.b=value` over the tree."""
    name, equals, text = override.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not key or not sections:
        raise ValueError(f"--set {override}: wanted section.key=value, such as train.steps=100")
    value = parse_value(text)
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ValueError(f"--set {override}: {section} is a value, not a section")
    tree[key] = value


def parse_value(text: str) -> Any:
    """The TOML value that `text` is, or else the string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _reject_unknown(struct: type, tree: Any, where: str) -> None:
    """Refuse keys that no field answers to; msgspec's own message does not name the nearest."""
    if not isinstance(tree, dict):
        return  # the conversion says what it wanted
    hints = typing.get_type_hints(struct)
    for key, value in tree.items():
        if key not in hints:
            raise ValueError(unknown_key(where + key, key, list(hints)))
        listed = isinstance(value, list)
        tables = [(f"[{i}]", v) for i, v in enumerate(value)] if listed else [("", value)]
        for inner in _structs(hints[key]):
            for place, table in tables:
                _reject_unknown(inner, table, f"{where}{key}{place}.")


def _structs(hint: Any) -> list[type]:
    options = typing.get_args(hint) or (hint,)
    return [o for o in options if isinstance(o, type) and issubclass(o, msgspec.Struct)]


def _without_none(tree: Any) -> Any:
    # TOML has no null: an absent key is None.
    if isinstance(tree, dict):
        return {k: _without_none(v) for k, v in tree.items() if v is not None}
    return tree
