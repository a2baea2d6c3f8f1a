"""The pickles of PyTorch's files read as plain values and descriptions of tensors: no code runs."""

import pickletools
from dataclasses import dataclass
from typing import IO, Any

# The storages of PyTorch and the NumPy dtypes of their elements.
STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "DoubleStorage": "float64",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
}
_DTYPES = {f"{place}.{n}": d for place in ("torch", "torch.cuda") for n, d in STORAGES.items()}
_TENSORS = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
_PARAMETER = "torch._utils._rebuild_parameter"
_ORDERED = "collections.OrderedDict"
_NAMES = (*_DTYPES, *_TENSORS, _PARAMETER, _ORDERED)

_MOST_STEPS = 2**20  # opcodes, and items that are copied; a training state has 1e5
_MOST_LETTERS = 1024  # of a key
# Of larger ones a file could make keys that collide: each look-up would walk through all others.
_MOST_NUMBER = 2**14  # of a key; an optimiser numbers its parameters
_MOST_ARGUMENTS = 7  # of a call that makes a tensor
_MOST_AXES = 16

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
)


class Unfit(ValueError):
    """What a file is or holds that is refused, and the mend: a phrase to stand behind its name."""


@dataclass(frozen=True)
class Storage:
    """The flat array `key` of the file, of `size` elements."""

    key: str
    dtype: str
    size: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count elements. Nothing is checked but the types."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    name: str


