"""ncnn's graphs and our networks, against files and outputs of ncnn's runtime.

tests/parity/ncnn_networks.py made those.
"""

import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxsr
from jaxsr.interop.graphs import from_ncnn, to_ncnn
from jaxsr.interop.ncnn import Graph, Layer, read_ncnn, write_ncnn
from jaxsr.networks.generators import EDSR, RRDBNet, SRVGGNetCompact
from jaxsr.networks.weights import Weights, init_weights

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "ncnn_networks.npz")
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
SPELLED_OUT = ("rrdbnet_x2/spelled_out", "compact_x2/spelled_out")


def golden(tmp_path, name) -> Path:
    for suffix in (".param", ".bin"):
        (tmp_path / f"net{suffix}").write_bytes(GOLDEN[f"small/{name}/{suffix}"].tobytes())
    return tmp_path / "net.param"


def random_weights(arch) -> Weights:
    random = np.random.RandomState(0)
    shapes = jax.eval_shape(lambda key: init_weights(key, arch), jax.random.key(0))
    return jax.tree.map(lambda a: random.standard_normal(a.shape).astype(np.float32), shapes)


def require_equal(got: Weights, wanted: Weights):
    assert got.arch == wanted.arch and got.ranges == wanted.ranges
    assert jax.tree.structure(got) == jax.tree.structure(wanted)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def refusal(graph) -> str:
    with pytest.raises(ValueError) as caught:
        from_ncnn(graph)
    return str(caught.value)


