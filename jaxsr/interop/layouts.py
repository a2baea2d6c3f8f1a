"""PyTorch's state dicts, as {name: array}, to `Weights` and back; strict both ways."""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsr.interop.families import (
    DISCRIMINATOR_FAMILIES,
    GENERATOR_FAMILIES,
    UNTOLD,
    Family,
    Found,
    Layout,
    rename,
    require_shallow,
)
from jaxsr.networks.discriminators import DISCRIMINATORS
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.weights import Weights, few, make_arch, shapes, stored

WRAPPERS = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.")  # of parallel and of compiled networks
ALIASES = {"netG": ("netG", "net_g", "generator"), "netD": ("netD", "net_d", "discriminator")}
DEEPEST = 8  # A file can hold a dict that holds itself.

LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "slope": "weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
    "u": "weight_u",
    "v": "weight_v",
}

# Spectral normalisation's names in `torch.nn.utils.parametrizations`, and those before it
PARAMETRIZED = {"original": "weight_orig", "0._u": "weight_u", "0._v": "weight_v"}

# PyTorch's count of the batches that made running statistics, which ours do without.
COUNTER = "num_batches_tracked"

# OIHW to HWIO and [out, in] to [in, out], by the number of axes, and back
TO_OURS = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
TO_THEIRS = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}

Path = tuple[str, ...]


class Slot(NamedTuple):
    """A tensor of a state dict."""

    name: str
    shape: tuple[int, ...]


def to_weights(state: Mapping[str, Any], **assumed: Any) -> Weights:
    """Return the generator in a state dict, its fields inferred from names and shapes.

    The state may lie in wrappers (`params_ema` first) and under prefixes (`module.`, `netG.`, ...).
    `assumed` are fields that no tensor tells: `activation` of an ESPCN, tanh unless it is given,
    and of a SRVGGNetCompact without slopes; `res_scale` of an EDSR, 0.1 for 32 blocks of 256 and
    otherwise 1. Raises ValueError that lists what is missing, unused or of another shape.
    """
    return _convert(state, "netG", GENERATORS, GENERATOR_FAMILIES, assumed)


def to_discriminator(state: Mapping[str, Any]) -> Weights:
    """Return the discriminator in a state dict as `to_weights` does, from under `netD.` too.

    Spectral normalisation may be that of `torch.nn.utils.parametrizations`.
    """
    return _convert(state, "netD", DISCRIMINATORS, DISCRIMINATOR_FAMILIES, {})


def is_discriminator(state: Mapping[str, Any]) -> bool:
    """Whether a state dict holds a discriminator and no generator."""
    found = {}
    for network, families in {"netG": GENERATOR_FAMILIES, "netD": DISCRIMINATOR_FAMILIES}.items():
        try:
            found[network] = _recognise(_plain(_arrays(_unwrap(state, network))), families)
        except ValueError:
            continue  # which is the answer
    return list(found) == ["netD"]


def from_weights(weights: Weights, *, layout: str | None = None) -> dict[str, np.ndarray]:
    """Return the state dict of a generator or discriminator, unwrapped, in PyTorch's order of axes.

    `layout` is `new`, for RRDBNet also `middle` or `old`, for SRResNet and ESPCN also `old`. None
    is `new`, for ESRGAN+ `old`: who reads it elsewhere passes over its 1x1 convolutions otherwise.
    Batch counters are 0. Raises ValueError for networks that nobody else has and other layouts.
    """
    kind = type(weights.arch)
    if layout is None:
        layout = "old" if getattr(weights.arch, "plus", False) else "new"
    families = (GENERATOR_FAMILIES | DISCRIMINATOR_FAMILIES).values()
    layouts = next((f.layouts for f in families if type(f.example) is kind), None)
    if layouts is None:
        raise ValueError(f"{kind.__name__} has no layout but ours: keep it as .safetensors")
    if layout not in layouts:
        raise ValueError(
            f"got layout {layout!r}, wanted one of {', '.join(layouts)} for {kind.__name__}"
        )
    flat = flatten_dict({"params": weights.params, "stats": weights.stats})
    state = {}
    for path, slot in _slots(weights.arch, layouts[layout]).items():
        array = np.asarray(flat[path], np.float32)
        state[slot.name] = np.ascontiguousarray(array.transpose(TO_THEIRS[array.ndim]))
    return state | {name: np.zeros((), np.int64) for name in _counters(state)}


