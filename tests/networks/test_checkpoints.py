"""Weights as trainers leave them are found wherever they lie."""

import argparse
import collections
import dataclasses
import datetime
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from saved import OTHER, STATE, Trainer, check, make, with_prefix
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.checkpoints import list_tensors, read_checkpoint
from unitscope.networks.inert_pickles import Inert, read_inert
from unitscope.networks.load import load_network
from unitscope.networks.weights import put_weights, read_weights


class Log(list[Any]):
    pass


class Table(dict[str, Any]):
    pass


@dataclasses.dataclass(frozen=True)
class Record:
    rate: float


class Slots:
    __slots__ = ("rate",)


def slots() -> Slots:
    made = Slots()
    made.rate = 0.1
    return made


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
    "parallel": with_prefix("module.", STATE),
    "compiled": with_prefix("_orig_mod.", STATE),
    "both": {"state_dict": with_prefix("module._orig_mod.", STATE)},
    "lightning": {
        "state_dict": {**with_prefix("model.", STATE), "loss.weight": torch.ones(2)},
        "hyper_parameters": {},
    },
    "any-prefix": {"state_dict": with_prefix("encoder.backbone.", STATE)},
    "infix": {"state_dict": INFIX},
    "prefix-and-infix": {"model": with_prefix("net.module.", INFIX)},
    "averaging": {"n_averaged": torch.tensor(3), **with_prefix("module.", STATE)},
    "parts": {
        "features": make().features.state_dict(),
        "classifier": make().classifier.state_dict(),
        "optimizer": {"weight": torch.ones(2)},
    },
    "same-twice": {"model": STATE, "state_dict": {key: value.clone() for key, value in STATE.items()}},
    "ema-beside": {"state_dict": STATE, "state_dict_ema": OTHER},
    "ema-before": {"model_ema": OTHER, "model": STATE},
    "ema-prefix": {"state_dict": with_prefix("ema_model.", OTHER) | with_prefix("model.", STATE)},
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
    state |= {
        "part": whole[1:3, ::2],
        "turned": whole.t(),
        "none": torch.zeros(0, 3),
        "one": torch.tensor(3.0),
    }
    state |= {"spread": torch.ones(1).expand(5), "new": torch.arange(3).to(torch.uint16)}
    torch.save({"args": Trainer(), "state": state}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = list_tensors(read_inert(tmp_path / "a.pt")[0])
    for key, value in state.items():
        assert found[f"state/{key}"].dtype == value.dtype
        assert torch.equal(found[f"state/{key}"], value)


def test_a_module_that_was_saved_whole_gives_its_weights(tmp_path: Path) -> None:
    module = nn.DataParallel(make())
    module.module.register_buffer("grid", torch.ones(3), persistent=False)
    module.module.features[0].anchors = torch.ones(2)
    module.module.features[0].former = [nn.Linear(2, 2)]
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


@pytest.mark.parametrize(
    "key", ["state_dict_ema", "model_ema", "g_ema", "ema", "swa_model", "moving_average"]
)
def test_a_moving_average_that_is_alone_is_taken_and_said(key: str, tmp_path: Path) -> None:
    torch.save({"state_dict": with_prefix("other.", {"x": torch.ones(2)}), key: STATE}, tmp_path / "a.pth")
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
    with pytest.raises(UsageError, match=r"no weights at 'q'; it has model, model_ema"):
        read_weights(f"{tmp_path / 'a.pth'}#q")
    with pytest.raises(UsageError, match=r"there is no weights file .*b.pth"):
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
    with pytest.raises(
        NetworkError, match=r"missing: features.0.weight, .* and 5 more; unexpected: state_dict"
    ):
        check(tmp_path / "a.pth")


def test_a_head_of_other_classes_is_found_at_any_place(tmp_path: Path) -> None:
    import torchvision

    places = torchvision.models.squeezenet1_1(num_classes=7)
    torch.save(
        {"args": Trainer(), "model": with_prefix("module.", places.state_dict())}, tmp_path / "places.pth"
    )
    network = load_network("torchvision:squeezenet1_1", weights=tmp_path / "places.pth")
    assert network.module.classifier[1].out_channels == 7
    assert torch.equal(network.module.classifier[1].weight, places.classifier[1].weight)


def test_stand_ins_keep_what_they_were_given(tmp_path: Path) -> None:
    torch.save({"a": Trainer(rate=0.1), "b": Log([1])}, tmp_path / "a.pth")
    found, names = read_checkpoint(tmp_path / "a.pth")
    assert isinstance(found["a"], Inert)
    assert found["a"].state == {"parts": {"rate": 0.1}}
    assert found["b"].values == [1]
    assert names == ("saved.Trainer", f"{__name__}.Log")


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("zipped", [True, False, None], ids=["zip", "legacy", "plain"])
def test_arrays_of_numpy_are_weights_too(zipped: bool | None, protocol: int, tmp_path: Path) -> None:
    arrays = {key: value.numpy().copy("F") for key, value in STATE.items()}
    saved = {
        "model": arrays,
        "more": {"order": np.array(["a"]), "big": np.zeros(2, ">f4")},
    }
    if zipped is None:
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(saved, protocol))
    else:
        torch.save(saved, tmp_path / "a.pkl", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_weights(tmp_path / "a.pkl")
    assert list(found) == [f"model/{key}" for key in STATE]
    for key, value in STATE.items():
        torch.testing.assert_close(found[f"model/{key}"], value, rtol=0, atol=0)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_in_a_plain_pickle_are_read(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"net": STATE, "epoch": 3}, protocol))
    found = read_weights(tmp_path / "a.pkl")
    assert list(found) == [f"net/{key}" for key in STATE]
    assert all(torch.equal(found[f"net/{key}"], value) for key, value in STATE.items())


