"""ncnn's graphs to `Weights` and back, for RRDBNet and SRVGGNetCompact.

As ncnn's programs want it, the picture is the blob `data`, RGB in [0, 1], and the result `output`.
Where an RRDBNet unshuffles, its first convolution goes in steps over the picture itself, which is
the same: chaiNNer reads scale and channels from it, and would misread a Reorg. ncnn cannot extend a
picture by reflection to a size that it does not know: its sides must be multiples of the
unshuffling, and what is left over at the right and the bottom is lost.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import isqrt, prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxsr.interop.families import require_shallow
from jaxsr.interop.ncnn import Graph, Layer
from jaxsr.interop.nodes import Node, Settings, trace
from jaxsr.networks.generators import GENERATORS
from jaxsr.networks.plain import SRVGGNetCompact
from jaxsr.networks.rrdbnet import RRDBNet
from jaxsr.networks.weights import Weights, arch_spec, make_arch, shapes, stored


def from_ncnn(graph: Graph) -> Weights:
    """Return the network of a graph, its fields inferred, in float32.

    The graph is compared with that of the network node by node, in the normal form of `trace`.
    Raises ValueError that names the first layer that does not fit, and what would.
    """
    if graph.unknown:
        raise ValueError(
            f"got layers of the types {', '.join(graph.unknown)[:200]}, wanted those of an RRDBNet"
            " or an SRVGGNetCompact, which alone are read from ncnn's files"
        )
    numbers: dict[Any, int] = {}
    nodes = trace(graph, numbers)
    arch = _infer(nodes)
    wanted = trace(_skeleton(arch, _shapes(arch)), numbers)
    _require_same(arch, nodes, wanted)
    weighted = {node.number: node.layer for node in nodes if node.op in ("Convolution", "PReLU")}
    flat = {
        f"{node.layer.name}/{leaf}": jnp.asarray(array)
        for node in wanted
        if node.number in weighted
        for leaf, array in _ours(weighted[node.number]).items()
    }
    return Weights(unflatten_dict(flat, sep="/"), {}, arch)


def to_ncnn(weights: Weights, *, dtype: str = "float32") -> Graph:
    """Return the graph of an RRDBNet or SRVGGNetCompact, its kernels in float32 or float16.

    Raises ValueError for other networks, for ranges, and for kernels that float16 cannot hold.
    """
    if type(weights.arch) not in BUILDERS:
        raise ValueError(
            f"got a {type(weights.arch).__name__}, wanted an RRDBNet or an SRVGGNetCompact, which"
            " alone are written for ncnn: choose another kind of file"
        )
    if weights.ranges:
        raise ValueError(
            f"got weights with the ranges {weights.ranges}, which no file of ncnn can state: write"
            " a .safetensors file"
        )
    if dtype not in ("float32", "float16"):
        raise ValueError(f"got dtype {dtype!r}, wanted float32 or float16")
    flat = flatten_dict(weights.params, sep="/")
    layers = _skeleton(weights.arch, flat).layers
    return Graph(tuple(dataclasses.replace(x, weights=_theirs(x, flat, dtype)) for x in layers))


def _infer(nodes: Sequence[Node]) -> Any:
    """Return the network that a graph looks like."""
    convs = [node for node in nodes if node.op == "Convolution"]
    if len(convs) < 2:
        raise ValueError(f"a graph with {len(convs)} convolutions is no network known here")
    dense = any(node.op == "Concat" for node in nodes)
    fields = _infer_rrdbnet(nodes, convs) if dense else _infer_compact(nodes, convs)
    try:
        return make_arch(GENERATORS, fields)
    except ValueError as error:
        kind = GENERATORS[fields["name"]].__name__
        raise ValueError(f"this looks like {kind}, but {error}") from error


def _infer_rrdbnet(nodes: Sequence[Node], convs: Sequence[Node]) -> dict[str, Any]:
    ups = sum(node.op == "Interp" for node in nodes)
    strides = [node.settings.get(0) for node in nodes if node.op == "Reorg"]
    unshuffle = next((stride for stride in strides if stride in (2, 4)), 1)
    plus = any(conv.settings[1] == 1 for conv in convs)
    return {
        "name": "rrdbnet",
        "scale": 2**ups // unshuffle,
        "channels": convs[-1].settings[0],
        "num_features": convs[0].settings[0],
        "num_blocks": (len(convs) - 4 - ups) // (18 if plus else 15),
        "growth": convs[1].settings[0],
        "unshuffle": unshuffle,
        "plus": plus,
    }


def _infer_compact(nodes: Sequence[Node], convs: Sequence[Node]) -> dict[str, Any]:
    features, channels = convs[0].layer.weights["weight"].shape[:2]
    slopes = [node.settings.get(0, 0) for node in nodes if node.op == "ReLU"]
    return {
        "name": "compact",
        "scale": isqrt(convs[-1].layer.weights["weight"].shape[0] // channels),
        "channels": channels,
        "num_features": features,
        "num_convs": len(convs) - 2,
        "activation": "prelu" if not slopes else "lrelu" if slopes[0] else "relu",
    }


@lru_cache(maxsize=8)
def _shapes(arch: Any) -> dict[str, Any]:
    require_shallow(arch)
    return flatten_dict(shapes(arch).params, sep="/")


def _require_same(arch: Any, nodes: Sequence[Node], wanted: Sequence[Node]) -> None:
    """Raise ValueError unless the nodes of a graph are those of the network."""
    fields = ", ".join(f"{k} {v}" for k, v in arch_spec(arch).items() if k != "name")
    what = f"this looks like {type(arch).__name__} ({fields})"
    names = {node.number: node.layer.name for node in (*wanted, *nodes)}
    given, known = ({node.number for node in some} for some in (nodes, wanted))
    lacking = [node for node in wanted if node.number not in given]
    for node in nodes:
        if node.number in known:
            continue
        here = [other.told(names) for other in lacking if {*other.inputs} & {*node.inputs}]
        nothing = "nothing more: take a file of the network alone, and do the rest to its pictures"
        raise ValueError(
            f"{what}, but its layer {node.layer.name[:100]!r} ({node.layer.type}) computes"
            f" {node.told(names)}, where the network has {here[0] if here else nothing}"
        )
    if lacking:
        raise ValueError(f"{what}, but it ends before {lacking[0].told(names)}")


@dataclass
class _Draft:
    """Layers in the making, without weights; each gives the blob of its own name."""

    shaped: Mapping[str, Any]  # our parameters, or what has their shapes
    layers: list[Layer] = field(default_factory=list)

    def add(self, kind: str, name: str, *inputs: str, params: Settings | None = None) -> str:
        self.layers.append(Layer(kind, name, inputs, (name,), params or {}))
        return name

    def conv(self, path: str, x: str, *, act: Settings | None = None, unshuffle: int = 1) -> str:
        """The convolution at a path of our tree, of `x` unshuffled, and its activation."""
        shape = self.shaped[f"{path}/kernel"].shape
        steps = {3: unshuffle} if unshuffle > 1 else {}
        size = {0: shape[3], 1: shape[0] * unshuffle, **steps, 4: shape[0] // 2 * unshuffle}
        bias = int(f"{path}/bias" in self.shaped)
        return self.add(
            "Convolution", path, x, params={**size, 5: bias, 6: prod(shape), **(act or {})}
        )

    def enlarge(self, name: str, x: str, factor: int) -> str:
        nearest = {0: 1, 1: float(factor), 2: float(factor)}
        return self.add("Interp", name, x, params=nearest)

    def residual(self, name: str, y: str, x: str) -> str:
        """0.2 y + x."""
        return self.add("Eltwise", name, y, x, params={0: 1, 1: (0.2, 1.0)})


def _skeleton(arch: Any, shaped: Mapping[str, Any]) -> Graph:
    """Return the graph of a network without weights, whose weighted layers bear our names."""
    draft = _Draft(shaped)
    BUILDERS[type(arch)](arch, draft, draft.add("Input", "data"))
    last = dataclasses.replace(draft.layers[-1], outputs=("output",))
    return Graph(tuple(_split([*draft.layers[:-1], last])))


def _split(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Give each user of a blob one of its own, for ncnn's blobs have one user."""
    users = Counter(blob for layer in layers for blob in layer.inputs)
    copies = {
        blob: tuple(f"{blob}_splitncnn_{i}" for i in range(count))
        for blob, count in users.items()
        if count > 1
    }
    unused = {blob: iter(names) for blob, names in copies.items()}
    for layer in layers:
        inputs = tuple(next(unused[blob]) if blob in unused else blob for blob in layer.inputs)
        yield dataclasses.replace(layer, inputs=inputs)
        for blob in layer.outputs:
            if blob in copies:
                yield Layer("Split", f"splitncnn_{blob}", (blob,), copies[blob], {})