def _convert(
    state: Mapping[str, Any],
    network: str,
    registry: Mapping[str, type[nn.Module]],
    families: Mapping[str, Family],
    assumed: Mapping[str, Any],
) -> Weights:
    arrays = _plain(_arrays(_unwrap(state, network)))
    name, layout = _recognise(arrays, families)
    what = f"this looks like {type(families[name].example).__name__} in the {layout} layout"
    rules = families[name].layouts[layout]
    told = [field for field in assumed if field not in UNTOLD]
    if told:
        raise ValueError(
            f"got {', '.join(told)}, wanted {' or '.join(UNTOLD)}: tensors tell the rest"
        )
    try:
        fields = families[name].infer(Found(arrays, rules, assumed))
        arch = make_arch(registry, {**fields, **assumed, "name": name})
        require_shallow(arch)
    except ValueError as error:
        raise ValueError(f"{what}, but {error}") from error
    slots = _slots(arch, rules)
    inferred = ", ".join(f"{field} {value}" for field, value in (fields | dict(assumed)).items())
    _require_match(f"{what} ({inferred})", arrays, slots.values())
    flat = {path: _ours(arrays[slot.name]) for path, slot in slots.items()}
    tree = unflatten_dict(flat)
    return Weights(tree["params"], tree.get("stats", {}), arch)


def _unwrap(state: Mapping[str, Any], network: str) -> Mapping[str, Any]:
    """Take the state dict of `network` out of wrappers and prefixes."""
    for _ in range(DEEPEST):
        inner = _inner(state, network)
        if inner is None:
            return state
        state = inner
    raise ValueError(f"got a state dict in {DEEPEST} wrappers or more, wanted fewer: unwrap it")


def _inner(state: Mapping[str, Any], network: str) -> Mapping[str, Any] | None:
    """Return what is within the outermost wrapper or prefix, None where there is none."""
    for key in (*WRAPPERS, *ALIASES[network]):
        if isinstance(state.get(key), Mapping):
            beside = [str(name) for name, x in state.items() if isinstance(x, np.ndarray)]
            if beside:
                raise ValueError(f"got {few(beside)} beside {key!r}; save what belongs together")
            return state[key]
    for prefix in PREFIXES:
        bare = _below(prefix, state)
        if state and len(bare) == len(state):
            return bare
    # Whole checkpoints hold the other network too.
    return next(filter(None, (_below(f"{alias}.", state) for alias in ALIASES[network])), None)


def _below(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in state if isinstance(name, str) and name.startswith(prefix)]
    return {name.removeprefix(prefix): state[name] for name in names}


