"""A generator's weights as one value, and the `.safetensors` files that hold it."""

import dataclasses
import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from jaxsr.imaging.bands import Ranges
from jaxsr.imaging.files import replacing
from jaxsr.networks.generators import GENERATORS

FORMAT = 1
FORMAT_KEY, ARCH_KEY, RANGES_KEY = "jaxsr.format", "jaxsr.arch", "jaxsr.ranges"

DEPTHS = ("num_blocks", "num_convs")  # the fields that say how deep a network is

# Linen's own fields, and those that say how a program runs rather than what the network is.
RUN_FIELDS = ("parent", "name", "dtype", "axis_name")


@flax.struct.dataclass
class Weights:
    """Parameters, running statistics ({} where there are none) and the generator they belong to.

    An ordinary pytree of float32 arrays; `arch` is static, its `dtype` and `axis_name` at their
    defaults, so that the weights of equal networks share one trace. `ranges`, static too, are the
    units of the bands: see `jaxsr.imaging.bands`.
    """

    params: dict[str, Any]
    stats: dict[str, Any]
    arch: nn.Module = flax.struct.field(pytree_node=False)
    ranges: Ranges = flax.struct.field(pytree_node=False, default=())

    def __repr__(self) -> str:
        count = sum(getattr(leaf, "size", 0) for leaf in jax.tree.leaves(self.params))
        return f"Weights({type(self.arch).__name__}, {count:,} parameters)"


def init_weights(key: Array, arch: nn.Module) -> Weights:
    """Draw fresh weights for a generator or discriminator."""
    # Initialisers run one by one: jitted together, those of 351 kernels compile for a minute.
    variables: Any = arch.lazy_init(key, _example(arch))
    return Weights(variables["params"], variables.get("batch_stats", {}), arch)


def shapes(arch: nn.Module) -> Weights:
    """The weights of a network as shapes and types alone."""
    return jax.eval_shape(lambda key: init_weights(key, arch), jax.random.key(0))


def _example(arch: Any) -> jax.ShapeDtypeStruct:
    """What the network may be fed: noise, or a picture of any size that it takes."""
    if hasattr(arch, "latent"):
        return jax.ShapeDtypeStruct((1, arch.latent), jnp.float32)
    # Parameters do not depend on the size.
    side = max(32, getattr(arch, "min_size", 1))
    return jax.ShapeDtypeStruct((1, side, side, arch.channels), jnp.float32)


def make_arch(registry: Mapping[str, type[nn.Module]], spec: Mapping[str, Any]) -> Any:
    """Build the module that `spec`, {"name": a key of `registry`, **fields}, describes.

    Raises ValueError that names the field for unknown names and fields and for wrong values.
    """
    name = spec.get("name")
    if not isinstance(name, str) or name not in registry:
        raise ValueError(_unknown("network", str(name), registry))
    types = _field_types(registry[name])
    values = {}
    for field, value in spec.items():
        if field == "name":
            continue
        if field not in types:
            raise ValueError(_unknown(f"field of {name}", field, types))
        values[field] = _convert(f"{name}.{field}", value, types[field])
    # A default is an attribute of the class.
    if "scale" in types and not ("scale" in values or hasattr(registry[name], "scale")):
        raise ValueError(f"{name} needs a scale: set the field `scale`")
    return registry[name](**values)


def arch_spec(
    arch: nn.Module, *, registry: Mapping[str, type[nn.Module]] = GENERATORS
) -> dict[str, Any]:
    """Return the complete spec of a network: `make_arch(registry, arch_spec(arch)) == arch`."""
    for name, cls in registry.items():
        if type(arch) is cls:
            return {"name": name} | {field: getattr(arch, field) for field in _field_types(cls)}
    raise ValueError(f"{type(arch).__name__} is unknown; known are {', '.join(registry)}")


def _field_types(cls: type[nn.Module]) -> dict[str, Any]:
    fields = dataclasses.fields(cls)  # pyright: ignore[reportArgumentType]
    return {field.name: field.type for field in fields if field.name not in RUN_FIELDS}


def _convert(field: str, value: Any, wanted: Any) -> Any:
    try:
        value = msgspec.convert(value, type=wanted)
    except msgspec.ValidationError as error:
        raise ValueError(f"{field} is {value!r}: {error}") from error
    numbers = value if isinstance(value, tuple) else (value,)
    if not numbers:
        raise ValueError(f"{field} is empty, wanted at least one number")
    # Not a switch, which is an int too.
    if any(type(number) is int and number < 1 for number in numbers):
        raise ValueError(f"{field} is {value}, wanted at least 1")
    return value