def _leaky(slope: float) -> Settings:
    return {9: 2, 10: (slope,)}


def _rrdbnet(arch: RRDBNet, draft: _Draft, x: str) -> None:
    first = y = draft.conv("conv_first", x, unshuffle=arch.multiple)
    for i in range(arch.num_blocks):
        block = y
        for j in (1, 2, 3):
            y = _dense(draft, f"block_{i}/rdb{j}", y, plus=arch.plus)
        y = draft.residual(f"block_{i}", y, block)
    y = draft.add("BinaryOp", "add", first, draft.conv("conv_body", y))
    for i in range(1, 1 + arch.num_ups):
        y = draft.conv(f"conv_up{i}", draft.enlarge(f"enlarge{i}", y, 2), act=_leaky(0.2))
    draft.conv("conv_last", draft.conv("conv_hr", y, act=_leaky(0.2)))


def _dense(draft: _Draft, path: str, x: str, *, plus: bool) -> str:
    maps = [x]
    for i in (1, 2, 3, 4):
        y = draft.add("Concat", f"{path}/concat{i}", *maps) if i > 1 else x
        y = draft.conv(f"{path}/conv{i}", y, act=_leaky(0.2))
        if plus and i == 2:
            y = draft.add("BinaryOp", f"{path}/add2", y, draft.conv(f"{path}/conv1x1", x))
        elif plus and i == 4:
            y = draft.add("BinaryOp", f"{path}/add4", y, maps[2])
        maps.append(y)
    y = draft.conv(f"{path}/conv5", draft.add("Concat", f"{path}/concat5", *maps))
    return draft.residual(path, y, x)


