"""PyTorch's .pth files without PyTorch, and without running what they hold."""

import io
import math
import mmap
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import ml_dtypes
import numpy as np

from jaxsr.imaging.files import replacing
from jaxsr.interop.unpickler import STORAGES, Tensor, Unfit, unpickle

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of the format before PyTorch 1.6
_MOST_PICKLED = 2**25  # bytes of a pickle
_MOST_NESTED = 64
_MOST_VALUES = 2**17  # once shared ones are unfolded; a training state has 1e4
_MOST_USED = 16  # bytes of tensors, and of unpacked storages, for each of the file
_MOST_SIDE = 2**62
_ALIGNMENT = 64  # bytes, as PyTorch lays storages in its files


def read_pth(path: str | Path) -> dict[str | int, Any]:
    """Read the dict of tensors, dicts, lists, tuples, numbers, strings and None in a file.

    Tensors and parameters become read-only NumPy arrays with PyTorch's dtype (bfloat16 is that of
    ml_dtypes) and strides: views of the mapped file where it stores them as they are.
    Raises ValueError, without having run anything, for all else that a file can hold, by name, and
    for damaged files.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no weights file at {path}; check the path")
    with _errors_of(path):
        mapped = memoryview(_mapped(path))
        return _read_zip(path, mapped) if mapped[:2] == b"PK" else _read_legacy(mapped)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except Unfit as error:
        raise ValueError(f"{path} {error}") from error
    except Exception as error:  # what is damaged or hostile raises errors of every kind
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path} is no whole PyTorch file ({reason[:200]}); copy or download it again"
        ) from error


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _read_zip(path: Path, mapped: memoryview) -> dict[str | int, Any]:
    with zipfile.ZipFile(path) as archive:
        members = _members(archive, len(mapped))
        if "data.pkl" not in members:
            raise ValueError("it is an archive without data.pkl")
        unpacked = sum(info.file_size for info in members.values() if info.compress_type)
        most = _MOST_USED * len(mapped)
        if unpacked > most:
            raise ValueError(f"it unpacks to {unpacked} bytes")

        def content(name: str) -> memoryview:
            info = members[name]
            return _unpacked(archive, info) if info.compress_type else _lying(mapped, info)

        if members["data.pkl"].file_size > _MOST_PICKLED:
            raise ValueError(f"its pickle is longer than {_MOST_PICKLED} bytes")
        state, _ = unpickle(io.BytesIO(content("data.pkl")))
        order = str(content("byteorder"), "ascii") if "byteorder" in members else "little"
        if order not in ("little", "big"):
            raise ValueError("its byte order is neither little nor big")
        return _Tree(lambda key: content(f"data/{key}"), order, most).top(state)


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive of so many bytes by their names below its one folder."""
    if sum(info.compress_size for info in archive.infolist()) > size:
        raise ValueError("its members overlap")
    names = [PurePosixPath(info.filename) for info in archive.infolist()]
    for name in names:
        if name.is_absolute() or ".." in name.parts or "\\" in str(name) or len(name.parts) < 2:
            raise ValueError(f"it has a member {str(name)[:100]!r}, which is in no folder of it")
    if len({name.parts[0] for name in names}) != 1 or len(set(names)) != len(names):
        raise ValueError("its members lie in several folders, or twice in one")
    return {
        "/".join(name.parts[1:]): info for name, info in zip(names, archive.infolist(), strict=True)
    }


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> memoryview:
    if info.compress_type != zipfile.ZIP_DEFLATED:  # others unpack to much whatever is asked for
        raise ValueError(f"its member {info.filename[:100]!r} is not compressed by deflate")
    with archive.open(info) as file:
        return memoryview(file.read(info.file_size))  # `read()` believes the content, not the size


def _lying(mapped: memoryview, info: zipfile.ZipInfo) -> memoryview:
    """The bytes of a member that is stored as it is, where they lie."""
    at = info.header_offset
    signature, flags, name, extra = struct.unpack("<4s2xH18xHH", mapped[at : at + 30])
    start = at + 30 + name + extra
    content = mapped[start : start + info.compress_size]
    if signature != b"PK\3\4" or flags & 1 or len(content) != info.file_size:
        raise ValueError(f"its member {info.filename[:100]!r} is encrypted or cut off")
    if zlib.crc32(content) != info.CRC:
        raise ValueError(f"its member {info.filename[:100]!r} is not what was written")
    return content


def _read_legacy(mapped: memoryview) -> dict[str | int, Any]:
    """Five pickles, then of each storage its number of elements and they: always little-endian."""
    stream = io.BytesIO(mapped[:_MOST_PICKLED])
    if mapped[:1] != b"\x80" or [unpickle(stream)[0] for _ in range(2)] != [_MAGIC, _PROTOCOL]:
        raise Unfit("is neither of PyTorch's formats; name a .pth file of PyTorch 0.4 or later")
    unpickle(stream)  # sizes of the numbers in C on the machine that wrote it
    state, storages = unpickle(stream)
    keys, _ = unpickle(stream)
    if type(keys) is not list or not all(type(key) is str for key in keys):
        raise ValueError("its storages are listed wrongly")
    at, contents = stream.tell(), {}
    for key in keys:
        storage = storages[key]
        (size,) = struct.unpack("<q", mapped[at : at + 8])
        if size != storage.size:
            raise ValueError(f"storage {key[:100]!r} has {size} elements, not {storage.size}")
        end = at + 8 + size * _dtype(storage.dtype).itemsize
        contents[key], at = mapped[at + 8 : end], end
    return _Tree(contents.__getitem__, "little", _MOST_USED * len(mapped)).top(state)


