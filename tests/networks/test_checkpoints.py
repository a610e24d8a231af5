"""Weights as trainers leave them: found wherever they lie, and nothing in the file is run."""

import argparse
import collections
import dataclasses
import datetime
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
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.checkpoints import list_tensors, read_checkpoint
from unitscope.networks.inert_pickles import Inert, read_inert
from unitscope.networks.load import load_network
from unitscope.networks.weights import put_weights, random_weights, read_weights


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, 2)


class Trainer:
    """A class of somebody's trainer, with everything that objects have."""

    def __init__(self, **parts: Any) -> None:
        self.parts = parts


class Log(list[Any]):
    pass


class Table(dict[str, Any]):
    pass


@dataclasses.dataclass(frozen=True)
class Record:
    rate: float


class Slots:
    __slots__ = ("rate",)


def make(seed: int = 7) -> Small:
    with random_weights(seed):
        return Small()


def name(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def slots() -> Slots:
    made = Slots()
    made.rate = 0.1
    return made


STATE = make().state_dict()
OTHER = make(8).state_dict()
INFIX = {key.replace("features.", "features.module."): value for key, value in STATE.items()}

LEFT_BESIDE = {
    "namespace": argparse.Namespace(lr=0.1),
    "numpy-scalar": np.float64(71.25),
    "numpy-int": np.int64(3),
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "strings": np.array(["a", "b"]),
    "date": datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC),
    "path": Path("runs"),
    "defaultdict": collections.defaultdict(list, a=[1, 2]),
    "deque": collections.deque([1, 2], maxlen=3),
    "class": Trainer(rate=0.1, inner=Trainer(path=Path("x"))),
    "type": Trainer,
    "function": make,
    "list": Log([1, Trainer()]),
    "dict": Table(a=1),
    "frozen": Record(0.1),
    "slots": slots(),
    "set": {1, 2},
    "bytes": b"abc",
    "complex": 1j,
    "random": np.random.default_rng(0),
    "optimizer": torch.optim.SGD(make().parameters(), 0.1),
}


def check(path: Path, state: dict[str, Tensor] | None = None, place: str = "") -> None:
    """The file's weights are those that were saved, by whatever names."""
    module = make(1)
    put_weights(module, Path(f"{path}{place}"))
    found = module.state_dict()
    assert all(torch.equal(found[key], value) for key, value in (STATE if state is None else state).items())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", LEFT_BESIDE)
