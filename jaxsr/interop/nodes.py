"""The normal form of ncnn's graphs: what their layers compute, however it is written."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsr.interop.ncnn import WEIGHTED, Graph, Layer, Value

Settings = dict[int, Value]

# ncnn's defaults that are not 0, and those of convolutions that are another of their parameters.
_DEFAULTS = {
    "Convolution": {2: 1, 3: 1},
    "Interp": {1: 1, 2: 1},
    "PixelShuffle": {0: 1},
    "Reorg": {0: 1},
}
_FOLLOWED = {11: 1, 12: 2, 13: 3, 14: 4, 15: 4, 16: 14}
_HINTS = (30, 31)  # shapes and precision, which any layer may have

# Parameters that are no whole numbers; of others ncnn would take the bits of a float.
_FLOATS = {"Convolution": (18,), "ReLU": (0,), "BinaryOp": (2,), "Interp": (1, 2)}

# What gives what it gets, the latter three because the factor is 1.
_NOTHING = (
    *(("Split", {}), ("Noop", {})),
    *(("Scale", {0: 1}), ("Interp", {0: 1}), ("PixelShuffle", {})),
)


class Node(NamedTuple):
    """One operation, upon the results of the nodes whose numbers are `inputs`.

    Nodes of the same number compute the same. `settings` are ncnn's parameters where they are not
    at their defaults. Scale multiplies by its parameter 0, and Add sums: ncnn has them elsewhere.
    """

    number: int
    op: str
    settings: Settings
    inputs: tuple[int, ...]
    layer: Layer

    def told(self, names: Mapping[int, str]) -> str:
        """Say briefly what it does, and upon what, whose names are given by their numbers."""
        settings = "".join(f" {key}={value}" for key, value in self.settings.items())
        inputs = ", ".join(names[number] for number in self.inputs) or "nothing"
        return f"{self.op}{settings} of {inputs}"[:200]


def trace(graph: Graph, numbers: dict[Any, int]) -> list[Node]:
    """Return what a graph computes, in its order; calls with the same `numbers` number alike.

    Left out are names of blobs, layers that do nothing, the order of addends, and which of equal
    ways ncnn is told in: activations within convolutions, coefficients of sums, unshuffling as the
    steps of a convolution. Raises ValueError for blobs that come from no layer before or from two,
    and where another layer than a Split gives more than one.
    """
    tracer = _Tracer(numbers)
    for layer in graph.layers:
        tracer.read(layer)
    return tracer.nodes


class _Tracer:
    def __init__(self, numbers: dict[Any, int]):
        self.nodes: list[Node] = []
        self._numbers = numbers
        self._blobs: dict[str, int] = {}
        self._seen: Counter[Any] = Counter()

    def read(self, layer: Layer) -> None:
        what = f"the layer {layer.name[:100]!r} ({layer.type})"
        for blob in layer.inputs:
            if blob not in self._blobs:
                raise ValueError(f"{what} takes a blob that none before it gives: {blob[:100]!r}")
        if len(layer.outputs) != 1 and layer.type != "Split":
            raise ValueError(f"{what} gives {len(layer.outputs)} blobs, as only a Split may")
        value = self._read(layer, tuple(self._blobs[blob] for blob in layer.inputs))
        for blob in layer.outputs:
            if blob in self._blobs:
                raise ValueError(f"{what} gives a blob that one before it gives: {blob[:100]!r}")
            self._blobs[blob] = value

    def _read(self, layer: Layer, values: tuple[int, ...]) -> int:
        """Note what a layer does, and return the number of its result."""
        settings = _settings(layer)
        factors = _factors(layer.type, settings, len(values))
        if factors is not None:
            pairs = zip(values, factors, strict=True)
            scaled = [self._note(layer, "Scale", {0: f}, (value,)) for value, f in pairs]
            return self._note(layer, "Add", {}, tuple(sorted(scaled)))
        for op, part in _steps(layer.type, settings):
            values = (self._note(layer, op, part, values),)
        return values[0]

    def _note(self, layer: Layer, op: str, settings: Settings, inputs: tuple[int, ...]) -> int:
        """Note an operation unless it does nothing, and return the number of its result."""
        if (op, settings) in _NOTHING and len(inputs) == 1:
            return inputs[0]
        key = (op, tuple(sorted(settings.items())), inputs)
        if op in (*WEIGHTED, "Input"):  # two that look the same are two
            self._seen[key] += 1
            key = (*key, self._seen[key])
        number = self._numbers.setdefault(key, len(self._numbers))
        self.nodes.append(Node(number, op, settings, inputs, layer))
        return number


def _factors(kind: str, settings: Settings, count: int) -> tuple[int | float, ...] | None:
    """Return what a layer multiplies its inputs by before it sums them, None for another layer."""
    ones = (1,) * count
    if kind == "BinaryOp":
        return None if settings else ones
    factors = settings.get(1, ones)
    sums = kind == "Eltwise" and settings.get(0) == 1 and settings.keys() <= {0, 1}
    return factors if sums and isinstance(factors, tuple) and len(factors) == count else None


def _steps(kind: str, settings: Settings) -> list[tuple[str, Settings]]:
    """Return the operations of a layer that does not sum, one upon the result of another."""
    if kind == "Input":
        return [(kind, {})]  # its parameters are hints of the picture's size
    if kind == "Convolution":
        return _convolution(settings)
    if kind == "BinaryOp" and settings == {0: 2, 1: 1, 2: settings.get(2)}:
        return [("Scale", {0: settings[2]})]
    return [(kind, settings)]


def _convolution(settings: Settings) -> list[tuple[str, Settings]]:
    conv = {key: value for key, value in settings.items() if key not in (9, 10)}
    activation, params = settings.get(9, 0), settings.get(10)
    steps = settings.get(3)
    before = []
    # A kernel of 3x3 upon the unshuffled picture is one of thrice the steps upon the picture.
    bigger = type(steps) is int and (conv[1], conv.get(4)) == (3 * steps, steps)
    if bigger and conv.keys() == {0, 1, 3, 4, 5, 6}:
        before = [("Reorg", {0: conv.pop(3)})]
        conv |= {1: 3, 4: 1}
    if activation == 0:
        return [*before, ("Convolution", conv)]
    if activation == 1:
        return [*before, ("Convolution", conv), ("ReLU", {})]
    if activation == 2 and isinstance(params, tuple):
        return [*before, ("Convolution", conv), ("ReLU", {0: params[0]} if params[0] else {})]
    return [("Convolution", settings)]


def _settings(layer: Layer) -> Settings:
    settings = {}
    for key, value in sorted(layer.params.items()):
        value = _rounded(value)
        if isinstance(value, float) and key not in _FLOATS.get(layer.type, ()):
            value = (value,)  # which fits nothing
        if key not in _HINTS and value not in ((), _default(layer, key)):
            settings[key] = value
    return settings


def _default(layer: Layer, key: int) -> Value:
    if layer.type == "Convolution" and key in _FOLLOWED:
        followed = _FOLLOWED[key]
        return layer.params.get(followed, _default(layer, followed))
    return _DEFAULTS.get(layer.type, {}).get(key, 0)


def _rounded(value: Value) -> Value:
    """Numbers as files write them: 0.2 has become 0.200000003 in some."""
    if isinstance(value, tuple):
        return tuple(float(f"{x:.7g}") if isinstance(x, float) else x for x in value)
    return float(f"{value:.7g}") if isinstance(value, float) else value