def _arrays(state: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    """Check that every value is an array of floats, or a counter."""
    others = [
        f"{name} ({getattr(value, 'dtype', type(value).__name__)})"
        for name, value in state.items()
        if not (
            isinstance(name, str)
            and isinstance(value, np.ndarray)
            and (jnp.issubdtype(value.dtype, jnp.floating) or name.endswith(COUNTER))
        )
    ]
    if others or not state:
        what = few(others) or "nothing"
        raise ValueError(f"got {what}, wanted a state dict that holds arrays of floats alone")
    return state


def _plain(state: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Give spectrally normalised weights the names that PyTorch first had for them."""
    plain = {}
    for name, array in state.items():
        for new, old in PARAMETRIZED.items():
            name = name.replace(f".parametrizations.weight.{new}", f".{old}")
        if name in plain:
            raise ValueError(f"got {name} by an old and a new name, wanted a state dict with one")
        plain[name] = array
    return plain


def _recognise(state: Mapping[str, Any], families: Mapping[str, Family]) -> tuple[str, str]:
    """Return the family and the layout whose names, numbers aside, are most like the state's.

    Raises ValueError where none is much like them, and where it is not among `families`.
    """
    got = _kinds(state)
    likeness = {}
    for name, family in (GENERATOR_FAMILIES | DISCRIMINATOR_FAMILIES).items():
        for layout, rules in family.layouts.items():
            wanted = _kinds(slot.name for slot in _slots(family.example, rules).values())
            likeness[name, layout] = len(got & wanted) / len(got | wanted)
    nearest = max(likeness, key=lambda key: likeness[key])
    kind = type((GENERATOR_FAMILIES | DISCRIMINATOR_FAMILIES)[nearest[0]].example).__name__
    if likeness[nearest] < 0.5:
        near = (
            f"; nearest is {kind} in the {nearest[1]} layout, with which it shares"
            f" {likeness[nearest]:.0%} of the kinds of names"
        )
        raise ValueError(
            f"a state dict of {len(state)} tensors, {few(state)}, is no network known here"
            + (near if likeness[nearest] > 0.1 else "")
        )
    if nearest[0] not in families:
        wanted = "generator" if families is GENERATOR_FAMILIES else "discriminator"
        raise ValueError(f"this is a {kind}, wanted a {wanted}")
    return nearest


def _kinds(names: Any) -> set[str]:
    return {re.sub(r"\d+", "#", name) for name in names if not name.endswith(COUNTER)}


@lru_cache(maxsize=32)
def _slots(arch: nn.Module, layout: Layout) -> dict[Path, Slot]:
    """Return for every array of the network the tensor that holds it."""
    wanted = shapes(arch)
    flat: dict[Path, Any] = flatten_dict({"params": wanted.params, "stats": wanted.stats})
    layers = {path[1] for path in flat}
    blocks = sum(bool(re.fullmatch(r"(block|conv)_\d+", layer)) for layer in layers)
    ups = sum(bool(re.fullmatch(r"(conv_up|upconv)\d", layer)) for layer in layers)
    rules = layout(blocks, ups)
    slots = {}
    for path, array in flat.items():
        leaf = LEAVES[path[-1]]
        if path[-1] == "kernel" and ("stats", *path[1:-1], "u") in flat:
            leaf = "weight_orig"
        name = f"{rename('/'.join(path[1:-1]), rules)}.{leaf}"
        slots[path] = Slot(name, tuple(array.shape[i] for i in TO_THEIRS[array.ndim]))
    return slots


def _counters(names: Collection[str]) -> set[str]:
    means = [name for name in names if name.endswith(".running_mean")]
    return {name.removesuffix("running_mean") + COUNTER for name in means}


def _ours(array: np.ndarray) -> jax.Array:
    return jnp.asarray(stored(array, "float32").transpose(TO_OURS[array.ndim]))


def _require_match(what: str, state: Mapping[str, np.ndarray], slots: Collection[Slot]) -> None:
    """Raise ValueError that lists the first few names in which the tensors differ."""
    wanted = {slot.name: slot.shape for slot in slots}
    misfits = [
        f"{name} {state[name].shape} instead of {wanted[name]}"
        for name in sorted(wanted.keys() & state.keys())
        if state[name].shape != wanted[name]
    ]
    groups = {
        "missing": wanted.keys() - state.keys(),
        "not of it": state.keys() - wanted.keys() - _counters(wanted),
        "of another shape": misfits,
    }
    problems = [f"{len(names)} {how}: {few(names)}" for how, names in groups.items() if names]
    if problems:
        raise ValueError(f"{what}, but {'; '.join(problems)}")