def test_what_a_trainer_left_beside_is_passed_over(kind: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    content = {"left": LEFT_BESIDE[kind], "state_dict": STATE, "again": [LEFT_BESIDE[kind]]}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    check(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_every_protocol_of_pickle(protocol: int, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    content = {"args": LEFT_BESIDE["namespace"], "state_dict": STATE}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    check(path)


PLACES = {
    "top": STATE,
    "state_dict": {"epoch": 3, "state_dict": STATE},
    "model": {"model": STATE, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": []}},
    "net": {"net": STATE, "acc": 0.9},
    "params": {"params": STATE},
    "deep": {"run": {"best": [{"weights": STATE}]}},
    "ordered": collections.OrderedDict(state=collections.OrderedDict(STATE)),
    "parallel": name("module.", STATE),
    "compiled": name("_orig_mod.", STATE),
    "both": {"state_dict": name("module._orig_mod.", STATE)},
    "lightning": {"state_dict": {**name("model.", STATE), "loss.weight": torch.ones(2)}, "hyper_parameters": {}},
    "any-prefix": {"state_dict": name("encoder.backbone.", STATE)},
    "infix": {"state_dict": INFIX},
    "prefix-and-infix": {"model": name("net.module.", INFIX)},
    "averaging": {"n_averaged": torch.tensor(3), **name("module.", STATE)},
    "parts": {
        "features": make().features.state_dict(),
        "classifier": make().classifier.state_dict(),
        "optimizer": {"weight": torch.ones(2)},
    },
    "same-twice": {"model": STATE, "state_dict": {key: value.clone() for key, value in STATE.items()}},
    "ema-beside": {"state_dict": STATE, "state_dict_ema": OTHER},
    "ema-before": {"model_ema": OTHER, "model": STATE},
    "ema-prefix": {"state_dict": name("ema_model.", OTHER) | name("model.", STATE)},
    "generator": {"g_ema": OTHER, "g": STATE, "d": {"weight": torch.ones(3, 3)}},
    "no-counters": {key: value for key, value in STATE.items() if "num_batches" not in key},
    "parameters": dict(make().named_parameters()) | dict(make().named_buffers()),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_they_lie(place: str, tmp_path: Path) -> None:
    torch.save(PLACES[place], tmp_path / "a.pth")
    check(tmp_path / "a.pth")


@pytest.mark.parametrize("place", PLACES)
def test_the_inert_reader_finds_what_the_library_s_own_does(place: str, tmp_path: Path) -> None:
    for zipped in (True, False):
        torch.save(PLACES[place], tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        fast = list_tensors(torch.load(tmp_path / "a.pth", weights_only=True))
        slow = list_tensors(read_inert(tmp_path / "a.pth")[0])
        assert list(fast) == list(slow)
        assert all(torch.equal(fast[key], slow[key]) for key in fast)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensors_of_every_type_and_views_are_the_same(zipped: bool, tmp_path: Path) -> None:
    types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.bool]
    types += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]
    whole = torch.arange(24.0).reshape(4, 6)
    state: dict[str, Tensor] = {str(kind): torch.arange(6).to(kind).reshape(2, 3) for kind in types}
    state |= {"part": whole[1:3, ::2], "turned": whole.t(), "none": torch.zeros(0, 3), "one": torch.tensor(3.0)}
    state |= {"spread": torch.ones(1).expand(5), "new": torch.arange(3).to(torch.uint16)}
    torch.save({"args": Trainer(), "state": state}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = list_tensors(read_inert(tmp_path / "a.pt")[0])
    for key, value in state.items():
        assert found[f"state/{key}"].dtype == value.dtype
        assert torch.equal(found[f"state/{key}"], value)


def test_a_module_that_was_saved_whole_gives_its_weights(tmp_path: Path) -> None:
    module = nn.DataParallel(make())
    module.module.register_buffer("grid", torch.ones(3), persistent=False)
    for zipped in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("torch.serialization.get_source_lines_and_file", lambda *_: ([], "", ""))
            torch.save({"model": module}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        check(tmp_path / "a.pth")


def test_a_wrapped_network_takes_the_weights_of_what_it_wraps(tmp_path: Path) -> None:
    torch.save({"state_dict": STATE}, tmp_path / "a.pth")
    module = nn.ModuleDict({"backbone": nn.ModuleDict({"net": make(1)})})
    put_weights(module, tmp_path / "a.pth")
    assert torch.equal(module["backbone"]["net"].classifier.weight, STATE["classifier.weight"])


# moving averages, and other places that are asked for


def test_a_moving_average_is_taken_when_asked(tmp_path: Path) -> None:
    for key in ("ema-beside", "ema-before", "generator"):
        torch.save(PLACES[key], tmp_path / f"{key}.pth")
    check(tmp_path / "ema-beside.pth", OTHER, "#state_dict_ema")
    check(tmp_path / "ema-before.pth", OTHER, "#model_ema")
    check(tmp_path / "generator.pth", OTHER, "#g_ema")
    torch.save(PLACES["ema-prefix"], tmp_path / "a#b.pth")
    check(tmp_path / "a#b.pth", STATE)
    check(tmp_path / "a#b.pth", OTHER, "#state_dict.ema_model")


@pytest.mark.parametrize("key", ["state_dict_ema", "model_ema", "g_ema", "ema", "swa_model", "moving_average"])
def test_a_moving_average_that_is_alone_is_taken_and_said(key: str, tmp_path: Path) -> None:
    torch.save({"state_dict": name("other.", {"x": torch.ones(2)}), key: STATE}, tmp_path / "a.pth")
    with pytest.warns(UserWarning, match=f"a.pth has only a moving average .*: those at {key} are taken"):
        check(tmp_path / "a.pth")


def test_two_places_that_differ_are_not_guessed(tmp_path: Path) -> None:
    torch.save({"student": STATE, "teacher": OTHER}, tmp_path / "a.pth")
    with pytest.raises(NetworkError, match=r"at student and at teacher; say which: .*a.pth#teacher"):
        check(tmp_path / "a.pth")
    check(tmp_path / "a.pth", OTHER, "#teacher")
    check(tmp_path / "a.pth", STATE, "#student")
    torch.save({"runs": [{"net": STATE}, {"net": OTHER}]}, tmp_path / "b.pth")
    with pytest.raises(NetworkError, match=r"say which: .*b.pth#runs.1.net"):
        check(tmp_path / "b.pth")
    with pytest.raises(NetworkError, match=r"say which: .*b.pth#runs.1.net"):
        check(tmp_path / "b.pth", place="#runs")
    check(tmp_path / "b.pth", OTHER, "#runs.1.net")


def test_a_place_that_is_not_there_gets_near_names(tmp_path: Path) -> None:
    torch.save({"model": STATE, "model_ema": OTHER}, tmp_path / "a.pth")
    with pytest.raises(UsageError, match="no weights at 'model_emma'; near names: model_ema"):
        read_weights(f"{tmp_path / 'a.pth'}#model_emma")
    with pytest.raises(UsageError, match="no weights at 'q'; it has model, model_ema"):
        read_weights(f"{tmp_path / 'a.pth'}#q")
    with pytest.raises(UsageError, match="there is no weights file .*b.pth"):
        read_weights(f"{tmp_path / 'b.pth'}#model")


def test_what_does_not_match_is_listed_with_near_names(tmp_path: Path) -> None:
    state = {key.replace("classifier.", "classifer."): value for key, value in STATE.items()}
    torch.save({"state_dict": state | {"features.0.weight": torch.ones(4, 3, 5, 5)}}, tmp_path / "a.pth")
    with pytest.raises(NetworkError) as told:
        check(tmp_path / "a.pth")
    assert "a.pth at state_dict are not those of this network" in str(told.value)
    assert "missing: classifier.weight (near names: classifer.weight)" in str(told.value)
    assert "unexpected: classifer.weight, classifer.bias;" in str(told.value)
    assert "of another shape: features.0.weight is (4, 3, 5, 5) for (4, 3, 3, 3)" in str(told.value)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": nn.LSTM(2, 2).state_dict()}, tmp_path / "a.pth")
    with pytest.raises(NetworkError, match=r"missing: features.0.weight, .* and 5 more; unexpected: state_dict"):
        check(tmp_path / "a.pth")


def test_a_head_of_other_classes_is_found_at_any_place(tmp_path: Path) -> None:
    import torchvision

    places = torchvision.models.squeezenet1_1(num_classes=7)
    torch.save({"args": Trainer(), "model": name("module.", places.state_dict())}, tmp_path / "places.pth")
    network = load_network("torchvision:squeezenet1_1", weights=tmp_path / "places.pth")
    assert network.module.classifier[1].out_channels == 7
    assert torch.equal(network.module.classifier[1].weight, places.classifier[1].weight)


# hostile files

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
        return run, (made,), {"state": Evil(run, "state")}, iter([Evil(run, "item")]), iter([("k", Evil(run, "v"))])


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
    assert RAN == [] and not mark.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_in_place_of_weights_is_named(zipped: bool, tmp_path: Path) -> None:
    state = {"weight": Evil(run, torch.ones(3))}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    RAN.clear()
    with pytest.raises(NetworkError, match=r"carries code \(.*test_checkpoints.run\), and was not loaded"):
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
        with archive.open("archive/data.pkl", "w", force_zip64=True) as record:
            for _ in range(64):
                record.write(bytes(2**20))
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
    [(0, (100,), (1,)), (6, (2,), (1,)), (-1, (2,), (1,)), (0, (2, 2), (1,)), (0, (2,), (10**12,)), (0, (-2,), (1,))],
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


def test_every_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
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
            try:
                read_weights(path)
            except NetworkError as error:
                assert "\n" not in str(error)


def test_stand_ins_keep_what_they_were_given(tmp_path: Path) -> None:
    torch.save({"a": Trainer(rate=0.1), "b": Log([1])}, tmp_path / "a.pth")
    found, names = read_checkpoint(tmp_path / "a.pth")
    assert isinstance(found, dict) and isinstance(found["a"], Inert)
    assert found["a"].state == {"parts": {"rate": 0.1}}
    assert found["b"].values == [1]
    assert names == (f"{__name__}.Trainer", f"{__name__}.Log")