@pytest.mark.parametrize("name", [*NETWORKS, *SPELLED_OUT])
def test_networks_are_read_as_ncnn_runs_them(tmp_path, name):
    weights = from_ncnn(read_ncnn(golden(tmp_path, name)))
    assert weights.arch == NETWORKS[name.split("/")[0]][0]
    picture = GOLDEN["small/picture"][..., : weights.arch.channels].astype(np.float32) / 255
    sr = jaxsr.upscale(weights, picture)
    np.testing.assert_allclose(sr, GOLDEN[f"small/{name}/output"], rtol=0, atol=2e-6, strict=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_files_that_ncnn_ran_are_written_again(tmp_path, name):
    path = golden(tmp_path, name)
    graph = to_ncnn(from_ncnn(read_ncnn(path)), dtype=NETWORKS[name][1])
    write_ncnn(tmp_path / "copy.param", graph)
    for suffix in (".param", ".bin"):
        copy = (tmp_path / "copy.param").with_suffix(suffix)
        assert copy.read_bytes() == path.with_suffix(suffix).read_bytes()


@pytest.mark.parametrize(
    "arch",
    [
        RRDBNet(8, channels=1, **SMALL),
        RRDBNet(2, unshuffle=4, plus=True, num_features=2, num_blocks=5, growth=1),
        RRDBNet(1, unshuffle=2, **SMALL),
        SRVGGNetCompact(8, activation="lrelu", **TINY),
        SRVGGNetCompact(2, num_features=3, num_convs=1),
    ],
)
def test_round_trips(tmp_path, arch):
    weights = random_weights(arch)
    write_ncnn(tmp_path / "net.param", to_ncnn(weights))
    require_equal(from_ncnn(read_ncnn(tmp_path / "net.param")), weights)


def test_halves():
    weights = random_weights(SRVGGNetCompact(2, **TINY))
    graph = to_ncnn(weights, dtype="float16")
    dtypes = {name: a.dtype.name for layer in graph.layers for name, a in layer.weights.items()}
    assert dtypes == {"weight": "float16", "bias": "float32", "slope": "float32"}
    got = from_ncnn(graph)
    kernels = jax.tree.map(lambda a: a.astype(np.float16).astype(np.float32), weights)
    for layer, arrays in weights.params.items():
        wanted = arrays | {k: v for k, v in kernels.params[layer].items() if k == "kernel"}
        for leaf, array in wanted.items():
            np.testing.assert_array_equal(got.params[layer][leaf], array, strict=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_blobs_and_the_scale_are_those_that_programs_look_for(name):
    arch = NETWORKS[name][0]
    layers = to_ncnn(random_weights(arch)).layers
    outputs = [blob for layer in layers for blob in layer.outputs]
    assert outputs[0] == "data" and outputs[-1] == "output"
    # Each but the last has one user, which comes later.
    seen = [blob for layer in layers for blob in layer.inputs]
    assert sorted(seen) == sorted(outputs[:-1]) and len({*outputs}) == len(outputs)
    # chaiNNer's rule: backend/src/nodes/impl/ncnn/model.py, get_broadcast_data
    scale = 1.0
    for layer, after in zip(layers, (*layers[1:], None), strict=True):
        if layer.type == "Interp" and after.type != "BinaryOp":
            scale *= layer.params[1]
        scale *= layer.params[0] if layer.type == "PixelShuffle" else 1
        scale /= layer.params.get(3, 1) if layer.type == "Convolution" else 1
    assert scale == arch.scale
    first = next(layer for layer in layers if layer.type == "Convolution").params
    assert first[6] == first[0] * first[1] ** 2 * arch.channels


def edited(graph, index, **changes) -> Graph:
    layers = list(graph.layers)
    layers[index] = replace(layers[index], **changes)
    return Graph(tuple(layers))


def other(value):
    if isinstance(value, tuple):
        return (value[0] + 0.5, *value[1:])
    return value + 1 if isinstance(value, int) else value + 0.5


@pytest.mark.parametrize(
    "name", ["rrdbnet_x2", "rrdbnet_x1_plus", "compact_x4", "compact_x2", *SPELLED_OUT]
)
def test_every_change_of_a_parameter_is_refused(tmp_path, name):
    graph = read_ncnn(golden(tmp_path, name))
    for i, layer in enumerate(graph.layers):
        for key, value in layer.params.items():
            refusal(edited(graph, i, params={**layer.params, key: other(value)}))
            if isinstance(value, int):  # for ncnn takes the bits of a float, and pads with 0
                refusal(edited(graph, i, params={**layer.params, key: float(value)}))
        if layer.type != "Input":  # what those say is the size of a picture
            refusal(edited(graph, i, params={**layer.params, 19: 1}))


@pytest.mark.parametrize("name", ["rrdbnet_x2", "rrdbnet_x1_plus", "compact_x4", "compact_x2"])
def test_every_other_wiring_is_refused(name):
    graph = to_ncnn(random_weights(NETWORKS[name][0]))
    random = np.random.RandomState(0)
    for i, layer in enumerate(graph.layers):
        before = [blob for earlier in graph.layers[:i] for blob in earlier.outputs]
        for slot, blob in enumerate(layer.inputs):
            new = before[random.randint(len(before))]
            inputs = (*layer.inputs[:slot], new, *layer.inputs[slot + 1 :])
            rewired = edited(graph, i, inputs=inputs)
            if new.split("_splitncnn")[0] == blob.split("_splitncnn")[0]:
                from_ncnn(rewired)
            else:
                refusal(rewired)


@pytest.mark.parametrize("name", ["rrdbnet_x2", "compact_x4"])
def test_graphs_without_a_layer_are_refused(name):
    graph = to_ncnn(random_weights(NETWORKS[name][0]))
    for i, layer in enumerate(graph.layers[1:], 1):
        if layer.type != "Split":
            noop = {"type": "Noop", "params": {}, "weights": {}, "inputs": layer.inputs[:1]}
            refusal(edited(graph, i, **noop))


def compact() -> Graph:
    return to_ncnn(random_weights(NETWORKS["compact_x2"][0]))


def test_hints_and_enlarging_by_1_do_not_matter():
    weights = random_weights(SRVGGNetCompact(1, activation="lrelu", **TINY))
    layers = []
    for layer in to_ncnn(weights).layers:
        params = {**layer.params, 30: (3, 8, 8, 3), 31: 16}
        nothing = layer.type in ("Interp", "PixelShuffle")
        layers.append(
            replace(layer, type="Noop", params={}) if nothing else replace(layer, params=params)
        )
    require_equal(from_ncnn(Graph(tuple(layers))), weights)


@pytest.mark.parametrize("name", ["rrdbnet_x2", SPELLED_OUT[0]])
def test_other_digits_of_the_same_number_do_not_matter(tmp_path, name):
    graph = read_ncnn(golden(tmp_path, name))
    text = (tmp_path / "net.param").read_text()
    (tmp_path / "net.param").write_text(text.replace("2.000000e-01", "0.200000003"))
    require_equal(from_ncnn(read_ncnn(tmp_path / "net.param")), from_ncnn(graph))


def test_layers_that_follow_the_network_are_named():
    end = replace(compact().layers[-1], outputs=("sum",))
    half = Layer("Interp", "Resize_40", ("sum",), ("output",), {0: 3, 1: 0.5, 2: 0.5})
    text = refusal(Graph((*compact().layers[:-1], end, half)))
    assert "this looks like SRVGGNetCompact (scale 2, channels 3, num_features 5" in text
    assert "its layer 'Resize_40' (Interp) computes Interp 0=3 1=0.5 2=0.5 of add, where" in text
    assert "nothing more: take a file of the network alone" in text


def test_the_first_layer_that_does_not_fit_is_named():
    graph = to_ncnn(random_weights(NETWORKS["rrdbnet_x2"][0]))
    at = [layer.name for layer in graph.layers].index("block_0/rdb2/conv3")
    layer = graph.layers[at]
    text = refusal(edited(graph, at, params={**layer.params, 10: (0.25,)}))
    assert (
        "its layer 'block_0/rdb2/conv3' (Convolution) computes ReLU 0=0.25 of block_0/rdb2/conv3,"
        " where the network has ReLU 0=0.2 of block_0/rdb2/conv3"
    ) in text
    concat = graph.layers[at - 1]
    text = refusal(edited(graph, at - 1, inputs=concat.inputs[::-1]))
    assert (
        "'block_0/rdb2/concat3' (Concat) computes Concat of block_0/rdb2/conv2, block_0/rdb2/conv1,"
        " block_0/rdb1, where the network has Concat of block_0/rdb1, block_0/rdb2/conv1, block"
    ) in text


def test_graphs_that_end_early_are_refused():
    text = refusal(Graph(compact().layers[:-1]))
    assert "but it ends before Add of shuffle, enlarge" in text


def test_unknown_layers_are_refused_by_type():
    layers = (Layer("GridSample", "g", (), ("x",), {}), Layer("Warp", "w", (), ("y",), {}))
    text = refusal(Graph((*compact().layers, *layers)))
    assert text.startswith("got layers of the types GridSample, Warp, wanted those of an RRDBNet")


def test_a_second_picture_is_refused():
    text = refusal(Graph((Layer("Input", "first", (), ("a",), {}), *compact().layers)))
    assert (
        "its layer 'data' (Input) computes Input of nothing, where the network has nothing" in text
    )


def test_a_second_layer_with_weights_is_refused():
    layers = compact().layers
    first = layers[2]
    twin = replace(first, name="twin", outputs=("twin",))
    text = refusal(Graph((*layers[:3], twin, *layers[3:])))
    assert f"its layer 'twin' (Convolution) computes {first.type} 0=5" in text


def test_errors_are_short():
    long = "x" * 10_000
    graphs = [
        Graph((*compact().layers, Layer("Eltwise", long, ("output",), ("y",), {1: (1.0,) * 999}))),
        edited(compact(), 2, name=long, inputs=(long,)),
        edited(compact(), 2, type=long),
    ]
    for graph in graphs:
        assert len(refusal(graph)) < 800


def test_broken_wiring_is_refused():
    graph = compact()
    text = refusal(edited(graph, 2, inputs=("nowhere",)))
    assert text == (
        "the layer 'conv_first' (Convolution) takes a blob that none before it gives: 'nowhere'"
    )
    text = refusal(edited(graph, 1, type="Noop"))
    assert text == "the layer 'splitncnn_data' (Noop) gives 2 blobs, as only a Split may"
    text = refusal(edited(graph, 2, outputs=("data",)))
    assert (
        text == "the layer 'conv_first' (Convolution) gives a blob that one before it gives: 'data'"
    )


def test_what_is_no_network_is_refused():
    assert "a graph with 0 convolutions is no network" in refusal(Graph(compact().layers[:1]))
    enlargements = [
        Layer("Interp", f"i{i}", ("data" if i == 0 else f"b{i - 1}",), (f"b{i}",), {0: 1, 1: 2.0})
        for i in range(20_000)
    ]
    rrdbnet = to_ncnn(random_weights(NETWORKS["rrdbnet_x1_plus"][0])).layers
    text = refusal(Graph((*rrdbnet, *(replace(x, inputs=("output",)) for x in enlargements))))
    assert "this looks like RRDBNet, but" in text and len(text) < 500


def test_only_what_ncnn_can_state_is_written():
    weights = random_weights(SRVGGNetCompact(2, **TINY))
    with pytest.raises(ValueError, match="got a EDSR, wanted an RRDBNet or an SRVGGNetCompact"):
        to_ncnn(random_weights(EDSR(2, num_blocks=1, num_features=2)))
    with pytest.raises(ValueError, match=r"ranges \(\(0.0, 2.0\),.*no file of ncnn can state"):
        to_ncnn(weights.replace(ranges=((0.0, 2.0),) * 3))
    with pytest.raises(ValueError, match="got dtype 'bfloat16', wanted float32 or float16"):
        to_ncnn(weights, dtype="bfloat16")
    with pytest.raises(ValueError, match="beyond float16"):
        to_ncnn(jax.tree.map(lambda a: a * 1e5, weights), dtype="float16")


@pytest.mark.parametrize("name", ["realesrgan-x4plus", "realesr-animevideov3-x4"])
def test_public_networks(data_dir, name):
    """What ncnn makes of them, and their weights out again."""
    graph = read_ncnn(data_dir / "weights" / "foreign" / f"{name}.param")
    weights = from_ncnn(graph)
    sr = jaxsr.upscale(weights, GOLDEN["large/picture"].astype(np.float32) / 255)
    np.testing.assert_allclose(sr[1::5, ::5], GOLDEN[f"large/{name}"], rtol=0, atol=1e-5)
    again = to_ncnn(weights, dtype="float16")
    arrays = [
        [array for layer in one.layers for array in layer.weights.values()]
        for one in (graph, again)
    ]
    for got, wanted in zip(*arrays, strict=True):
        np.testing.assert_array_equal(got, wanted, strict=True)


def test_the_public_network_with_a_second_resize_is_refused(data_dir):
    graph = read_ncnn(data_dir / "weights" / "foreign" / "realesr-animevideov3-x2.param")
    text = refusal(graph)
    assert re.search(r"num_convs 16.*'Resize_40' \(Interp\).*of Add_38, where.*nothing more", text)


def test_depths_that_nobody_trains_are_refused_at_once():
    graph = to_ncnn(
        init_weights(jax.random.key(0), SRVGGNetCompact(2, num_features=2, num_convs=1))
    )
    layers = list(graph.layers)
    at = next(i for i, layer in enumerate(layers) if layer.name == "conv_0")
    before, after = layers[: at + 2], layers[at + 2 :]
    for i in range(200):
        pair = [replace(layer, name=f"{layer.name}_{i}") for layer in layers[at : at + 2]]
        source = before[-1].outputs[0]
        conv = replace(pair[0], inputs=(source,), outputs=(f"c{i}",))
        act = replace(pair[1], inputs=(f"c{i}",), outputs=(f"a{i}",))
        before += [conv, act]
    after[0] = replace(after[0], inputs=("a199",))
    with pytest.raises(ValueError, match="num_convs is 201, wanted 128 at most"):
        from_ncnn(Graph((*before, *after)))
