"""Makes ncnn_networks.npz: networks in ncnn's files, and what ncnn's runtime makes of pictures.

Run by hand where jaxsr, Pillow and PyPI's ncnn are installed, with Real-ESRGAN's public .param and
.bin files and a photograph: `python tests/parity/ncnn_networks.py FOLDER PHOTO`.

The small files are those that `to_ncnn` writes, of weights that compress well, and two of them
spelled out as other converters do. Of the large public ones, only some pixels are kept.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import ncnn
import numpy as np
from PIL import Image

from jaxsr.interop.graphs import to_ncnn
from jaxsr.interop.ncnn import Graph, Layer, write_ncnn
from jaxsr.networks.plain import SRVGGNetCompact
from jaxsr.networks.rrdbnet import RRDBNet
from jaxsr.networks.weights import init_weights

SMALL = {"num_features": 4, "num_blocks": 1, "growth": 2}
TINY = {"num_features": 5, "num_convs": 2}
NETWORKS = {
    "rrdbnet_x4": (RRDBNet(4, **SMALL), "float32"),
    "rrdbnet_x2": (RRDBNet(2, **SMALL), "float16"),
    "rrdbnet_x1": (RRDBNet(1, **SMALL), "float32"),
    "rrdbnet_x1_plus": (RRDBNet(1, unshuffle=1, plus=True, **SMALL), "float32"),
    "compact_x4": (SRVGGNetCompact(4, **TINY), "float16"),
    "compact_x3_grey": (SRVGGNetCompact(3, channels=1, activation="lrelu", **TINY), "float32"),
    "compact_x2": (SRVGGNetCompact(2, activation="relu", **TINY), "float32"),
    "compact_x1": (SRVGGNetCompact(1, **TINY), "float32"),
}
SPELLED_OUT = ("rrdbnet_x2", "compact_x2")
PUBLIC = ("realesrgan-x4plus", "realesr-animevideov3-x4")


def run(path, picture):
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_winograd_convolution = False
    net.opt.num_threads = 1
    assert net.load_param(str(path)) == 0 and net.load_model(str(path.with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    chw = np.ascontiguousarray(picture.transpose(2, 0, 1).astype(np.float32) / 255)
    extractor.input("data", ncnn.Mat(chw))  # which does not keep the array alive
    status, output = extractor.extract("output")
    assert status == 0
    return np.array(output).transpose(1, 2, 0).copy()


def spelled_out(graph):
    """Other layers that compute the same, with all parameters and other names."""
    layers = [other for layer in graph.layers for other in others(layer)]
    names = {}
    for layer in layers:
        for blob in layer.outputs:
            fixed = blob in ("data", "output")
            names[blob] = blob if fixed else f"blob{len(names)}"
    return Graph(
        tuple(
            replace(
                layer,
                name=f"layer{i}",
                inputs=tuple(names[blob] for blob in layer.inputs),
                outputs=tuple(names[blob] for blob in layer.outputs),
            )
            for i, layer in enumerate(layers)
        )
    )


def others(layer):
    [output, *more] = layer.outputs
    if layer.type == "Convolution":
        return convolution(layer, output)
    if layer.type == "Eltwise":
        (y, x), scaled = layer.inputs, f"{output}_scaled"
        return [
            Layer("BinaryOp", "times", (y,), (scaled,), {0: 2, 1: 1, 2: 0.2}),
            Layer("BinaryOp", "plus", (x, scaled), (output,), {0: 0, 1: 0, 2: 0.0}),
        ]
    if layer.type == "Concat":
        before = f"{output}_before"
        concat = replace(layer, outputs=(before,), params={0: 0})
        return [concat, Layer("Noop", "nothing", (before,), (output,), {})]
    if layer.type == "BinaryOp":
        sum_of = {0: 1, 1: (1.0, 1.0)}
        return [Layer("Eltwise", "plus", layer.inputs[::-1], (output,), sum_of)]
    every = {"Interp": {3: 0, 4: 0, 5: 0, 6: 0}, "PixelShuffle": {1: 0}}.get(layer.type, {})
    return [replace(layer, params={**layer.params, **every})]


def convolution(layer, output):
    weight, params = layer.weights["weight"], dict(layer.params)
    activation, (slope,) = params.pop(9, 0), params.pop(10, (0.0,))
    steps = params.get(3, 1)
    inputs, before = layer.inputs, []
    if steps > 1:
        before = [Layer("Reorg", "unshuffle", inputs, (f"{output}_small",), {0: steps, 1: 0})]
        inputs = (f"{output}_small",)
        out, ins = weight.shape[:2]
        parts = [weight[:, :, i::steps, j::steps] for i in range(steps) for j in range(steps)]
        weight = np.ascontiguousarray(np.stack(parts, 2).reshape(out, ins * steps**2, 3, 3))
    side, pad = weight.shape[-1], weight.shape[-1] // 2
    every = {1: side, 11: side, 2: 1, 12: 1, 3: 1, 13: 1, 18: 0.0}
    every |= {4: pad, 14: pad, 15: pad, 16: pad}
    weights = {**layer.weights, "weight": weight}
    between = f"{output}_linear" if activation else output
    conv = Layer("Convolution", "conv", inputs, (between,), {**params, **every}, weights)
    after = [Layer("ReLU", "act", (between,), (output,), {0: slope})] if activation else []
    return [*before, conv, *after]


def small(number, arch):
    random = np.random.RandomState(number)
    weights = init_weights(jax.random.key(0), arch)
    return jax.tree.map(lambda a: (random.randint(-2, 3, a.shape) / 8).astype(np.float32), weights)


public_files, photograph = map(Path, sys.argv[1:])
photo = np.asarray(Image.open(photograph).convert("RGB"))
arrays = {"small/picture": photo[200:204, 300:308], "large/picture": photo[200:216, 300:318]}
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "net.param"
    for number, (name, (arch, dtype)) in enumerate(NETWORKS.items()):
        graph = to_ncnn(small(number, arch), dtype=dtype)
        forms = {name: graph}
        if name in SPELLED_OUT:
            forms[f"{name}/spelled_out"] = spelled_out(graph)
        for form, written in forms.items():
            write_ncnn(file, written)
            picture = arrays["small/picture"][..., : arch.channels]
            for suffix in (".param", ".bin"):
                content = file.with_suffix(suffix).read_bytes()
                arrays[f"small/{form}/{suffix}"] = np.frombuffer(content, np.uint8)
            arrays[f"small/{form}/output"] = run(file, picture)
for name in PUBLIC:
    output = run(public_files / f"{name}.param", arrays["large/picture"])
    arrays[f"large/{name}"] = output[1::5, ::5]
np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)
