"""`save(path, weights)`: weights in our form and in others'."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as serialise

from jaxsr.imaging.files import replacing
from jaxsr.interop.families import UNTOLD
from jaxsr.interop.graphs import to_ncnn
from jaxsr.interop.layouts import from_weights, to_weights
from jaxsr.interop.ncnn import write_ncnn
from jaxsr.interop.pth import write_pth
from jaxsr.networks.discriminators import DISCRIMINATORS
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
    """Write a network in the form that the suffix names; return what the file does not tell.

    `.safetensors` is ours, with `metadata`, unless `layout` (new, middle or old) asks for PyTorch's
    names, which discriminators always have. `.pth` and `.pt` are PyTorch's, in the usual layout
    unless another is asked for; `.param` is ncnn's, with its `.bin` beside it. `dtype` is float32
    or float16. Raises ValueError for networks that the form cannot hold.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind == ".param":
        if layout is not None:
            raise ValueError(f"{path}: ncnn's files have no layouts; leave out {layout!r}")
        graph = to_ncnn(weights, dtype=dtype)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_ncnn(path, graph)
        multiple = weights.arch.multiple
        told = f"that it takes sides that are multiples of {multiple}"
        return "" if multiple == 1 else f"{told}, and cuts off what is left over"
    theirs = layout is not None or type(weights.arch) in DISCRIMINATORS.values()
    if kind == ".safetensors" and not theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_weights(path, weights, metadata=metadata, dtype=dtype)
        return ""
    if kind not in (".safetensors", ".pth", ".pt"):
        raise ValueError(f"{path}: got {kind or 'no suffix'}, wanted {WRITABLE}")
    state = from_weights(weights, layout=layout)
    untold = _untold(state, weights)
    state = {k: stored(v, dtype) if v.dtype == np.float32 else v for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == ".safetensors":
        with replacing(path) as temporary:
            temporary.write_bytes(serialise(state, metadata={"format": "pt"}))
    else:
        write_pth(path, state)
    return untold


def written(path: str | Path) -> list[Path]:
    """Name the files that `save` writes: of ncnn's pair both."""
    path = Path(path)
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == ".param" else [path]


def _untold(state: Mapping[str, np.ndarray], weights: Weights) -> str:
    """What whoever reads the state dict cannot know, as they would read it."""
    arch: Any = weights.arch
    lost = [f"ranges {weights.ranges}"] if weights.ranges else []
    if getattr(arch, "plus", False) and any(name.startswith(("body.", "RRDB")) for name in state):
        lost.append("spandrel in this layout that it is ESRGAN+: leave --layout out")
    if getattr(arch, "growth", 32) != 32:
        lost.append(f"spandrel its growth {arch.growth}, which takes 32 alone")
    if type(arch) in DISCRIMINATORS.values():
        return "; ".join(lost)
    spec = arch_spec(weights.arch)
    try:
        read = arch_spec(to_weights(state).arch)
    except ValueError:  # it asks to be told
        return "; ".join([*lost, *(f"{field} {spec[field]}" for field in UNTOLD if field in spec)])
    lost += [f"{k} {spec[k]}, not {read[k]}" for k in spec if spec[k] != read[k]]
    return "; ".join(lost)
