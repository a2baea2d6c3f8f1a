"""`load(path)`: weights from whatever holds them."""

import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.interop.fetch import fetched
from jaxsr.interop.graphs import from_ncnn
from jaxsr.interop.layouts import is_discriminator, to_discriminator, to_weights
from jaxsr.interop.ncnn import read_ncnn
from jaxsr.interop.pth import read_pth
from jaxsr.interop.public import PUBLIC
from jaxsr.networks.features import VGGParams, vgg_params
from jaxsr.networks.weights import (
    FORMAT_KEY,
    Weights,
    open_safetensors,
    read_metadata,
    read_weights,
)

PICKLED = (".pth", ".pt", ".ckpt", ".bin")
FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
INTEGERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")
READABLE = (
    "a .safetensors, .pth, .pt or .ckpt file, an ncnn .param with its .bin, a run directory,"
    " or what jaxsr fetch has fetched"
)


class Loaded(NamedTuple):
    """Weights, the file or the pair that they were read from, and what it says about them."""

    weights: Weights
    files: tuple[Path, ...]
    form: str  # jaxsr, PyTorch or ncnn
    dtypes: tuple[str, ...]  # that it is stored in
    metadata: dict[str, str]


def load(path: str | Path, **assumed: Any) -> Weights:
    """Weights from a file, a run directory (its newest averaged ones) or by a name of `fetch`.

    Files: `.safetensors` of jaxsr or of others, PyTorch's `.pth`, and ncnn's `.param` with its
    `.bin` beside it. The network is inferred from names and shapes; nothing in a file is run, and
    nothing is downloaded.
    `assumed` are fields of the network that no tensor of others' files tells, such as `res_scale`
    of an EDSR. Raises ValueError where there is nothing to load, where names are missing or left
    over, and where a network has what none here has.
    """
    return read(path, **assumed).weights


def load_discriminator(path: str | Path) -> Weights:
    """Read a discriminator of PyTorch's names, from a `.pth` or `.safetensors` file."""
    file = _file(path)
    if _kind(file) == ".param" or FORMAT_KEY in _metadata(file):
        raise ValueError(f"{file} holds a generator; name a .pth or .safetensors of PyTorch's")
    state = _state(file)
    with _named(file):
        return to_discriminator(state)


def load_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a `.safetensors` or `.pth` file, or of a name of `jaxsr fetch`."""
    file = _file(path)
    tensors = {name: x for name, x in _state(file).items() if isinstance(x, np.ndarray)}
    if not tensors:
        raise ValueError(f"{file} holds no tensors at its top; name another file")
    return tensors


def load_vgg(path: str | Path, layers: Collection[str]) -> VGGParams:
    """Read what `layers` need of a VGG16 or VGG19 in torchvision's names, as float32.

    A `.safetensors` or `.pth` file, or a name of `jaxsr fetch`. Raises ValueError for a missing or
    foreign file and for a layer that the network has not.
    """
    file = _file(path)
    if _kind(file) == ".param":
        raise ValueError(f"{file}: got an ncnn file, wanted a .pth or .safetensors of torchvision")
    state = _state(file)
    with _named(file):
        return vgg_params(state, layers)


def read(path: str | Path, *, discriminators: bool = False, **assumed: Any) -> Loaded:
    """Read what `load` reads, and `discriminators` too if asked, and tell where it came from."""
    file = _file(path)
    metadata = _metadata(file)
    if FORMAT_KEY in metadata or _kind(file) == ".param":
        if assumed:
            raise ValueError(f"{file} tells all of its network; leave out {', '.join(assumed)}")
    if FORMAT_KEY in metadata:
        return Loaded(read_weights(file), (file,), "jaxsr", _stored_dtypes(file), metadata)
    if _kind(file) == ".param":
        graph = read_ncnn(file)
        with _named(file):
            weights = from_ncnn(graph)
        stored = _dtypes([dict(layer.weights) for layer in graph.layers])
        return Loaded(weights, (file, file.with_suffix(".bin")), "ncnn", stored, {})
    state = _state(file)
    with _named(file):
        if discriminators and is_discriminator(state):
            weights = to_discriminator(state)
        else:
            weights = to_weights(state, **assumed)
    return Loaded(weights, (file,), "PyTorch", _dtypes(state), metadata)


def load_degradation(path: str | Path) -> dict[str, Any] | None:
    """The fields of what the network of `load(path)` was trained to undo, where its file says."""
    file = _file(path)
    metadata = _metadata(file)
    if FORMAT_KEY not in metadata or "config" not in metadata:
        return None
    try:
        return tomllib.loads(metadata["config"])["degrade"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError(
            f"{file} keeps a config that cannot be read ({error}); name another file"
        ) from error


def _file(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        return _in_run(path)
    if not path.exists() and str(path) in PUBLIC:
        path = fetched(str(path))
    if not path.exists():
        raise ValueError(f"no weights at {path}; name {READABLE}")
    if _kind(path) not in (".safetensors", ".param", *PICKLED):
        raise ValueError(f"{path} holds no weights that can be read; name {READABLE}")
    # Of ncnn's pair either names both; others' .bin are PyTorch's.
    graph = path.with_suffix(".param")
    return graph if _kind(path) == ".bin" and graph.is_file() else path


def _kind(file: Path) -> str:
    return file.suffix.lower()


def _metadata(file: Path) -> dict[str, str]:
    return read_metadata(file) if _kind(file) == ".safetensors" else {}


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


def _state(file: Path) -> dict[Any, Any]:
    """The arrays of a .safetensors file, or the dict in one of PyTorch's."""
    if _kind(file) == ".bin":
        try:
            return read_pth(file)
        except ValueError as error:
            raise ValueError(f"{error}; if it is ncnn's, its .param is not beside it") from error
    if _kind(file) in PICKLED:
        return read_pth(file)
    with open_safetensors(file) as tensors:
        for name in tensors.keys():
            dtype = tensors.get_slice(name).get_dtype()
            if dtype not in (*FLOATS, *INTEGERS):
                raise ValueError(f"{file}: {name} is {dtype}; convert it to F32, F16 or BF16")
        return {name: tensors.get_tensor(name) for name in tensors.keys()}


def _stored_dtypes(file: Path) -> tuple[str, ...]:
    with open_safetensors(file) as tensors:
        return tuple(sorted({FLOATS[tensors.get_slice(n).get_dtype()] for n in tensors.keys()}))


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """Add the name of the file to errors of what it holds."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _dtypes(tree: Any) -> tuple[str, ...]:
    """The types of the arrays in nested dicts and lists, without those of counters."""
    arrays = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, np.ndarray)]
    names = {array.dtype.name for array in arrays if jnp.issubdtype(array.dtype, jnp.floating)}
    return tuple(sorted(names))
