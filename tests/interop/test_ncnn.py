"""ncnn's files: a small one written out here by its format, the real ones, and damaged ones."""

import struct

import numpy as np
import pytest

from jaxsr.interop.ncnn import Graph, Layer, read_ncnn, write_ncnn

PARAM = """\
7767517
6 7
Input                    data                     0 1 data
Split                    split                    1 2 data data_0 data_1
Convolution              conv                     1 1 data_0 a 0=2 1=3 4=1 5=1 6=18 11=1 9=2 -23310=1,2.000000e-01
PReLU                    prelu                    1 1 a b 0=2
InnerProduct             fc                       1 1 b c 0=3 1=0 2=6
Interp                   resize                   1 1 c output 0=1 1=2.000000e+00 2=2.000000e+00
"""  # noqa: E501
KERNEL = np.arange(18, dtype="<f4") / 8
BIAS, SLOPE, MATRIX = (np.array(x, "<f4") for x in ([0.5, -1], [0.25, 0.1], [1, 2, 3, 4, 5, 6]))
FLAGS = {"<f4": 0, "<f2": 0x01306B47}


def content(dtype="<f4", *, flag=None):
    flag = struct.pack("<I", FLAGS[dtype] if flag is None else flag)
    parts = (flag, KERNEL.astype(dtype), BIAS, SLOPE, flag, MATRIX.astype(dtype))
    return b"".join(part if isinstance(part, bytes) else part.tobytes() for part in parts)


def files(tmp_path, text=PARAM, binary=None):
    (tmp_path / "net.param").write_text(text)
    (tmp_path / "net.bin").write_bytes(content() if binary is None else binary)
    return tmp_path / "net.param"


def same(one, other):
    for suffix in (".param", ".bin"):
        assert one.with_suffix(suffix).read_bytes() == other.with_suffix(suffix).read_bytes()


@pytest.mark.parametrize("dtype", FLAGS)
def test_a_network(tmp_path, dtype):
    path = files(tmp_path, binary=content(dtype))
    graph = read_ncnn(path)
    assert [layer.type for layer in graph.layers][:3] == ["Input", "Split", "Convolution"]
    split, conv, prelu, full, resize = graph.layers[1:]
    assert (split.name, split.inputs, split.outputs) == ("split", ("data",), ("data_0", "data_1"))
    assert conv.params == {0: 2, 1: 3, 4: 1, 5: 1, 6: 18, 11: 1, 9: 2, 10: (0.2,)}
    assert resize.params == {0: 1, 1: 2.0, 2: 2.0} and type(resize.params[0]) is int
    # OIHW; the kernel is one high and three wide.
    kernel = KERNEL.astype(dtype).reshape(2, 3, 1, 3)
    np.testing.assert_array_equal(conv.weights["weight"], kernel, strict=True)
    np.testing.assert_array_equal(conv.weights["bias"], BIAS, strict=True)
    np.testing.assert_array_equal(prelu.weights["slope"], SLOPE, strict=True)
    matrix = MATRIX.astype(dtype).reshape(3, 2)
    np.testing.assert_array_equal(full.weights["weight"], matrix, strict=True)
    assert list(full.weights) == ["weight"] and not split.weights and graph.unknown == ()
    write_ncnn(tmp_path / "copy.param", graph)
    same(path, tmp_path / "copy.param")
    assert len(list(tmp_path.iterdir())) == 4


def test_halves_fill_whole_words(tmp_path):
    text = "7767517\n1 1\nInnerProduct f 1 1 a b 0=1 1=1 2=3\n"
    halves = np.array([1, 2, 3], "<f2").tobytes()
    stored = struct.pack("<I", FLAGS["<f2"]) + halves + b"\0\0" + struct.pack("<f", 7)
    graph = read_ncnn(files(tmp_path, text, stored))
    np.testing.assert_array_equal(graph.layers[0].weights["weight"], [[1, 2, 3]])
    np.testing.assert_array_equal(graph.layers[0].weights["bias"], [7])
    write_ncnn(tmp_path / "copy.param", graph)
    assert (tmp_path / "copy.bin").read_bytes() == stored


def test_floats_keep_all_bits_of_a_float32(tmp_path):
    third = float(np.float32(1) / 3)
    layer = Layer("Interp", "r", ("a",), ("b",), {1: third, 2: 0.2, 3: (third, 4), 4: -1})
    write_ncnn(tmp_path / "net.param", Graph((layer,)))
    text = (tmp_path / "net.param").read_text()
    assert text.endswith(" 1=3.33333343e-01 2=2.000000e-01 -23303=2,3.33333343e-01,4 4=-1\n")
    read = read_ncnn(tmp_path / "net.param").layers[0].params
    assert np.float32(read[1]) == np.float32(third) and read[3][1] == 4 and read[4] == -1


