"""Degradations: from a clean batch to what a network sees, on the device.

A kind of degradation is a frozen dataclass, hashable and so static under jit, with `scale` and
`apply(keys, hr) -> (lr, target)`. Each draws only from `keys`, one per picture, so that a picture
is degraded alike in any batch and on any number of devices.

LR has `levels` steps, as if it came from a file, and is then clipped to [0, 1]; 0 leaves it neither
rounded nor clipped. None leaves it to `with_levels`: as the HR pictures' files.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from numpy.typing import DTypeLike

from jaxsr.imaging.bands import Ranges
from jaxsr.imaging.bsrgan import BSRGAN
from jaxsr.imaging.operations import OPS, Draws, check_output, stream
from jaxsr.imaging.passes import Pass, SecondPass
from jaxsr.imaging.realworld import RealESRGAN
from jaxsr.imaging.resize import resize


@dataclass(frozen=True)
class Bicubic:
    """MATLAB's bicubic reduction, and then `levels`."""

    scale: int
    levels: int | None = None

    crop = None  # no pixel but its neighbours matters to it
    least = 1

    def __post_init__(self) -> None:
        check_output(self)

    def draw(self, key: jax.Array) -> Draws:
        """Draws nothing."""
        return {}

    def apply(self, keys: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Makes (lr, target) of hr [N, H, W, C]."""
        return _reduce(hr, self.scale), hr


@dataclass(frozen=True)
class Chain:
    """The operations `steps` in order, at the size of hr, and then what `Bicubic` does.

    Each step happens to a picture with the step's own `probability`. At scale 1 nothing is reduced.
    Pictures of `crop` pixels a side are degraded, if stated, of which training takes smaller crops.
    """

    scale: int
    steps: tuple[Any, ...]
    levels: int | None = None
    crop: int | None = None

    least = 1

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError('steps: got none, wanted one at least, such as { op = "noise" }')
        check_output(self)

    def draw(self, key: jax.Array) -> Draws:
        """Draws of each of the `steps` whether it happens to a picture, and how."""
        steps = []
        for position, op in enumerate(self.steps):
            own = jax.random.fold_in(key, position)
            steps.append({"happens": _happens(own, op), **op.draw(own)})
        return {"steps": steps}

    def apply(self, keys: jax.Array, hr: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Makes (lr, target) of hr [N, H, W, C]; the target is hr."""
        return _reduce(jax.vmap(self._run)(keys, hr), self.scale), hr

    def _run(self, key: jax.Array, image: jax.Array) -> jax.Array:
        for position, op in enumerate(self.steps):
            own = jax.random.fold_in(key, position)
            changed = op.apply(own, image)
            if op.probability < 1:
                changed = jnp.where(_happens(own, op), changed, image)
            image = changed
        return image


def _happens(key: jax.Array, op: Any) -> jax.Array:
    return jax.random.bernoulli(stream(key, "gate"), op.probability)


def _reduce(image: jax.Array, scale: int) -> jax.Array:
    size = image.shape[1] // scale, image.shape[2] // scale
    return resize(image, size, method="bicubic") if scale > 1 else image


def _name(op: Any) -> str:
    return next(name for name, cls in OPS.items() if type(op) is cls)


Spec = Bicubic | Chain | RealESRGAN | BSRGAN


def is_eight_bit(dtype: DTypeLike, channels: int, ranges: Ranges) -> bool:
    """Says whether pictures are 8-bit grey or RGB, whose LR and SR are rounded to 8 bits again.

    All others (of 16 bits, of floats, of other bands, of stated ranges) are measurements, of which
    nothing is rounded or clipped.
    """
    return np.dtype(dtype) == np.uint8 and channels in (1, 3) and not ranges


def with_levels(spec: Spec, dtype: DTypeLike, *, channels: int, ranges: Ranges = ()) -> Any:
    """Gives `spec` with the levels of LR made of such pictures, where it does not state them."""
    if spec.levels is not None:
        return spec
    levels = 255 if is_eight_bit(dtype, channels, ranges) else 0
    return dataclasses.replace(spec, levels=levels)


DEGRADATIONS = {"bicubic": Bicubic, "chain": Chain, "realesrgan": RealESRGAN, "bsrgan": BSRGAN}

# The tables within a kind's own, with their classes.
_TABLES = {"realesrgan": {"first": Pass, "second": SecondPass}, "bsrgan": {}}


def degrade(
    keys: jax.Array, hr: jax.Array, spec: Spec, *, source: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Makes low-resolution pictures: hr [N, H, W, C] in [0, 1] to (lr, target, hr).

    `keys` [N] are typed PRNG keys, one per picture. lr is [N, H / scale, W / scale, C]; target,
    [N, H, W, C], is what the network is to make of it: hr itself, or a sharpened hr. lr is made of
    `source` where one is given, a worse hr of the same shape. ValueError where `spec.levels` is
    None.
    """
    if spec.levels is None:
        raise ValueError("levels: got None; state 0 or 255, or apply with_levels to the spec first")
    if hr.shape[1] % spec.scale or hr.shape[2] % spec.scale:
        raise ValueError(
            f"pictures of {hr.shape[1]} x {hr.shape[2]} cannot be reduced {spec.scale} times; "
            f"crop height and width to multiples of {spec.scale}"
        )
    lr, target = spec.apply(keys, hr)
    if source is not None:  # the compiler leaves out the LR above, which nothing uses then
        lr, _ = spec.apply(keys, source)
    if spec.levels:
        lr = jnp.round(jnp.clip(lr, 0, 1) * spec.levels) / spec.levels
    return lr, target, hr


def crop_alike(
    keys: jax.Array, lr: jax.Array, target: jax.Array, hr: jax.Array, *, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Cuts what shows the same out of what `degrade` made: HR of `size` pixels a side, LR of fewer.

    Each picture is cut at a place that its key draws, as training takes crops of larger ones.
    """
    scale = hr.shape[1] // lr.shape[1]
    small = size // scale

    def cut(key: jax.Array, lr: jax.Array, target: jax.Array, hr: jax.Array) -> Any:
        y, x = draw_corner(key, (lr.shape[0], lr.shape[1]), size=small)

        def part(image: jax.Array, scale: int) -> jax.Array:
            sides = (small * scale, small * scale, image.shape[-1])
            return jax.lax.dynamic_slice(image, (y * scale, x * scale, 0), sides)

        return part(lr, 1), part(target, scale), part(hr, scale)

    return jax.vmap(cut)(keys, lr, target, hr)


def draw_corner(
    key: jax.Array, sides: tuple[int, int], *, size: int
) -> tuple[jax.Array, jax.Array]:
    """Draws where `crop_alike` cuts a picture: the first row and column, in pixels of LR.

    `sides` are those of LR, and `size` those of what is cut out of it.
    """
    draws = (stream(key, draw) for draw in ("row", "column"))
    y, x = (
        jax.random.randint(key, (), 0, side - size + 1)
        for key, side in zip(draws, sides, strict=True)
    )
    return y, x


def make_degradation(fields: Mapping[str, Any], scale: int) -> Spec:
    """Makes the spec that a config's section `degrade` describes; ValueError names the field.

    `kind` is bicubic (the default); chain, with a list `steps` of tables, each with the name of an
    operation as `op` and its fields; or one operation with its fields, which is a chain of one.
    """
    fields = dict(fields)
    kind = _chosen("degrade.kind", fields.pop("kind", "bicubic"), [*DEGRADATIONS, *OPS])
    if kind == "bicubic":
        return _convert("degrade", fields, Bicubic, scale=scale)
    if kind == "chain":
        _check_known("degrade", fields, ["steps", "levels", "crop"])
        fields["steps"] = _steps(fields.get("steps", []))
    elif kind in _TABLES:
        for name, cls in _TABLES[kind].items():
            table = fields.get(name, {})
            if not isinstance(table, Mapping):
                raise ValueError(
                    f"degrade.{name}: got {table!r}, wanted a table such as {{ noise = [1, 30] }}"
                )
            fields[name] = _convert(f"degrade.{name}", table, cls)
        return _convert("degrade", fields, DEGRADATIONS[kind], scale=scale)
    else:
        own = [field.name for field in dataclasses.fields(OPS[kind])]
        _check_known("degrade", fields, [*own, "levels", "crop"])
        step = {name: fields.pop(name) for name in own if name in fields}
        fields["steps"] = (_convert("degrade", step, OPS[kind]),)
    return _convert("degrade", fields, Chain, scale=scale)


def degradation_fields(spec: Spec) -> dict[str, Any]:
    """Gives the table of which `make_degradation` makes `spec`, defaults written out.

    It holds what TOML holds: strings, numbers, lists and tables. `levels` that the files are to say
    are absent.
    """
    kind = next(name for name, cls in DEGRADATIONS.items() if type(spec) is cls)
    fields = {k: v for k, v in _plain(spec).items() if k != "scale" and v is not None}
    if isinstance(spec, Chain):
        fields["steps"] = [{"op": _name(op), **_plain(op)} for op in spec.steps]
    return {"kind": kind, **fields}


def _plain(op: Any) -> dict[str, Any]:
    fields = {field.name: getattr(op, field.name) for field in dataclasses.fields(op)}
    return {
        k: list(v) if isinstance(v, tuple) else _plain(v) if dataclasses.is_dataclass(v) else v
        for k, v in fields.items()
    }


def _steps(tables: Any) -> tuple[Any, ...]:
    if not isinstance(tables, list | tuple):
        raise ValueError(f"degrade.steps: got {tables!r}, wanted a list of tables")
    steps = []
    for position, table in enumerate(tables):
        where = f"degrade.steps[{position}]"
        if not isinstance(table, Mapping):
            raise ValueError(f'{where}: got {table!r}, wanted a table such as {{ op = "noise" }}')
        fields = dict(table)
        op = _chosen(f"{where}.op", fields.pop("op", None), list(OPS))
        steps.append(_convert(where, fields, OPS[op]))
    return tuple(steps)


def _convert(where: str, fields: Mapping[str, Any], cls: type, **given: Any) -> Any:
    """Makes the dataclass of `fields`, which come from a config, and of what is `given`."""
    names = [field.name for field in dataclasses.fields(cls)]
    _check_known(where, fields, [name for name in names if name not in given])
    try:
        return msgspec.convert({**fields, **given}, cls)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        if path:  # msgspec's own; those of the dataclasses begin with the field
            field = path.rstrip("`")
            reason = f"{field}: {reason} ({fields[field.partition('[')[0]]!r})"
        raise ValueError(f"{where}.{reason}; mend it in the config") from error


def _chosen(where: str, name: Any, known: Sequence[str]) -> str:
    if name not in known:
        near = f"; did you mean {_nearest(name, known)!r}?" if isinstance(name, str) else ""
        raise ValueError(f"{where}: got {name!r}, wanted one of {', '.join(known)}{near}")
    return name


def _check_known(where: str, fields: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in fields:
        if name not in known:
            raise ValueError(
                f"{where}.{name}: no such key; did you mean {_nearest(name, known)!r}? "
                f"(known: {', '.join(known)})"
            )


def _nearest(name: str, known: Sequence[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