@dataclass
class _Tree:
    """Makes the values of a pickle anew: each tensor an array, and shared values unfolded."""

    content: Callable[[str], memoryview]  # of a storage, by its key
    order: str  # of their bytes
    bytes_left: int
    values_left: int = _MOST_VALUES
    contents: dict[str, memoryview] = field(default_factory=dict)

    def top(self, state: Any) -> dict[str | int, Any]:
        if type(state) is not dict:
            what = type(state).__name__.lower()
            raise Unfit(f"holds a {what} and not a dict of tensors; save a state_dict instead")
        return self.value(state, 0)

    def value(self, value: Any, depth: int) -> Any:
        self.values_left -= 1
        if self.values_left < 0 or depth > _MOST_NESTED:
            raise Unfit(
                f"nests its values deeper than {_MOST_NESTED} or to more than {_MOST_VALUES}; "
                "save its state_dict alone"
            )
        if type(value) is dict:
            return {key: self.value(item, depth + 1) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.value(item, depth + 1) for item in value)
        if type(value) is Tensor:
            return self.array(value)
        if value is not None and type(value) not in (bool, int, float, str):
            raise ValueError("a name of code or a storage stands in it as a value")
        return value

    def array(self, tensor: Tensor) -> np.ndarray:
        dtype, storage = _dtype(tensor.storage.dtype), tensor.storage
        if storage.key not in self.contents:
            self.contents[storage.key] = self.content(storage.key)
        content = self.contents[storage.key]
        if storage.size * dtype.itemsize != len(content):
            raise ValueError(f"storage {storage.key[:100]!r} has {len(content)} bytes")
        _check_lies_within(tensor)
        self.bytes_left -= math.prod(tensor.shape) * dtype.itemsize
        if self.bytes_left < 0:
            raise ValueError("its tensors use its storages too often")
        array = np.ndarray(
            tensor.shape,
            dtype,
            content,
            tensor.offset * dtype.itemsize,
            [stride * dtype.itemsize for stride in tensor.strides],
        )
        if self.order != sys.byteorder:
            return _kept(array.byteswap())
        return array if array.flags.aligned else _kept(array.copy())


def _check_lies_within(tensor: Tensor) -> None:
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(0 <= number < _MOST_SIDE for number in numbers):
        raise ValueError("a tensor has a negative or huge size, stride or offset")
    steps = [(side - 1) * step for side, step in zip(tensor.shape, tensor.strides, strict=True)]
    end = tensor.offset + (sum(steps) + 1 if 0 not in tensor.shape else 0)
    # One of more elements than its storage shows some twice, and may be of any size.
    if max(end, math.prod(tensor.shape)) > tensor.storage.size:
        raise ValueError(f"a tensor lies outside of its storage {tensor.storage.key[:100]!r}")


def _kept(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def write_pth(
    path: str | Path, state: Mapping[str, np.ndarray], *, wrapper: str | None = "params_ema"
) -> None:
    """Write arrays as the tensors of {wrapper: state}, or of `state` alone, in the zip format.

    `torch.load(path, weights_only=True)` reads it, and `read_pth` gives the same arrays. Raises
    ValueError for dtypes other than bool, uint8, int8 to int64, float16 to float64 and bfloat16.
    """
    path = Path(path)
    arrays = {name: np.asarray(array) for name, array in state.items()}
    for name, array in arrays.items():
        if array.dtype.name not in STORAGES.values():
            known = ", ".join(STORAGES.values())
            raise ValueError(f"{path}: {name} is {array.dtype}; convert it to one of {known}")
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _put(archive, "data.pkl", _pickled(arrays, wrapper))
        _put(archive, "byteorder", b"little")
        for number, array in enumerate(arrays.values()):
            content = array.astype(array.dtype.newbyteorder("<")).tobytes()
            _put(archive, f"data/{number}", content)
        _put(archive, "version", b"3\n")


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    info = zipfile.ZipInfo(f"archive/{name}")
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(info.filename) + 4
    padding = -start % _ALIGNMENT
    info.extra = struct.pack(f"<2sH{padding}x", b"FB", padding)
    archive.writestr(info, content)


def _pickled(arrays: Mapping[str, np.ndarray], wrapper: str | None) -> bytes:
    """A pickle, of protocol 2, of what `torch.save` would have pickled."""
    tensors = [
        _text(name) + _tensor(str(number), array)
        for number, (name, array) in enumerate(arrays.items())
    ]
    state = b"}(" + b"".join(tensors) + b"u"
    if wrapper is not None:
        state = b"}" + _text(wrapper) + state + b"s"
    return b"\x80\x02" + state + b"."


def _tensor(key: str, array: np.ndarray) -> bytes:
    """A call of PyTorch's function that makes a tensor: storage, offset, shape, strides, ..."""
    names = {dtype: name for name, dtype in STORAGES.items()}
    storage = b"ctorch\n" + names[array.dtype.name].encode() + b"\n"
    saved = _text("storage") + storage + _text(key) + _text("cpu") + _number(array.size)
    strides = [math.prod(array.shape[axis + 1 :]) for axis in range(array.ndim)]
    return b"".join(
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n(",
            b"(" + saved + b"tQ" + _number(0),
            b"(" + b"".join(map(_number, array.shape)) + b"t",
            b"(" + b"".join(map(_number, strides)) + b"t",
            b"\x89ccollections\nOrderedDict\n)RtR",  # needs no gradient, has no hooks
        )
    )


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)