def test_unknown_layers_are_listed(tmp_path):
    text = PARAM.replace("6 7", "8 9") + "Warp w 1 1 output x\nGridSample g 1 1 x y 0=1\n"
    graph = read_ncnn(files(tmp_path, text))
    assert graph.unknown == ("Warp", "GridSample") and graph.layers[-1].params == {0: 1}
    with pytest.raises(ValueError, match="or Warp, GridSample have weights"):
        read_ncnn(files(tmp_path, text, content() + bytes(4)))


BINARIES = {
    "int8": (content(flag=0x000D4B38), "'conv' has weights in int8"),
    "table": (content(flag=0x01020304), "'conv' has weights in a storage of flag 0x01020304"),
    "cut": (content()[:-1], "ends within the weights of layer 'fc'"),
    "cut before": (content()[:100], "no whole file of ncnn"),
    "long": (content() + b"\0", "take 120 of 121 bytes"),
    "empty": (b"", "no whole file of ncnn"),
}


@pytest.mark.parametrize("name", BINARIES)
def test_wrong_weights(tmp_path, name):
    binary, word = BINARIES[name]
    with pytest.raises(ValueError, match=word) as caught:
        read_ncnn(files(tmp_path, binary=binary))
    assert str(caught.value).startswith(str(tmp_path / "net.bin")) and "\n" not in str(caught.value)


TEXTS = {
    "magic": ("7767517", "7767518", "does not begin with 7767517"),
    "layers": ("6 7", "5 7", r"has \[6, 7\] layers and blobs, and says \[5, 7\]"),
    "blobs": ("1 2 data", "1 9 data", "names fewer blobs than it says"),
    "negative blobs": ("1 2 data", "-1 2 data", "names fewer blobs than it says"),
    "huge": ("0=2 1=3", f"0={10**30} 1=3", "fill no kernels"),
    "huge slope": ("a b 0=2", f"a b 0={10**30}", "ends within the weights of layer 'prelu'"),
    "negative": ("0=2 1=3", "0=-2 1=3", "has -2 as its parameter 0"),
    "no outputs": ("0=2 1=3", "0=0 1=3", "fill no kernels"),
    "float": ("0=2 1=3", "0=2.0 1=3", "has 2.0 as its parameter 0"),
    "size": ("6=18", "6=17", "has 17 weights, which fill no kernels"),
    "scales": ("9=2", "8=1", "has weights in int8"),
    "array": ("=1,2", "=2,2", "another length"),
    "twice": ("0=2 1=3", "0=2 0=3", "a parameter twice"),
    "no value": ("0=2 1=3", "0 1=3", "no whole file of ncnn"),
    "digits": ("0=2 1=3", "0=" + "9" * 5000, "no whole file of ncnn"),
    "everything": (PARAM, "", "no whole file of ncnn"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_wrong_descriptions(tmp_path, name):
    old, new, word = TEXTS[name]
    with pytest.raises(ValueError, match=word) as caught:
        read_ncnn(files(tmp_path, PARAM.replace(old, new)))
    text = str(caught.value)
    assert text.startswith(str(tmp_path / "net.")) and "\n" not in text and len(text) < 500


def test_absent_files(tmp_path):
    files(tmp_path)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(ValueError, match=r"no ncnn file at .*net\.bin; a network is"):
        read_ncnn(tmp_path / "net.param")


@pytest.mark.parametrize(
    "weights, word",
    [
        ({}, "which are not those it describes"),
        ({"slope": np.zeros(3, np.float32)}, "which are not those it describes"),
        ({"slope": np.zeros(2, np.float16)}, "a slope of float16, not float32"),
    ],
)
def test_weights_that_do_not_fit_are_not_written(tmp_path, weights, word):
    layer = Layer("PReLU", "p", ("a",), ("b",), {0: 2}, weights)
    with pytest.raises(ValueError, match=word):
        write_ncnn(tmp_path / "net.param", Graph((layer,)))
    assert list(tmp_path.iterdir()) == []


def test_names_with_spaces_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="'a b' has a name that is empty or has a space"):
        write_ncnn(tmp_path / "net.param", Graph((Layer("Noop", "a b", (), (), {}),)))


@pytest.mark.parametrize(
    "name, layers, floats",
    [
        # By the networks' definitions: 18 convolutions of 3x3 and 17 PReLU, and 351 convolutions.
        ("realesr-animevideov3-x2", 41, 621_424),
        ("realesr-animevideov3-x4", 40, 621_424),
        ("realesrgan-x4plus", 999, 16_697_987),
    ],
)
def test_real_networks_come_out_byte_for_byte(tmp_path, data_dir, name, layers, floats):
    path = data_dir / "weights" / "foreign" / f"{name}.param"
    graph = read_ncnn(path)
    write_ncnn(tmp_path / "net.param", graph)
    same(path, tmp_path / "net.param")
    arrays = [array for layer in graph.layers for array in layer.weights.values()]
    assert (len(graph.layers), sum(array.size for array in arrays)) == (layers, floats)
    assert graph.unknown == () and len({array.dtype for array in arrays}) == 2
