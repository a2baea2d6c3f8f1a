"""Networks in ncnn's files: the layers of a .param, and their weights from the .bin beside it.

The format is that of ncnn's `Net::load_param` and `ModelBin`, and of each layer's `load_model`.
"""

import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxsr.imaging.files import replacing

Value = int | float | tuple[int | float, ...]

# Layers whose .bin is known; those without weights have none in it.
WEIGHTED = ("Convolution", "InnerProduct", "PReLU")
WEIGHTLESS = (
    *("Input", "Split", "Concat", "BinaryOp", "Eltwise", "Interp", "PixelShuffle", "Reorg"),
    *("ReLU", "Sigmoid", "Clip", "Noop"),
)

_MAGIC = 7767517
_MOST_TEXT = 2**24  # bytes of a .param
_ARRAY = -23300  # the key of an array is this less its number

# What stands before weights, and how they are stored.
_FLAGS = {0: np.dtype("<f4"), 0x01306B47: np.dtype("<f2")}
_INT8 = 0x000D4B38


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer; inputs and outputs are the names of blobs, params ncnn's numbered parameters.

    Weights of Convolution: "weight" [out, in, height, width] and "bias" [out]; of InnerProduct:
    "weight" [out, in] and "bias"; of PReLU: "slope". All float32, but "weight" may be float16.
    """

    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[int, Value]
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """The layers of a network in the order of its file."""

    layers: tuple[Layer, ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The types of layers that this module does not know, read as if they had no weights."""
        types = dict.fromkeys(layer.type for layer in self.layers)
        return tuple(type for type in types if type not in (*WEIGHTED, *WEIGHTLESS))


def read_ncnn(param_path: str | Path) -> Graph:
    """Read a .param and the .bin of the same name beside it.

    Raises ValueError where either is absent or damaged, where the .bin is not used up exactly, and
    for weights in int8 or a table.
    """
    path = Path(param_path)
    for file in (path, path.with_suffix(".bin")):
        if not file.is_file():
            raise ValueError(f"no ncnn file at {file}; a network is a .param and a .bin beside it")
    with _errors_of(path):
        layers = _parse(path)
    with _errors_of(path.with_suffix(".bin")):
        return _with_weights(layers, path.with_suffix(".bin").read_bytes())


def write_ncnn(param_path: str | Path, graph: Graph) -> None:
    """Write a .param and the .bin beside it; a "weight" of float16 is stored so, all else float32.

    Each file appears whole, the .param first. Raises ValueError where a layer's weights do not fit
    its parameters.
    """
    path = Path(param_path)
    with _errors_of(path):
        text = _text(graph)
        content = b"".join(_stored(layer) for layer in graph.layers)
    with replacing(path.with_suffix(".bin")) as binary, replacing(path) as param:
        binary.write_bytes(content)
        param.write_bytes(text.encode())


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # what is damaged raises errors of every kind
        raise ValueError(
            f"{path} is no whole file of ncnn ({str(error)[:300]}); convert the network again"
        ) from error


def _parse(path: Path) -> list[Layer]:
    if path.stat().st_size > _MOST_TEXT:
        raise ValueError(f"it is longer than {_MOST_TEXT} bytes")
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    if int(lines[0]) != _MAGIC:
        raise ValueError(f"it does not begin with {_MAGIC}")
    layers = [_layer(line.split()) for line in lines[2:]]
    counts = [int(count) for count in lines[1].split()]
    if counts != _counts(layers):
        raise ValueError(f"it has {_counts(layers)} layers and blobs, and says {counts}")
    return layers


def _counts(layers: list[Layer]) -> list[int]:
    return [len(layers), len({blob for layer in layers for blob in layer.outputs})]


def _layer(words: list[str]) -> Layer:
    type, name, ins, outs, *rest = words
    inputs, outputs = int(ins), int(ins) + int(outs)
    if not 0 <= inputs <= outputs <= len(rest):
        raise ValueError(f"layer {name[:100]!r} names fewer blobs than it says")
    params = dict(_param(*word.split("=", 1)) for word in rest[outputs:])
    if len(params) < len(rest) - outputs:
        raise ValueError(f"layer {name[:100]!r} sets a parameter twice")
    return Layer(type, name, tuple(rest[:inputs]), tuple(rest[inputs:outputs]), params)


def _param(key: str, text: str) -> tuple[int, Value]:
    if int(key) > _ARRAY:
        return int(key), _number(text)
    count, *values = text.split(",")
    if int(count) != len(values):
        raise ValueError(f"the array {key}={text[:100]} says another length than it has")
    return _ARRAY - int(key), tuple(_number(value) for value in values)


def _number(text: str) -> int | float:
    return float(text) if any(letter in text for letter in ".eEn") else int(text)


