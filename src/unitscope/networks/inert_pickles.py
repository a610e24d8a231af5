"""Checkpoints of `torch.save` read without calling, importing or changing anything that they name.

torch's own restricted reader stops at the first thing it does not know: a trainer's class, a number of numpy.
Here all such things become `Inert`, whatever the file wants done with them. There is no list of what is
forbidden: of all that a pickle can ask for, only plain data and tensors are made. The formats are those of
`torch.serialization`: a zip archive, or the pickles and raw storages in one stream that came before it.
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_PACKED = 20  # torch packs nothing; others who do get no more than a few times out of weights
_SMALL = 2**24
_KEY_PARTS = 100
_DICTS = {"collections.OrderedDict", "collections.defaultdict", "collections.Counter", "builtins.dict"}
_LISTS = {"torch.Size", "builtins.set", "__builtin__.set"}  # the last as protocol 2 calls it
_TENSORS = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_PARAMETERS = {f"torch._utils._rebuild_parameter{kind}" for kind in ("", "_with_state")}
_TYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "Untyped": torch.uint8,
    # What quantized tensors are made of, which become stand-ins.
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QUInt4x2": torch.uint8,
    "QUInt2x4": torch.uint8,
    "QInt32": torch.int32,
}


_ARRAYS = {f"{home}.{part}" for home in ("numpy.core", "numpy._core") for part in ("multiarray", "numeric")}
_NUMBERS = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}


@dataclass(eq=False)
class Inert:
    """What stands in for something that a file names, `module.name`, and would have made from `args`.

    `state`, `items` and `values` are what it would have been filled with, as an object, a dict and a list.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    values: list[Any] = field(default_factory=list)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keeps what a list or a set would have got."""
        self.values.append(value)

    add = append


@dataclass(frozen=True)
class _Storage:
    """Bytes in memory, of elements of one type."""

    memory: memoryview
    dtype: torch.dtype


@dataclass(frozen=True)
class _Unused:
    """Of what would be called: the name alone."""

    name: str


def read_inert(source: Path | bytes) -> tuple[object, tuple[str, ...]]:
    """What a file of `torch.save` or `pickle.dump` holds, and the names of all that is only stand-ins.

    Tensors are dense ones of the types that networks have, on the CPU; those of other kinds are stand-ins.
    `source` is the file's path, or what it holds.

    Raises `pickle.UnpicklingError`, or whatever a damaged file makes its readers raise.
    """
    names: dict[str, None] = {}
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                return _read_zip(archive, names), tuple(names)
        length = file.seek(0, io.SEEK_END)
        file.seek(0)
        return _read_stream(file, length, names), tuple(names)


def check_packed(source: Path | bytes) -> None:
    """Raises `pickle.UnpicklingError` for an archive that would grow to many times its size."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return
        with zipfile.ZipFile(file) as archive:
            size = sum(record.file_size for record in archive.infolist())
        length = file.seek(0, io.SEEK_END)
    if size > bound_unpacked(length):
        raise pickle.UnpicklingError(f"would unpack to {size} bytes, of {length}")


def bound_unpacked(size: int) -> int:
    """How many bytes may come of so many that are compressed, in a file of weights.

    >>> bound_unpacked(100), bound_unpacked(2**30) == 20 * 2**30
    (16777216, True)
    """
    return max(_SMALL, _PACKED * size)


def _check_keys(keys: Iterable[Any]) -> None:
    """Raises `pickle.UnpicklingError` for a tuple too deep or too large to be hashed: Python would crash."""
    for key in keys:
        waiting = [key]
        for _ in range(_KEY_PARTS):
            if not waiting:
                break
            part = waiting.pop()
            waiting += part if isinstance(part, tuple) else ()
        if waiting:
            raise pickle.UnpicklingError("calls something by endless names")


def _keyed(opcode: bytes, step: int) -> Callable[[Any], None]:
    """An instruction of Python's, once what it hashes, every `step`-th of the stack, is known to be plain."""
    usual = pickle._Unpickler.dispatch[opcode[0]]

    def checked(reader: Any) -> None:
        _check_keys((reader.stack[-2:] if opcode == pickle.SETITEM else reader.stack)[::step])
        usual(reader)

    return checked