def _compact(arch: SRVGGNetCompact, draft: _Draft, x: str) -> None:
    act = {"prelu": {}, "relu": {9: 1}, "lrelu": _leaky(0.1)}[arch.activation]
    y = x
    for name in ("first", *range(arch.num_convs)):
        y = draft.conv(f"conv_{name}", y, act=act)
        if arch.activation == "prelu":
            slopes = draft.shaped[f"act_{name}/slope"].size
            y = draft.add("PReLU", f"act_{name}", y, params={0: slopes})
    y = draft.add("PixelShuffle", "shuffle", draft.conv("conv_last", y), params={0: arch.scale})
    # chaiNNer reads the scale right only where the sum follows at once.
    draft.add("BinaryOp", "add", y, draft.enlarge("enlarge", x, arch.scale))


BUILDERS: dict[Any, Callable[[Any, _Draft, str], None]] = {
    RRDBNet: _rrdbnet,
    SRVGGNetCompact: _compact,
}


def _theirs(layer: Layer, flat: Mapping[str, Any], dtype: str) -> dict[str, np.ndarray]:
    """Return the weights of a layer that bears our name."""
    leaves = {"kernel": "weight", "bias": "bias", "slope": "slope"}
    arrays = {
        theirs: np.asarray(flat[f"{layer.name}/{ours}"], np.float32)
        for ours, theirs in leaves.items()
        if f"{layer.name}/{ours}" in flat
    }
    if "weight" in arrays:
        side, _, ins, out = arrays["weight"].shape
        steps: Any = layer.params.get(3, 1)
        # Input channel (c m + i) m + j is at row i and column j of m x m pixels, m the steps.
        kernel = arrays["weight"].reshape(side, side, -1, steps, steps, out)
        kernel = kernel.transpose(5, 2, 0, 3, 1, 4)
        kernel = kernel.reshape(out, ins // steps**2, side * steps, side * steps)
        arrays["weight"] = stored(kernel, dtype)
    return arrays


def _ours(layer: Layer) -> dict[str, np.ndarray]:
    """Return the weights of a layer by our names, its steps undone."""
    arrays = {name: np.asarray(array, np.float32) for name, array in layer.weights.items()}
    if "weight" in arrays:
        weight = arrays.pop("weight")
        out, ins, side, _ = weight.shape
        steps: Any = layer.params.get(3, 1)
        kernel = weight.reshape(out, ins, side // steps, steps, side // steps, steps)
        kernel = kernel.transpose(2, 4, 1, 3, 5, 0)
        arrays["kernel"] = kernel.reshape(side // steps, side // steps, -1, out)
    return arrays