def _text(graph: Graph) -> str:
    layers = list(graph.layers)
    lines = [str(_MAGIC), "{} {}".format(*_counts(layers))]
    for layer in layers:
        blobs = [str(len(layer.inputs)), str(len(layer.outputs)), *layer.inputs, *layer.outputs]
        params = [_written(key, value) for key, value in layer.params.items()]
        words = [layer.type, layer.name, *blobs]
        if any(len(word.split()) != 1 for word in words):
            raise ValueError(f"layer {layer.name!r} has a name that is empty or has a space")
        lines.append(f"{layer.type:<24} {layer.name:<24} " + " ".join((*blobs, *params)))
    return "\n".join(lines) + "\n"


def _written(key: int, value: Value) -> str:
    if isinstance(value, tuple):
        return f"{_ARRAY - key}=" + ",".join((str(len(value)), *map(_digits, value)))
    return f"{key}={_digits(value)}"


def _digits(value: int | float) -> str:
    """As ncnn's tools write it, with more digits where a float32 needs them."""
    if isinstance(value, int):
        return str(value)
    short = f"{value:e}"
    return short if np.float32(short) == np.float32(value) else f"{value:.8e}"


def _with_weights(layers: list[Layer], content: bytes) -> Graph:
    at, whole = 0, []
    for layer in layers:
        weights = {}
        for name, shape, flagged in _shapes(layer):
            weights[name], at = _loaded(content, at, shape, flagged, layer)
        whole.append(Layer(**{**vars(layer), "weights": weights}))
    graph = Graph(tuple(whole))
    if at != len(content):
        unknown = f", or {', '.join(graph.unknown)} have weights" if graph.unknown else ""
        raise ValueError(f"its layers take {at} of {len(content)} bytes{unknown}")
    return graph


def _shapes(layer: Layer) -> list[tuple[str, tuple[int, ...], bool]]:
    """Name and shape of a layer's arrays in their order, and whether a flag stands before them."""
    if layer.type not in WEIGHTED:
        return []
    out = _whole(layer, 0)
    if layer.type == "PReLU":
        return [("slope", (out,), False)]
    if _whole(layer, 8):
        raise ValueError(f"layer {layer.name!r} has weights in int8; take the float model")
    area: tuple[int, ...] = ()
    if layer.type == "Convolution":
        width = _whole(layer, 1)
        area = (_whole(layer, 11, width), width)
    size, each = _whole(layer, 6 if area else 2), out * math.prod(area)
    if each == 0 or size % each:
        raise ValueError(f"layer {layer.name!r} has {size} weights, which fill no kernels")
    bias = [("bias", (out,), False)] if _whole(layer, 5 if area else 1) else []
    return [("weight", (out, size // each, *area), True), *bias]


def _whole(layer: Layer, key: int, default: int = 0) -> int:
    value = layer.params.get(key, default)
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"layer {layer.name!r} has {value} as its parameter {key}")
    return value


def _loaded(
    content: bytes, at: int, shape: tuple[int, ...], flagged: bool, layer: Layer
) -> tuple[np.ndarray, int]:
    """The array that begins at a byte, and where the next begins."""
    dtype = _FLAGS[0]
    if flagged:
        (flag,) = struct.unpack_from("<I", content, at)
        if flag not in _FLAGS:
            kind = "int8" if flag == _INT8 else f"a storage of flag {flag:#010x}"
            raise ValueError(
                f"layer {layer.name!r} has weights in {kind}; take the model of float16 or float32"
            )
        dtype, at = _FLAGS[flag], at + 4
    count = math.prod(shape)
    if count * dtype.itemsize > len(content) - at:
        raise ValueError(f"it ends within the weights of layer {layer.name!r}")
    array = np.frombuffer(content, dtype, count, at).reshape(shape)
    return array, at + -(-array.nbytes // 4) * 4


def _stored(layer: Layer) -> bytes:
    parts = []
    shapes = _shapes(layer)
    got = {name: array.shape for name, array in layer.weights.items()}
    if got != {name: shape for name, shape, _ in shapes}:
        raise ValueError(
            f"layer {layer.name!r} has weights {got}, which are not those it describes"
        )
    for name, _, flagged in shapes:
        array = layer.weights[name]
        half = flagged and array.dtype == np.float16
        if not half and array.dtype != np.float32:
            raise ValueError(f"layer {layer.name!r} has a {name} of {array.dtype}, not float32")
        flag, dtype = list(_FLAGS.items())[half]
        content = array.astype(dtype).tobytes()
        parts += [struct.pack("<I", flag)] if flagged else []
        parts += [content, bytes(-len(content) % 4)]
    return b"".join(parts)
