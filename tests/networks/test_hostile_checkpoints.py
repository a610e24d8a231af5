"""Files that want something run: nothing in a checkpoint ever is."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saved import STATE, Trainer, check
from unitscope.errors import NetworkError
from unitscope.networks.weights import read_weights

RAN: list[str] = []


def run(*words: Any) -> None:
    RAN.append(repr(words))


class Evil:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args


class Chained:
    """What is made by a call is called, set, filled and used as state in turn."""

    def __reduce__(self) -> tuple[Any, ...]:
        made = Evil(getattr, Evil(__import__, "os"), "system")
        return (
            run,
            (made,),
            {"state": Evil(run, "state")},
            iter([Evil(run, "item")]),
            iter([("k", Evil(run, "v"))]),
        )


class Filled(dict[str, Any]):
    def __setitem__(self, key: str, value: Any) -> None:
        run(key)

    def __setstate__(self, state: Any) -> None:
        run("state")

    def __reduce__(self) -> tuple[Any, ...]:
        return Filled, (), {"a": 1}, None, iter([("k", 1)])


class New:
    def __new__(cls, *args: Any, **options: Any) -> "New":
        run("new")
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ("a",), {"b": 1}


def hostile_opcodes() -> dict[str, bytes]:
    """Pickles that pickle does not write: each calls `run` in another way in a reader that calls anything."""
    here = __name__.encode()
    call = b"c" + here + b"\nrun\n"
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    return {
        "inst": b"(S'x'\ni" + here + b"\nrun\n.",
        "obj": b"(" + call + b"S'x'\no.",
        "stack-global": b"\x80\x04\x8c" + bytes([len(here)]) + here + b"\x8c\x03run\x93)R.",
        "dotted": b"\x80\x04\x8c\x02os\x8c\x0bpath.exists\x93\x8c\x01/\x85R.",
        "extension": b"\x82\x07)R.",
        "build-global": rebuild + b"(N}S'__defaults__'\n(I1\ntstb.",
        "build-dict": b"ccollections\nOrderedDict\n)R}S'__class__'\n" + call + b"sb.",
        "from-type": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + call + b"NS'x'\n\x85NtR.",
        "parameter": b"ctorch._utils\n_rebuild_parameter\n(" + call + b"S'x'\n\x85RI01\nNtR.",
        "bytes-again": b"ctorch.storage\n_load_from_bytes\n(C\x08cos\nx\n)R.tR.",
        "function-storage": call + b"S'x'\n\x85Q.",
        "memory": b"\x80\x05\x96" + struct.pack("<Q", 2**45) + b".",
        "large-memo": b"Nr\xff\xff\xff\xff.",
        "no-storage": rebuild + b"(NI0\n(I2\nt(I1\ntI00\nNtR.",
    }


def write_zip(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")


def write_stream(path: Path, data: bytes) -> None:
    first = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    path.write_bytes(b"".join(pickle.dumps(one, 2) for one in first) + data + pickle.dumps([], 2))


def write_plain(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def write_magic(path: Path, data: bytes) -> None:
    """The call stands where the number of the format is wanted, or the facts about the machine."""
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + data + data)


WRITERS = [write_zip, write_stream, write_plain, write_magic]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", hostile_opcodes())
def test_no_instruction_of_pickle_runs_anything(kind: str, writer: Any, tmp_path: Path) -> None:
    RAN.clear()
    writer(tmp_path / "evil.pth", hostile_opcodes()[kind])
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(NetworkError) as told:
        read_weights(tmp_path / "evil.pth")
    assert "\n" not in str(told.value)
    assert RAN == []
    assert torch._utils._rebuild_tensor_v2.__defaults__ is defaults


def test_the_hostile_pickles_are_hostile() -> None:
    """The twin: Python's own reader does call what they name."""
    for kind in ("inst", "obj", "stack-global"):
        RAN.clear()
        pickle.loads(hostile_opcodes()[kind])
        assert RAN


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("evil", ["call", "chain", "filled", "new", "shell", "key", "nested"])
def test_code_beside_weights_is_not_run(evil: str, zipped: bool, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    things = {
        "call": Evil(run, "x"),
        "chain": Chained(),
        "filled": Filled(),
        "new": New.__new__(New),
        "shell": Evil(os.system, f"touch {mark}"),
        "key": {Evil(os.mkdir, str(mark)): 1},
        "nested": Trainer(inner=[Evil(exec, f"open({str(mark)!r}, 'w')"), Evil(eval, "1/0")]),
    }
    torch.save(
        {"evil": things[evil], "model": STATE}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped
    )
    RAN.clear()
    check(tmp_path / "a.pth")
    assert RAN == []
    assert not mark.exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_that_is_named_is_imported(
    writer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_by_a_checkpoint.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for data in (b"cimported_by_a_checkpoint\nx\n.", b"(iimported_by_a_checkpoint\nStorage\n."):
        writer(tmp_path / "a.pth", data)
        with pytest.raises(NetworkError):
            read_weights(tmp_path / "a.pth")


def test_a_class_with_its_source_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compares the source in an old file with the class's own, and may write the difference down."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in (b"torch.nn.parameter\nParameter\n", b"torch.nn.modules.linear\nLinear\n"):
        write_stream(tmp_path / "a.pth", b"(S'module'\nc" + name + b"S'linear.py'\nS'other source'\ntQ.")
        with pytest.raises(NetworkError):
            read_weights(tmp_path / "a.pth")
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_place_of_weights_is_named(zipped: bool, tmp_path: Path) -> None:
    state = {"weight": Evil(run, torch.ones(3))}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    RAN.clear()
    with pytest.raises(
        NetworkError, match=r"carries code \(.*test_hostile_checkpoints.run\), and was not loaded"
    ):
        read_weights(tmp_path / "a.pth")
    assert RAN == []


def test_a_torchscript_program_is_not_run(tmp_path: Path) -> None:
    """Its `__setstate__` would be run by torch's own reader; a record alone makes a file one."""
    write_zip(tmp_path / "a.pth", pickle.dumps({"x": 1}, 2))
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("archive/constants.pkl", hostile_opcodes()["inst"])
    with pytest.raises(NetworkError, match="is a TorchScript program, not weights"):
        read_weights(tmp_path / "a.pth")


def test_the_oldest_format_is_refused(tmp_path: Path) -> None:
    """A tar file: torch's own reader unpacks it to a folder and reads pickles from there."""
    RAN.clear()
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        for part in ("storages", "tensors", "pickle"):
            data = hostile_opcodes()["inst"]
            member = tarfile.TarInfo(part)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with pytest.raises(NetworkError):
        read_weights(tmp_path / "a.pth")
    assert RAN == []


def test_an_archive_that_grows_is_not_unpacked(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.pth"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**26))
    with pytest.raises(NetworkError, match=r"would unpack to 67108864 bytes, of \d+"):
        read_weights(bomb)
    lying = tmp_path / "lying.pth"  # says that its record is small
    data = bytearray(bomb.read_bytes())
    start = data.rindex(b"PK\x01\x02")
    data[start + 24 : start + 28] = struct.pack("<I", 100)
    lying.write_bytes(bytes(data))
    with pytest.raises(NetworkError):
        read_weights(lying)


def test_a_pickle_that_grows_is_not_followed(tmp_path: Path) -> None:
    value: Any = [torch.ones(1), Trainer()]
    for _ in range(40):
        value = [value, value]
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(NetworkError, match="holds more than 200000 things"):
        read_weights(tmp_path / "a.pth")
    cycle: dict[str, Any] = {"state_dict": STATE}
    cycle["self"] = cycle
    torch.save(cycle, tmp_path / "b.pth")
    check(tmp_path / "b.pth")


@pytest.mark.parametrize("count", [10**6, -1])
def test_a_storage_that_says_more_than_the_file_holds(count: int, tmp_path: Path) -> None:
    storage = ("storage", torch.FloatStorage, "0", "cpu", count, None)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return storage if obj is storage else None

    out = io.BytesIO()
    Pickler(out, 2).dump({"x": storage, "args": Trainer()})
    write_stream(tmp_path / "a.pth", out.getvalue())
    with pytest.raises(NetworkError, match="says that it holds more data than it does"):
        read_weights(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (100,), (1,)),
        (6, (2,), (1,)),
        (-1, (2,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2,), (10**12,)),
        (0, (-2,), (1,)),
    ],
)
def test_a_tensor_stays_within_its_data(offset: int, size: Any, stride: Any, tmp_path: Path) -> None:
    memory, rebuild = torch.arange(6.0).untyped_storage(), torch._utils._rebuild_tensor_v2
    storage = torch.storage.TypedStorage(wrap_storage=memory, dtype=torch.float32, _internal=True)

    class Outside:
        def __reduce__(self) -> tuple[Any, ...]:
            return rebuild, (storage, offset, size, stride, False, None)

    torch.save({"x": Outside(), "args": Trainer()}, tmp_path / "a.pth")
    with pytest.raises(NetworkError, match="not a readable weights file"):
        read_weights(tmp_path / "a.pth")


def tell(path: Path) -> str:
    try:
        read_weights(path)
    except NetworkError as error:
        return str(error)
    return ""


def test_every_damaged_file_is_read_or_told_in_one_line(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for zipped in (True, False):
        path = tmp_path / "a.pth"
        torch.save({"args": Trainer(), "model": STATE}, path, _use_new_zipfile_serialization=zipped)
        whole = path.read_bytes()
        for _ in range(60):
            data = bytearray(whole[: draw.integers(1, len(whole) + 1)])
            for place in draw.integers(0, len(data), 4):
                data[place] = draw.integers(256)
            path.write_bytes(bytes(data))
            assert "\n" not in tell(path)


DEEP = b"\x85" * 160_000
ENDLESS = b")" + b"2\x86" * 60
"""A tuple of two of the last tuple, and so on: small, and endless to whoever walks through it."""
KEYS = {
    "item": b"\x80\x02})" + DEEP + b"Ns.",
    "items": b"\x80\x02}()" + DEEP + b"Nu.",
    "endless-item": b"\x80\x02}" + ENDLESS + b"Ns.",
    "pairs": b"\x80\x02ccollections\nOrderedDict\n(](](" + b")" + DEEP + b"NeetR.",
    "state": b"\x80\x02ccollections\nOrderedDict\n)R})" + DEEP + b"Nsb.",
    "called": b"\x80\x02" + ENDLESS + b")R.",
    "storage": b"\x80\x02(U\x07storagectorch\nFloatStorage\n)" + DEEP + b"U\x03cpuK\x01tQ.",
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", KEYS)
def test_endlessly_nested_keys_do_not_end_python(kind: str, zipped: bool, tmp_path: Path) -> None:
    data = KEYS[kind]
    if zipped:
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr("a/data.pkl", data)
            archive.writestr("a/version", "3\n")
    else:
        (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(NetworkError, match=r"a\.pth .*(not a readable weights file|no tensors)") as refused:
        read_weights(tmp_path / "a.pth")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
