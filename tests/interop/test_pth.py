"""`.pth` files: those that PyTorch wrote (tests/parity/pth.py), damaged ones, and hostile ones."""

import argparse
import copy
import importlib
import mmap
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from jaxsr.interop.pth import read_pth, write_pth

GOLDEN = np.load(Path(__file__).parents[1] / "parity" / "pth.npz")
VALUES = {name[6:]: GOLDEN[name] for name in GOLDEN.files if name.startswith("value/")}
FORMATS = ("zip", "protocol4", "legacy")
SHAPES = {"float32": (2, 3), "uint8": (0, 4), "int64": ()}


class Call:
    """What pickles as a call of a function, which may be the result of another such call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Pickle asks that what it is to call be callable."""


def tensor(storage="0", size=6, *, offset=0, shape=(2, 3), strides=(3, 1), kind="FloatStorage"):
    """The opcodes that make a tensor, numbers of any size as pickle writes them."""

    def put(value):
        return pickle.dumps(value, 2)[2:-1]

    saved = put("storage") + f"ctorch\n{kind}\n".encode() + put(storage) + put("cpu") + put(size)
    view = put(offset) + put(shape) + put(strides)
    rest = b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n((" + saved + b"tQ" + view + rest + b"tR"


def in_dict(*values):
    """A pickle of {"0": value, "1": value, ...}, of the opcodes of each."""
    items = b"".join(pickle.dumps(str(n), 2)[2:-1] + value for n, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def zipped(path, pickled, members=None, *, folder="archive/", compression=zipfile.ZIP_STORED):
    """A file of PyTorch's zip format, by default with one storage of six float32."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{folder}data.pkl", pickled)
        for name, content in (members or {"data/0": SIX.tobytes()}).items():
            archive.writestr(f"{folder}{name}", content)
    return path


SIX = np.arange(6, dtype="<f4")


def golden(tmp_path, name):
    path = tmp_path / f"{name}.pth"
    path.write_bytes(GOLDEN[f"file/{name}"].tobytes())
    return path


def refused(path, *words):
    """Asserts that the file is refused in one sentence with its name and some words."""
    with pytest.raises(ValueError) as caught:
        read_pth(path)
    assert type(caught.value) is ValueError
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text and len(text) < 500, text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("name", FORMATS)
def test_what_pytorch_wrote(tmp_path, name):
    state = read_pth(golden(tmp_path, name))
    got = state.pop("params") | state.pop("others")
    assert state == {"epoch": 3, "steps": [1, 2**40, -5], 7: None, "scores": (0.25, True, "ünï")}
    assert list(got) == list(VALUES)
    for key, wanted in VALUES.items():
        array = got[key]
        if key == "bfloat16":
            assert array.dtype == ml_dtypes.bfloat16
            array = array.view(np.int16)
        assert array.dtype == wanted.dtype and not array.flags.writeable
        np.testing.assert_array_equal(array, wanted, strict=True)


def test_tensors_share_the_mapped_file(tmp_path):
    others = read_pth(golden(tmp_path, "zip"))["others"]
    assert np.shares_memory(others["whole"], others["turned"])
    base = others["whole"]
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(getattr(base, "obj", base)) is mmap.mmap


def test_a_compressed_archive(tmp_path):
    path = zipped(tmp_path / "a.pth", in_dict(tensor()), compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_pth(path)["0"], SIX.reshape(2, 3))


@pytest.mark.parametrize("order, mark", [("big", ">"), ("little", "<")])
def test_either_order_of_bytes(tmp_path, order, mark):
    halves = np.arange(6).astype(ml_dtypes.bfloat16).view(np.uint16).astype(f"{mark}u2")
    members = {"byteorder": order, "data/0": SIX.astype(f"{mark}f4").tobytes()}
    members["data/1"] = halves.tobytes()
    pickled = in_dict(tensor(), tensor("1", kind="BFloat16Storage"))
    state = read_pth(zipped(tmp_path / "a.pth", pickled, members))
    for array in state.values():
        np.testing.assert_array_equal(array.astype(np.float32), SIX.reshape(2, 3), strict=True)


def test_a_legacy_file_says_its_machine_was_big_endian_and_is_little(tmp_path):
    content = GOLDEN["file/legacy"].tobytes()
    said = b"little_endianq\x02\x88"
    assert content.count(said) == 1
    path = tmp_path / "a.pth"
    path.write_bytes(content.replace(said, said[:-1] + b"\x89"))
    np.testing.assert_array_equal(read_pth(path)["others"]["whole"], VALUES["whole"])


@pytest.mark.parametrize("wrapper", ["params_ema", None])
def test_what_is_written_is_read_exactly(tmp_path, wrapper):
    rng = np.random.default_rng(0)
    names = ("float16", "float64", "int8", "int16", "int32", "bool", ml_dtypes.bfloat16)
    state = {str(name): (50 * rng.standard_normal((2, 3, 4))).astype(name) for name in names}
    state |= {name: rng.integers(0, 9, shape).astype(name) for name, shape in SHAPES.items()}
    state["turned"] = np.arange(6, dtype=">f4").reshape(2, 3).T
    write_pth(tmp_path / "a.pth", state, wrapper=wrapper)
    read = read_pth(tmp_path / "a.pth")
    got = read if wrapper is None else read[wrapper]
    assert list(got) == list(state) and len(read) == (1 if wrapper else len(state))
    for name, wanted in state.items():
        assert got[name].dtype == wanted.dtype.newbyteorder("=")
        np.testing.assert_array_equal(got[name], wanted, strict=name != "turned")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pth"]


def test_what_is_written_is_laid_out_as_by_pytorch(tmp_path):
    state = {name: value for name, value in VALUES.items() if name != "bfloat16"}
    write_pth(tmp_path / "a.pth", state)
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        infos = {info.filename: info for info in archive.infolist()}
        assert archive.read("archive/version") == b"3\n" and archive.testzip() is None
        assert archive.read("archive/data/0") == state["0.weight"].tobytes()
    content = (tmp_path / "a.pth").read_bytes()
    for info in infos.values():
        name, extra = struct.unpack("<HH", content[info.header_offset + 26 :][:4])
        assert (info.header_offset + 30 + name + extra) % 64 == 0 and not info.compress_type


def test_complex_numbers_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="a is complex64; convert it to one of float32"):
        write_pth(tmp_path / "a.pth", {"a": np.zeros(2, np.complex64)})
    assert list(tmp_path.iterdir()) == []


# By the name that the refusal must hold; each makes the folder `mark` where it is unpickled.
HOSTILE = {
    ".system": lambda mark: Call(os.system, f"mkdir {mark}"),
    ".eval": lambda mark: Call(eval, f"__import__('os').mkdir({str(mark)!r})"),
    ".getattr": lambda mark: Call(
        Call(getattr, Call(importlib.import_module, "os"), "system"), f"mkdir {mark}"
    ),
    ".mkdir": lambda mark: {"a": [(Call(os.mkdir, str(mark)),)]},
}
FOREIGN = {
    "argparse.Namespace": argparse.Namespace(epoch=1),
    "numpy": np.float64(1.5),
    "Fraction": {"a": [Fraction(1, 3)]},
    "_codecs.encode": b"bytes",
    ".set": {1, 2},
    ".complex": 1j,
}


def as_legacy(path, pickled, keys=(), content=b""):
    """A file of PyTorch's format before 1.6."""
    heads = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    start = b"".join(pickle.dumps(head, 2) for head in heads)
    path.write_bytes(start + pickled + pickle.dumps(list(keys), 2) + content)
    return path


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("container", [zipped, as_legacy])
@pytest.mark.parametrize("name", HOSTILE)
def test_code_is_refused_by_name_and_does_not_run(tmp_path, name, container, protocol):
    mark = tmp_path / "ran"
    pickled = pickle.dumps({"weights": HOSTILE[name](mark)}, protocol)
    pickle.loads(pickled)  # the control
    mark.rename(tmp_path / "did run")
    refused(container(tmp_path / "a.pth", pickled), name, "convert it to .safetensors")
    assert not mark.exists()


@pytest.mark.parametrize("name", FOREIGN)
def test_other_objects_are_refused_by_name(tmp_path, name):
    refused(zipped(tmp_path / "a.pth", pickle.dumps(FOREIGN[name], 2)), name, "state_dict alone")


NAMED = b"ccollections\nOrderedDict\n"
KEY = b"X\1\0\0\0k"
ODD = {
    "calls a result": (b"}(" + KEY + NAMED + b")R)Ru.", "a call of something"),
    "calls a storage": (b"ctorch\nFloatStorage\n)R.", "a wrong call of torch.FloatStorage"),
    "parameter of no tensor": (
        b"ctorch._utils\n_rebuild_parameter\n(K\1K\2K\3tR.",
        "a wrong call of torch._utils._rebuild_parameter",
    ),
    "attributes": (b"](" + b"K\1e}b.", "attributes of its own"),
    "opcode": (b"\x82\1.", "opcode EXT1"),
    "instance": (b"(iposix\nsystem\n.", "opcode INST"),
    "new object": (NAMED + b")\x81.", "opcode NEWOBJ"),
    "out-of-band": (b"\x97.", "opcode NEXT_BUFFER"),
    "tuple as key": (b"}K\1\x85K\1s.", "keys are neither"),
    "huge key": (b"}\x8a\5\0\0\0\0\1K\1s.", "keys are neither"),
    "large number as key": (b"}M\0\x40K\1s.", "keys are neither"),
    "negative number as key": (b"}J\xff\xff\xff\xffK\1s.", "keys are neither"),
    "long key": (b"}X\1\4\0\0" + b"k" * 1025 + b"K\1s.", "keys are neither"),
    "two arguments of an ordered": (NAMED + b"]]\x86R.", "a wrong call of collections.OrderedDict"),
    "tuple as key of an ordered": (NAMED + b"]K\1\x85K\2\x86a\x85R.", "keys are neither"),
    "name as value": (b"}" + KEY + NAMED + b"s.", "name of code"),
    "no dict": (b"]K\1a.", "holds a list and not a dict"),
    "no memo": (b"h\7.", "no whole PyTorch file"),
    "negative memo": (b"}p-1\n.", "does not count"),
    "empty stack": (b"}s.", "no whole PyTorch file"),
    "too few for a tuple": (b"K\1\x87.", "stack is empty"),
    "no mark": (b"K\1t.", "no whole PyTorch file"),
    "append to a tuple": (b")K\1a.", "appends to what is no list"),
    "odd items": (b"}(K\1u.", "no whole PyTorch file"),
    "no end": (b"}", "no whole PyTorch file"),
    "cut text": (b"X\xff\xff\xff\x7fabc", "no whole PyTorch file"),
    "empty": (b"", "no whole PyTorch file"),
    "long name": (b"c" + b"a" * 10**6 + b"\nb\n.", "aaaa"),
    "name of control letters": (b"ca\x1b[2J\nc\n.", "holds a\\x1b[2J.c,"),
    "tuple within": (b"}" + KEY + b"(" * 3 + b"ttts.", None),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_pickles(tmp_path, name):
    opcodes, word = ODD[name]
    path = zipped(tmp_path / "a.pth", b"\x80\x02" + opcodes)
    if word is None:
        assert read_pth(path) == {"k": (((),),)}
    else:
        refused(path, word)


def test_python_2_wrote_pairs_and_counted_from_1(tmp_path):
    pickled = NAMED + b"q\1(]q\2]q\3(U\1kK\1eatq\4Rq\5."
    assert read_pth(zipped(tmp_path / "a.pth", pickled)) == {"k": 1}


def bombs():
    doubled = b"]q\0" + b"".join(b"](" + b"h%c" % n * 2 + b"eq%c" % (n + 1) for n in range(60))
    deep = b"]" * 5000 + b"a" * 4999
    return {
        "shared lists": (b"}K\1(" + doubled + b"ts.", "more than 131072"),
        "deep lists": (b"}K\1" + deep + b"s.", "deeper than 64"),
        "list in itself": (b"}K\1]q\0h\0as.", "deeper than 64"),
        "steps": (b"N" * 2**20 + b".", "more than 1048576 steps"),
        "memo": (b"}r\xff\xff\xff\xff.", "does not count"),
        "frame": (b"\x95" + b"\xff" * 7 + b"\x7f}.", None),
        "bytes": (b"\x96" + b"\xff" * 7 + b"\x7f.", "no whole PyTorch file"),
        "nested tuples as keys": (b"}" + b")" + b"2\x86" * 60 + b"K\1s.", "opcode DUP"),
    }


@pytest.mark.parametrize("name", bombs())
def test_bombs_take_little_memory(tmp_path, name):
    opcodes, word = bombs()[name]
    path = zipped(tmp_path / "a.pth", b"\x80\x04" + opcodes)
    with little_memory(2**26):
        if word is None:
            assert read_pth(path) == {}
        else:
            refused(path, word)


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def slow():
    """Pickles that go through one large value again and again: each took seconds, or hours."""

    def numbered(numbers):
        return b"".join(b"J" + struct.pack("<i", number) + b"N" for number in numbers)

    def stored(key, rest=b""):
        return b"(X\7\0\0\0storagectorch\nFloatStorage\n" + key + b"NK\6" + rest + b"t"

    repeated = 30000
    lists = b"]q\0" + b"".join(b"](" + b"h%c" % n * 2 + b"eq%c" % (n + 1) for n in range(24))
    nones = b"N" * 50000
    pairs = b"](" + b"K\1N\x86" * 1000 + b"e\x85q\0"
    long = b"X" + struct.pack("<i", 2**22) + b"k" * 2**22
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\nq\0(" + stored(KEY[:-1] + b"0") + b"QK\0"
    ones = b"(" + b"K\1" * 10000 + b"tq\1"
    huge = b"(" + (b"\x8a\x08" + struct.pack("<q", 2**61 + 1)) * 10**5 + b"t"
    # Where Python seeks the last of them, in its table of 2**15, it meets all the others first.
    meeting = [0]
    while len(meeting) < 21800:
        meeting.append((5 * meeting[-1] + 1) % 2**15)
    meeting += [751885611] * 2 * repeated
    of_one_hash = [n * (2**61 - 1) for n in range(20000)]
    return {
        "code": (lists + b"\x8c\1x\x93", "what is no text"),
        "pairs": (NAMED + b"q\1" + pairs + b"h\1h\0R" * repeated, "1048576 steps"),
        "shape": (rebuild + ones + b"h\1tq\2" + b"h\0h\2R" * repeated, "too many axes"),
        "strides": (rebuild + b")" + ones + b"tq\2" + b"h\0h\2R" * repeated, "unlike number"),
        "product": (b"}K\1" + rebuild + huge * 2 + b"tRs", "too many axes"),
        "arguments": (
            rebuild + b"))" + nones + b"tq\1" + b"h\0h\1R" * repeated,
            "wrong call of torch._utils._rebuild_tensor_v2",
        ),
        "storage": (stored(KEY, nones) + b"q\0" + b"h\0Q" * repeated, "described wrongly"),
        "equal names": (
            stored(long) + b"Q" + stored(long) + b"q\0" + b"h\0Q" * repeated,
            "no name or size",
        ),
        "equal keys": (
            b"}" + long + b"Ns(" + long + b"q\0N" + b"h\0N" * repeated + b"u",
            "neither short strings",
        ),
        "keys": (b"}(" + numbered(meeting) + b"u", "nor small numbers"),
        "memo": (b"N" + b"".join(b"p%d\n" % n for n in of_one_hash), "does not count"),
    }


@pytest.mark.parametrize("name", slow())
def test_bombs_take_little_time(tmp_path, name):
    opcodes, word = slow()[name]
    path = zipped(tmp_path / "a.pth", b"\x80\x04" + opcodes + b".")
    with little_time():
        refused(path, word)


@contextmanager
def little_time() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < 1


def test_the_storages_of_a_legacy_file_have_texts_as_names(tmp_path):
    nested = b")" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(26))
    path = as_legacy(tmp_path / "a.pth", b"\x80\2}.")
    assert read_pth(path) == {}
    start = path.read_bytes()[: -len(pickle.dumps([], 2))]
    for keys in (b"]" + nested + b"a", b"]K\1a", b"}", KEY):
        path.write_bytes(start + b"\x80\2" + keys + b".")
        with little_time():
            refused(path, "its storages are listed wrongly")


@pytest.mark.parametrize("shown, word", [(2**22, "overlap"), (0, "cut off")])
def test_members_that_are_one(tmp_path, shown, word):
    """A small file must not be summed up for each of its members."""
    path = tmp_path / "a.pth"
    tensors = [tensor(str(n), 2**20, shape=(1,), strides=(1,)) for n in range(2000)]
    zipped(path, in_dict(*tensors), {"data/0": bytes(2**22)})
    with zipfile.ZipFile(path, "a") as archive:
        for n in range(1, 2000):
            archive.filelist.append(copy.copy(archive.filelist[1]))
            archive.filelist[-1].filename = f"archive/data/{n}"
            archive.filelist[-1].compress_size = shown
        archive.comment = b"written anew"
    with little_time():
        refused(path, word)


def test_a_member_that_unpacks_to_more_than_it_says(tmp_path):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a/data.pkl", in_dict(tensor()))
        archive.writestr("a/data/0", bytes(2**25))
        archive.filelist[1].file_size, archive.filelist[1].CRC = 24, zlib.crc32(bytes(24))
    with little_memory(2**22):
        np.testing.assert_array_equal(read_pth(path)["0"], np.zeros((2, 3)))
    refused(zipped(path, in_dict(tensor()), compression=zipfile.ZIP_BZIP2), "compressed by deflate")


def test_an_archive_that_unpacks_to_much(tmp_path):
    huge = {"data/0": bytes(2**24)}
    pickled = in_dict(tensor(size=2**22, shape=(2**22,), strides=(1,)))
    path = zipped(tmp_path / "a.pth", pickled, huge, compression=zipfile.ZIP_DEFLATED)
    with little_memory(2**22):
        refused(path, "unpacks to")


OUTSIDE = {
    "beyond the end": tensor(shape=(2, 4), strides=(3, 1)),
    "offset": tensor(offset=1),
    "offset of an empty one": tensor(offset=7, shape=(0,), strides=(1,)),
    "strides": tensor(strides=(4, 1)),
    "huge strides": tensor(strides=(2**61, 1)),
    "one row twice": tensor(shape=(2, 6), strides=(0, 1)),
    "one number thousandfold": tensor(shape=(10**6, 10**6), strides=(0, 0)),
}
WRONG = {
    "strides that wrap around": tensor(strides=(2**64 + 3, 1)),
    "negative stride": tensor(offset=5, shape=(2,), strides=(-1,)),
    "negative offset": tensor(offset=-1),
    "negative size": tensor(shape=(-2, -3)),
    "huge empty": tensor(shape=(0, 2**60, 2**60), strides=(1, 1, 1)),
    "fewer strides": tensor(strides=(1,)),
    "many axes": tensor(shape=(1,) * 100, strides=(1,) * 100),
    "text as size": tensor(shape=("2", 3)),
    "true as size": tensor(shape=(True, 3)),
    "true as offset": tensor(offset=True, shape=(2,), strides=(1,)),
    "list as shape": tensor(shape=[2, 3]),
    "smaller storage": tensor(size=5, shape=(5,), strides=(1,)),
    "larger storage": tensor(size=7, shape=(7,), strides=(1,)),
    "negative storage": tensor(size=-6),
    "huge storage": tensor(size=2**62),
    "other storage": tensor("1"),
    "path as storage": tensor("../../data/0"),
    "number as storage": tensor(0),
    "kind of storage": tensor(kind="DoubleStorage"),
}


@pytest.mark.parametrize("container", [zipped, as_legacy])
@pytest.mark.parametrize("name", OUTSIDE | WRONG)
def test_tensors_that_lie_wrongly(tmp_path, name, container):
    content = struct.pack("<q", 6) + SIX.tobytes()
    options = {} if container is zipped else {"keys": ["0"], "content": content}
    path = container(tmp_path / "a.pth", in_dict(tensor()), **options)
    np.testing.assert_array_equal(read_pth(path)["0"], SIX.reshape(2, 3))
    container(path, in_dict((OUTSIDE | WRONG)[name]), **options)
    refused(path, "outside of its storage" if name in OUTSIDE else "no whole PyTorch file")


def test_unknown_tensors_are_refused_by_name(tmp_path):
    path = tmp_path / "a.pth"
    refused(zipped(path, in_dict(tensor(kind="ComplexFloatStorage"))), "torch.ComplexFloatStorage")
    negative = tensor()[:-2] + b"}" + KEY + b"\x88stR"
    refused(zipped(path, in_dict(negative)), "conjugate or negative view")
    refused(zipped(path, in_dict(tensor(), tensor(kind="IntStorage"))), "described in two ways")


@pytest.mark.parametrize("uses, word", [(10, None), (20, "too often")])
def test_a_storage_used_over_and_over(tmp_path, uses, word):
    """Views cost nothing, but whoever copies them pays."""
    pickled = in_dict(*[tensor(size=10**5, shape=(10**5,), strides=(1,))] * uses)
    path = zipped(tmp_path / "a.pth", pickled, {"data/0": bytes(4 * 10**5)})
    if word is None:
        assert len(read_pth(path)) == uses
    else:
        refused(path, word)


@pytest.mark.parametrize("folder", ["../", "archive/../../", "/archive/", "", "archive/..\\"])
def test_archives_that_reach_out_of_their_folder(tmp_path, folder):
    refused(zipped(tmp_path / "a.pth", in_dict(tensor()), folder=folder), "is in no folder of it")


def test_archives_of_wrong_members(tmp_path):
    path = zipped(tmp_path / "a.pth", in_dict(tensor()), {"data/0": b"", "../b/x": b""})
    refused(path, "is in no folder of it")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", b"")
        archive.writestr("b/data.pkl", b"")
    refused(path, "several folders")
    with pytest.warns(UserWarning, match="Duplicate"):
        zipped(path, in_dict(tensor()), {"data.pkl": b"."})
    refused(path, "twice in one")
    refused(zipped(path, b".", {"byteorder": "middle"}), "no whole")
    refused(zipped(path, in_dict(), {"byteorder": "middle"}), "neither little nor big")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/b", b"")
    refused(path, "without data.pkl")


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_a_file_cut_anywhere(tmp_path, name):
    content = GOLDEN[f"file/{name}"].tobytes()
    path = tmp_path / "a.pth"
    for end in (*range(0, len(content), len(content) // 50), len(content) - 1):
        path.write_bytes(content[:end])
        refused(path)


def test_a_file_changed_anywhere(tmp_path):
    """A changed byte of an archive is told, or lies where nothing is read."""
    content = golden(tmp_path, "zip").read_bytes()
    wanted = read_pth(tmp_path / "zip.pth")
    path, rng = tmp_path / "a.pth", np.random.default_rng(0)
    outcomes = []
    for at in rng.integers(0, len(content), 200):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        try:
            np.testing.assert_equal(read_pth(path), wanted)
            outcomes.append("same")
        except ValueError as error:
            assert str(error).startswith(str(path))
            outcomes.append("refused")
    assert 20 < outcomes.count("refused") < 200


@pytest.mark.parametrize("content", [b"", b"PK", b"hello, world", b"\x80", b"PK\3\4" + bytes(99)])
def test_what_is_no_such_file(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    refused(path)


def test_no_file(tmp_path):
    with pytest.raises(ValueError, match="no weights file at .*; check the path"):
        read_pth(tmp_path / "a.pth")


def test_a_legacy_storage_of_wrong_size(tmp_path):
    wrong = struct.pack("<q", 7) + SIX.tobytes()
    refused(as_legacy(tmp_path / "a.pth", in_dict(tensor()), ["0"], wrong), "has 7 elements, not 6")


def test_the_anime_network_of_real_esrgan(data_dir):
    state = read_pth(data_dir / "weights" / "foreign" / "realesrgan-x4plus-anime.pth")
    tensors = state["params_ema"]
    assert tensors["conv_first.weight"].shape == (64, 3, 3, 3) and len(tensors) == 192
    assert sum(tensor.size for tensor in tensors.values()) == 4_467_779  # the paper's 6 blocks