def _unknown(what: str, got: str, known: Iterable[str]) -> str:
    known = list(known)
    nearest = difflib.get_close_matches(got, known, 1, 0.0)[0]
    return f"unknown {what} {got!r}; did you mean {nearest!r}? Known: {', '.join(known)}"


def save_weights(
    path: str | Path,
    weights: Weights,
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: str = "float32",
) -> None:
    """Write `weights` with their network and `metadata` (provenance); the file appears whole.

    `dtype` is what they are stored in, float32 or float16; `read_weights` gives float32.
    """
    path = Path(path)
    arrays = {
        name: stored(np.ascontiguousarray(value), dtype)
        for name, value in _flatten(weights.params, weights.stats).items()
    }
    own = {FORMAT_KEY: str(FORMAT), ARCH_KEY: json.dumps(arch_spec(weights.arch))}
    if weights.ranges:
        own[RANGES_KEY] = json.dumps(weights.ranges)
    with replacing(path) as temporary:
        # Not `save_file`, whose files nobody but their owner may read.
        temporary.write_bytes(save(arrays, metadata={**(metadata or {}), **own}))


def stored(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return the array in float32 or float16; ValueError where that makes numbers infinite."""
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    if not np.isfinite(result).all() and np.isfinite(array).all():
        raise ValueError(f"got weights up to {abs(array).max():g}, beyond {dtype}; use float32")
    return result


def read_weights(path: str | Path) -> Weights:
    """Read what `save_weights` wrote; ValueError says what is wrong with any other file."""
    path = Path(path)
    with open_safetensors(path) as file:
        arch = _read_arch(path, file.metadata() or {})
        ranges = _read_ranges(path, file.metadata() or {})
        arrays = {name: _widened(file.get_tensor(name)) for name in file.keys()}
    # A network is described block by block, which takes long if it is deep.
    depth = max((getattr(arch, name, 0) for name in DEPTHS), default=0)
    if depth > len(arrays):
        raise ValueError(f"{path} names a network of {depth} blocks and holds {len(arrays)} arrays")
    wanted = shapes(arch)
    _require_match(path, arrays, _flatten(wanted.params, wanted.stats))
    tree = unflatten_dict({name: jnp.asarray(array) for name, array in arrays.items()}, sep="/")
    return Weights(tree["params"], tree.get("stats", {}), arch, ranges)


def read_metadata(path: str | Path) -> dict[str, str]:
    """Return the metadata of a .safetensors file: for ours, format, network and provenance."""
    with open_safetensors(Path(path)) as file:
        return file.metadata() or {}


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _flatten(params: Any, stats: Any) -> dict[str, Any]:
    return flatten_dict({"params": params, "stats": stats}, sep="/")


def open_safetensors(path: Path) -> Any:
    """A context manager of the tensors in a .safetensors file; ValueError where it is not whole."""
    if not path.is_file():
        raise ValueError(f"no weights file at {path}: check the path")
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole .safetensors file: {error}") from error


def _read_arch(path: Path, metadata: Mapping[str, str]) -> Any:
    version = metadata.get(FORMAT_KEY, "")
    if not version.isdecimal() or len(version) > 9 or ARCH_KEY not in metadata:
        raise ValueError(f"{path} was not written by jaxsr: it names no network")
    if int(version) > FORMAT:
        raise ValueError(
            f"{path} has format {version}, this jaxsr reads up to {FORMAT}: use a newer jaxsr"
        )
    try:
        return make_arch(GENERATORS, msgspec.json.decode(metadata[ARCH_KEY], type=dict[str, Any]))
    except ValueError as error:
        raise ValueError(f"{path} describes its network wrongly: {error}") from error


def _read_ranges(path: Path, metadata: Mapping[str, str]) -> Ranges:
    try:
        return msgspec.json.decode(metadata.get(RANGES_KEY, "[]"), type=Ranges)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path} describes its ranges wrongly: {error}") from error


def _require_match(path: Path, got: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise ValueError that lists the first few names in which the tensors differ."""
    common = got.keys() & wanted.keys()
    misfits = [
        n for n in common if (got[n].shape, got[n].dtype) != (wanted[n].shape, wanted[n].dtype)
    ]
    groups = {
        "missing": wanted.keys() - got.keys(),
        "not of this network": got.keys() - wanted.keys(),
        "of another shape or type": misfits,
    }
    problems = [f"{few(names)} {what}" for what, names in groups.items() if names]
    if problems:
        raise ValueError(f"{path} does not fit the network it names: {'; '.join(problems)}")


def few(names: Collection[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(sorted(names)[:3]) + more