def unpickle(stream: IO[bytes]) -> tuple[Any, dict[str, Storage]]:
    """Read one pickle of dicts, lists, tuples, numbers, strings, None and `Tensor`.

    Gives the value and the storages that it names; the stream then stands behind the pickle.
    Values that occur twice are shared, and a list may hold itself. Raises Unfit for any other
    content, and an error of any kind for a damaged pickle.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            return machine.stack.pop(), machine.storages
        machine.do(opcode.name, argument)
    raise EOFError("the pickle has no end")


class _Machine:
    """Does what an opcode says; globals are names, and calling them describes a tensor.

    A file can name a value any number of times, so no step may go through a whole one unpaid.
    """

    def __init__(self):
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.steps_left = _MOST_STEPS

    def do(self, name: str, argument: Any) -> None:
        self._spend(1)
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            # They are counted from 0, or from 1 by Python 2; others could be made to collide.
            if not 0 <= argument <= len(self.memo) + 1:
                raise ValueError("the pickle does not count what it remembers")
            self.memo[argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name == "MARK":
            self.outer.append(self.stack)
            self.stack = []
        elif name not in ("PROTO", "FRAME") and not (self._collect(name) or self._fill(name)):
            self._name(name, argument)

    def _spend(self, steps: int) -> None:
        self.steps_left -= steps
        if self.steps_left < 0:
            raise Unfit(f"has a pickle of more than {_MOST_STEPS} steps; save its state_dict alone")

    def _marked(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _collect(self, name: str) -> bool:
        """Makes a tuple, list or dict."""
        if name in ("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"):
            count = len(self.stack) - (0 if name == "EMPTY_TUPLE" else int(name[-1]))
            if count < 0:
                raise IndexError("the pickle's stack is empty")
            self.stack[count:] = [tuple(self.stack[count:])]
        elif name == "TUPLE":
            items = self._marked()
            self.stack.append(tuple(items))
        elif name in ("EMPTY_LIST", "LIST"):
            items = self._marked() if name == "LIST" else []
            self.stack.append(items)
        elif name in ("EMPTY_DICT", "DICT"):
            items = self._marked() if name == "DICT" else []
            self.stack.append({})
            self._set(items)
        else:
            return False
        return True

    def _fill(self, name: str) -> bool:
        """Adds to the list or dict on top."""
        if name in ("APPEND", "APPENDS"):
            items = [self.stack.pop()] if name == "APPEND" else self._marked()
            if type(self.stack[-1]) is not list:
                raise TypeError("the pickle appends to what is no list")
            self.stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [self.stack.pop(-2), self.stack.pop()] if name == "SETITEM" else self._marked()
            self._set(items)
        elif name == "BUILD":  # the attribute `_metadata` of a state_dict
            self.stack.pop()
            if type(self.stack[-1]) is not dict:
                raise Unfit(_refusal("an object with attributes of its own"))
        else:
            return False
        return True

    def _set(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not dict:
            raise TypeError("the pickle sets items of what is no dict")
        self.stack[-1].update(_pairs(zip(items[::2], items[1::2], strict=True)))

    def _name(self, name: str, argument: Any) -> None:
        """Takes what a pickle may use to run code, and here names tensors with."""
        if name == "GLOBAL":
            self.stack.append(_global(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            self.stack[-2:] = [_global(*self.stack[-2:])]
        elif name == "REDUCE":
            arguments = self.stack.pop()
            self.stack[-1] = self._called(self.stack[-1], arguments)
        elif name == "BINPERSID":
            storage = _storage(self.stack[-1])
            if self.storages.setdefault(storage.key, storage) != storage:
                raise ValueError(f"storage {storage.key[:100]!r} is described in two ways")
            self.stack[-1] = storage
        else:
            raise Unfit(_refusal(f"the pickle opcode {name}"))

    def _called(self, function: Any, arguments: Any) -> Any:
        if type(function) is not _Global or type(arguments) is not tuple:
            raise Unfit(_refusal("a call of something that it made itself"))
        if function.name == _ORDERED and len(arguments) < 2:
            items = arguments[0] if arguments else []  # Python 2 wrote them as a list
            self._spend(len(items))
            return dict(_pairs(items))
        if function.name in _TENSORS and len(arguments) <= _MOST_ARGUMENTS:
            return _tensor(*arguments)
        if function.name == _PARAMETER and type(arguments[0]) is Tensor:
            return arguments[0]
        raise Unfit(_refusal(f"a wrong call of {function.name}"))


def _global(module: Any, name: Any) -> _Global:
    if type(module) is not str or type(name) is not str:
        raise TypeError("the pickle names code by what is no text")
    name = f"{module}.{name}"
    if name not in _NAMES:
        raise Unfit(_refusal(repr(name[:100]).strip("'\"")))
    return _Global(name)


def _refusal(what: str) -> str:
    return (
        f"holds {what}, and only tensors, dicts, lists, numbers and strings are read; "
        "ask for its state_dict alone, or convert it to .safetensors where you trust it"
    )


def _pairs(items: Any) -> list[tuple[str | int, Any]]:
    pairs = [(key, value) for key, value in items]
    if not all(_is_key(key) for key, _ in pairs):
        raise Unfit(_refusal("a dict whose keys are neither short strings nor small numbers"))
    return pairs


def _is_key(key: Any) -> bool:
    """Whether hashing and comparing it takes no time to speak of; tuples could take hours."""
    if type(key) is str:
        return len(key) <= _MOST_LETTERS
    return type(key) is int and 0 <= key < _MOST_NUMBER


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any
) -> Tensor:  # rest: requires_grad, hooks, and bits of conjugate and negative views
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise TypeError("a tensor is described wrongly")
    if len(shape) != len(strides) or len(shape) > _MOST_AXES:
        raise ValueError("a tensor has too many axes, or sizes and strides of unlike number")
    if not all(type(number) is int for number in (offset, *shape, *strides)):
        raise TypeError("a tensor's sizes are no whole numbers")
    if rest[2:] and rest[2]:
        raise Unfit(_refusal("a conjugate or negative view of a tensor"))
    return Tensor(storage, offset, shape, strides)


def _storage(saved: Any) -> Storage:
    if type(saved) is not tuple or len(saved) not in (5, 6):
        raise TypeError("a storage is described wrongly")
    kind, storage, key, _, size, *view = saved  # where it lay (cpu, cuda:0) does not matter
    if type(storage) is not _Global or storage.name not in _DTYPES or kind != "storage":
        raise TypeError("a storage is described wrongly")
    if type(key) is not str or len(key) > _MOST_LETTERS or type(size) is not int:
        raise TypeError("a storage has no name or size")
    if any(view):
        raise Unfit("was written by a PyTorch before 0.4; save it anew with a later one")
    return Storage(key, _DTYPES[storage.name], size)