class _Unpickler(pickle._Unpickler):
    """Calls nothing. The pickle's other instructions (numbers, texts, lists, memory) are those of Python."""

    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(
        self,
        file: io.BufferedIOBase,
        length: int,
        names: dict[str, None],
        load: Callable[[tuple[Any, ...]], Any],
        inside: bool = False,
    ):
        super().__init__(file, encoding="utf-8", errors="replace")
        self._names, self._load, self._inside = names, load, inside
        self._length = self._left = length

    def find_class(self, module: str, name: str) -> _Unused:
        return _Unused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return self._load(pid)

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"names extension {code} of somebody's registry")

    def _instantiate(self, made: Any, args: Any) -> None:
        self.stack.append(self._make(made, args))

    def _reduce(self) -> None:
        args, made = self.stack.pop(), self.stack.pop()
        self.stack.append(self._make(made, args))

    def _new(self) -> None:
        options, args, made = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(self._make(made, (*args, options)))

    def _build(self) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def _fill(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        if size > self._length:
            raise pickle.UnpicklingError("says that it holds more data than it does")
        self.append(bytearray(self.read(size)))

    def _make(self, made: Any, args: Any) -> object:
        name = made.name if isinstance(made, _Unused | Inert) else type(made).__name__
        args = tuple(args)
        if isinstance(made, _Unused):
            if name in _DICTS:
                pairs = args[0] if args and isinstance(args[0], list | dict) else []
                _check_keys(pairs if isinstance(pairs, dict) else (pair[0] for pair in pairs))
                return dict(pairs)
            if name in _TENSORS and isinstance(args[0], _Storage):
                return _make_tensor(*args[:4], *(args[6:7] if name.endswith("v3") else ()))
            if name in _PARAMETERS and isinstance(args[0], Tensor):
                return args[0]
            if name == "torch._tensor._rebuild_from_type_v2":
                return self._make(args[0], args[2])
            if name in _LISTS:
                return args[0]
            if name == "_codecs.encode" and isinstance(args[0], str) and args[1:] == ("latin1",):
                return args[0].encode("latin1")  # bytes, as protocol 2 has them
            if name == "torch.storage._load_from_bytes" and isinstance(args[0], bytes) and not self._inside:
                return self._read_again(args[0])
        self._names.setdefault(name)
        return Inert(name, args)

    def _read_again(self, data: bytes) -> object:
        """What plain pickles have of every tensor: a file of its own; together no more than the whole."""
        self._left -= len(data)
        if self._left < 0:
            raise pickle.UnpicklingError("says that it holds more data than it does")
        return _read_stream(io.BytesIO(data), len(data), self._names, inside=True)

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.SETITEM[0]: _keyed(pickle.SETITEM, 2),
        pickle.SETITEMS[0]: _keyed(pickle.SETITEMS, 2),
        pickle.DICT[0]: _keyed(pickle.DICT, 2),
        pickle.ADDITEMS[0]: _keyed(pickle.ADDITEMS, 1),
        pickle.FROZENSET[0]: _keyed(pickle.FROZENSET, 1),
        pickle.REDUCE[0]: _reduce,
        pickle.NEWOBJ[0]: _reduce,
        pickle.NEWOBJ_EX[0]: _new,
        pickle.BUILD[0]: _build,
        pickle.BYTEARRAY8[0]: _fill,
    }


def _make_tensor(storage: _Storage, offset: Any, size: Any, stride: Any, dtype: Any = None) -> Tensor:
    """A view of the storage, within its bounds."""
    kind = storage.dtype if dtype is None else vars(torch).get(dtype.name.removeprefix("torch."))
    numbers = (offset, *size, *stride)
    if not isinstance(kind, torch.dtype) or len(size) != len(stride):
        raise pickle.UnpicklingError("holds a tensor of no known type")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise pickle.UnpicklingError("holds a tensor of no possible shape")
    if not math.prod(size):
        return torch.empty(tuple(size), dtype=kind)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if last >= len(storage.memory) // kind.itemsize:
        raise pickle.UnpicklingError("holds a tensor that is larger than its data")
    count = len(storage.memory) // kind.itemsize
    flat = torch.frombuffer(storage.memory, dtype=kind, count=count)
    return flat.as_strided(tuple(size), tuple(stride), offset)


