"""`save(path, weights)`: weights in our form and in others'."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save as serialise

from jaxsr.imaging.files import replacing
from jaxsr.interop.graphs import to_ncnn
from jaxsr.interop.layouts import from_weights, to_weights
from jaxsr.interop.ncnn import write_ncnn
from jaxsr.interop.pth import write_pth
from jaxsr.networks.weights import Weights, arch_spec, save_weights, stored

WRITABLE = ".safetensors, .pth, .pt or ncnn's .param"


def save(
    path: str | Path,
    weights: Weights,
    *,
    layout: str | None = None,
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Write a generator in the form that the suffix names; return what the file does not tell.

    `.safetensors` is ours, with `metadata`, unless `layout` asks for PyTorch's names: new, middle
    or old. `.pth` and `.pt` are PyTorch's, in the usual layout unless another is asked for;
    `.param` is ncnn's, with its `.bin` beside it. `dtype` is float32 or float16. Raises ValueError
    for networks that the form cannot hold.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".param":
        if layout is not None:
            raise ValueError(f"{path}: ncnn's files have no layouts; leave out {layout!r}")
        write_ncnn(path, to_ncnn(weights, dtype=dtype))
        return ""
    if kind == ".safetensors" and layout is None:
        save_weights(path, weights, metadata=metadata, dtype=dtype)
        return ""
    if kind not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: got {kind or 'no suffix'}, wanted {WRITABLE}")
    state = from_weights(weights, layout=layout)
    untold = _untold(state, weights)
    state = {k: stored(v, dtype) if v.dtype == np.float32 else v for k, v in state.items()}
    if kind == ".safetensors":
        with replacing(path) as temporary:
            temporary.write_bytes(serialise(state, metadata={"format": "pt"}))
    else:
        write_pth(path, state)
    return untold


def _untold(state: Mapping[str, np.ndarray], weights: Weights) -> str:
    """What whoever reads the state dict cannot know, as they would read it."""
    lost = [f"ranges {weights.ranges}"] if weights.ranges else []
    try:
        read = arch_spec(to_weights(state).arch)
    except ValueError as error:
        return "; ".join([*lost, str(error)])
    spec = arch_spec(weights.arch)
    lost += [f"{k} {spec[k]}, not {read[k]}" for k in spec if spec[k] != read[k]]
    return "; ".join(lost)