def test_safetensors_are_known_by_what_they_are(tmp_path: Path) -> None:
    save_file({key: value.contiguous() for key, value in STATE.items()}, tmp_path / "a.bin", {"epoch": "3"})
    torch.save(STATE, tmp_path / "b.safetensors")
    assert all(list(read_weights(tmp_path / name)) for name in ("a.bin", "b.safetensors"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.pt", b"", "is empty; download or copy it again"),
        (
            "a.pt",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "pointer of Git LFS; .*git lfs pull",
        ),
        ("a.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("a.pt", b"\n<!DOCTYPE html><html>", "is a web page; download the file itself"),
        ("a.pth.gz", b"\x1f\x8b\x08\x00", "is compressed by gzip; unpack it"),
        ("a.pt", b"PK\x03\x04" + bytes(99), "is cut short; download or copy it again"),
        ("a.json", b'{"weight_map": {}}', "is an index of several files of weights; give one file"),
        ("a.pt", bytes(99), r"not a readable weights file: it is damaged, or of another system \(KeyError"),
        ("a.pt", b"\x80\x05\x96\xff\xff\xff\xff\x00\x00\x00\x00.", "holds more data than it does"),
    ],
)
def test_what_came_in_place_of_weights_is_told(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NetworkError, match=said):
        read_weights(tmp_path / name)


def test_archives_and_single_tensors_are_told(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    with pytest.raises(NetworkError, match="holds a Tensor that is not a state dict"):
        read_weights(tmp_path / "one.pt")
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.write(tmp_path / "one.pt", "one.pt")
    with pytest.raises(NetworkError, match="an archive of other files; unpack it"):
        read_weights(tmp_path / "many.zip")


def test_files_in_files_are_read_once_and_no_deeper(tmp_path: Path) -> None:
    """A pickle whose tensors are files that hold such files again, each twice, would take forever."""

    class Inner:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def __reduce__(self) -> tuple[Any, ...]:
            return torch.storage._load_from_bytes, (self.data,)

    data = pickle.dumps([1], 4)
    for _ in range(40):
        data = pickle.dumps([Inner(data), Inner(data)], 4)  # the same bytes, kept once
    assert len(data) < 10_000
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(NetworkError):
        read_weights(tmp_path / "a.pkl")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_all_types_are_those_that_torch_reads(zipped: bool, tmp_path: Path) -> None:
    kinds = [
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    ]
    # Of later types torch cannot read its own files of the older form.
    later = [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2]
    kinds += later if zipped else []
    values = torch.arange(12.0).reshape(3, 4)
    saved: dict[str, object] = {str(kind): values.to(kind) for kind in kinds}
    saved |= {"view": values[1:, ::2], "turned": values.T, "scalar": torch.tensor(2.0), "none": values[:0]}
    quantized = torch.quantize_per_tensor(values, 0.1, 0, torch.quint8)
    saved |= {"sparse": values.to_sparse(), "quantized": quantized, "size": values.shape}
    saved |= {"parameter": torch.nn.Parameter(values), "buffer": torch.nn.Buffer(values)}
    torch.save(saved, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    torchs = list_tensors(torch.load(tmp_path / "a.pth", weights_only=True))
    ours = list_tensors(read_checkpoint(tmp_path / "a.pth")[0])
    assert list(ours) == list(torchs)
    for name, wanted in torchs.items():
        found = ours[name]
        assert (found.dtype, found.shape, found.stride()) == (wanted.dtype, wanted.shape, wanted.stride())
        one, other = (tensor.detach().flatten().clone() for tensor in (found, wanted))
        assert torch.equal(one.view(torch.uint8), other.view(torch.uint8))