def make_array(found: Inert) -> Tensor | None:
    """The tensor of numbers that an array of NumPy would have been; None for anything else."""
    home, _, made = found.name.rpartition(".")
    if home not in _ARRAYS:
        return None
    try:
        if made == "_frombuffer":
            data, kind, size, order = found.args
        else:
            _, size, kind, turned, data = found.state
            order = "F" if turned else "C"
        dtype = _NUMBERS[kind.args[0]] if kind.state[1] in "<=|" else None
        if dtype is None or not all(type(side) is int and side >= 0 for side in size):
            return None
        if len(data) != math.prod(size) * dtype.itemsize:
            return None
        flat = torch.frombuffer(bytearray(data), dtype=dtype) if len(data) else torch.empty(0, dtype=dtype)
        return (
            flat.reshape(size) if order == "C" else flat.reshape(size[::-1]).permute(*range(len(size))[::-1])
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):  # nothing that NumPy wrote
        return None


def _find_type(named: Any) -> torch.dtype:
    kind = named.name.rpartition(".")[2].removesuffix("Storage") if isinstance(named, _Unused) else ""
    if kind not in _TYPES:
        raise pickle.UnpicklingError(f"holds data of a type {kind or type(named).__name__}")
    return _TYPES[kind]


def _read_zip(archive: zipfile.ZipFile, names: dict[str, None]) -> object:
    [place] = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    folder = place.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
        raise pickle.UnpicklingError("was written by a big-endian machine")
    storages: dict[str, _Storage] = {}

    def load(saved: tuple[Any, ...]) -> _Storage:
        _, named, key, *_ = saved
        key = _spell(key)
        if key not in storages:
            memory = memoryview(bytearray(archive.read(f"{folder}data/{key}")))
            storages[key] = _Storage(memory, _find_type(named))
        return storages[key]

    data = archive.read(place)
    return _Unpickler(io.BytesIO(data), len(data), names, load).load()


def _spell(key: Any) -> str:
    if not isinstance(key, str | int):  # the text of a value within a value may be endless
        raise pickle.UnpicklingError(f"calls its data by a {type(key).__name__}")
    return str(key)


def _read_stream(
    file: io.BufferedIOBase | io.BytesIO, length: int, names: dict[str, None], inside: bool = False
) -> object:
    """The form before the zip archive: a number, two facts, the objects, the storages' keys and bytes."""
    storages: dict[str, _Storage] = {}
    left = length

    def load(saved: tuple[Any, ...]) -> Any:
        nonlocal left
        kind, *data = saved
        if kind == "module":  # a class, and the text of its source
            return data[0]
        named, key, _, count, view = (*data, None)[:5]
        dtype, key = _find_type(named), _spell(key)
        if key not in storages:
            left -= int(count) * dtype.itemsize
            if left < 0 or count < 0:
                raise pickle.UnpicklingError("says that it holds more data than it does")
            storages[key] = _Storage(memoryview(bytearray(count * dtype.itemsize)), dtype)
        if view is None:
            return storages[key]
        first, many = (int(number) * dtype.itemsize for number in view[1:])
        return _Storage(storages[key].memory[first : first + many], dtype)

    def read() -> Any:
        return _Unpickler(file, length, names, load, inside).load()

    first = read()
    if first != _MAGIC:  # a plain pickle
        return first
    if read() != _PROTOCOL:
        raise pickle.UnpicklingError("is of an unknown version of torch.save")
    read()  # the machine that wrote it
    found = read()
    for key in read():
        storage = storages[_spell(key)]
        size = int.from_bytes(file.read(8), "little") * storage.dtype.itemsize
        if size != len(storage.memory) or file.readinto(storage.memory) != size:
            raise pickle.UnpicklingError("is cut short")
    return found
