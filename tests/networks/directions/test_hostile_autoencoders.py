"""Files of autoencoders that want something run, or all of the memory: nothing is, and one line says so."""

import builtins
import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from latents import LATENTS, UNITS, draw, weights
from unitscope.errors import NetworkError
from unitscope.networks.directions.open_directions import open_directions

RAN: list[str] = []
HERE = __name__.encode()
CALL = b"c" + HERE + b"\nrun\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
SAEV = b'{"schema": 5, "cfg": {"activation": {"cls": "Relu", "params": {}}}}\n'


def run(*words: Any) -> None:
    RAN.append(repr(words)[:80])


class State:
    def __setstate__(self, state: object) -> None:
        run(state)


def nest(opening: bytes, closing: bytes, depth: int = 160_000) -> bytes:
    return opening * depth + closing * depth


def laugh(depth: int = 60) -> bytes:
    """A tuple of two of the last tuple, and so on: small, and endless to whoever walks through it."""
    return b")" + b"2\x86" * depth


def short(text: bytes) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text


PICKLES = {
    "reduce-system": b"cos\nsystem\n(S'touch ran'\ntR.",
    "reduce-posix": b"cposix\nsystem\n(S'touch ran'\ntR.",
    "reduce-own": CALL + b"(S'x'\ntR.",
    "inst": b"(S'x'\ni" + HERE + b"\nrun\n.",
    "obj": b"(" + CALL + b"S'x'\no.",
    "new": CALL + b")\x81.",
    "new-ex": b"\x80\x04" + CALL + b")}\x92.",
    "stack-global": b"\x80\x04" + short(HERE) + short(b"run") + b"\x93)R.",
    "build-setstate": b"c" + HERE + b"\nState\n)\x81}S'a'\nS'b'\nsb.",
    "build-class": b"c" + HERE + b"\nState\n}S'__setstate__'\n" + CALL + b"sb.",
    "build-global": TENSOR + b"(N}S'__defaults__'\n(I1\ntstb.",
    "extension-1": b"\x82\x07)R.",
    "extension-2": b"\x83\x07\x00)R.",
    "extension-4": b"\x84\x07\x00\x00\x00)R.",
    "persistent-call": CALL + b"S'x'\n\x85Q.",
    "persistent-text": b"Pcos\nsystem\n.",
    "getattr-chain": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'touch ran'\ntR.",
    "dotted": b"\x80\x04" + short(b"os") + short(b"path.exists") + b"\x93" + short(b"/") + b"\x85R.",
    "eval": b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.',
    "exec": b'c__builtin__\nexec\n(S\'open("ran", "w")\'\ntR.',
    "apply": b"cfunctools\npartial\n(" + CALL + b"S'x'\ntR)R.",
    "operator": b"coperator\nmethodcaller\n(S'system'\nS'touch ran'\ntR(cos\n__dict__\ntR.",
    "torch-load": b"ctorch\nload\n(S'other.pt'\ntR.",
    "torch-load-inside": b"ctorch.storage\n_load_from_bytes\n(C\x12cos\nsystem\n(S'x'\ntRtR.",
    "joblib": b"cjoblib\nload\n(S'other.pkl'\ntR.",
    "import-by-name": b"cimported_by_an_autoencoder\nx\n)R.",
    "item-of-call": CALL + b")R}S'a'\nS'b'\nss.",
    "append-to-call": CALL + b")R(S'a'\nS'b'\ne.",
    "dict-class": b"ccollections\nOrderedDict\n)R}S'__class__'\n" + CALL + b"sb.",
    "from-type": b"ctorch._tensor\n_rebuild_from_type_v2\n(" + CALL + b"NS'x'\n\x85NtR.",
    "no-storage": TENSOR + b"(NI0\n(I2\nt(I1\ntI00\nNtR.",
    "deep-list": nest(b"]", b"a") + b".",
    "deep-tuple": b")" + b"\x85" * 160_000 + b".",
    "deep-key": b"})" + b"\x85" * 160_000 + b"Ns.",
    "deep-pair": b"ccollections\nOrderedDict\n(](](" + b")" + b"\x85" * 160_000 + b"NeetR.",
    "deep-member": b"\x80\x04\x8f()" + b"\x85" * 160_000 + b"\x90.",
    "deep-frozen": b"\x80\x04()" + b"\x85" * 160_000 + b"\x91.",
    "memo-laughs": laugh() + b".",
    "memo-laughs-as-key": b"}" + laugh() + b"Ns.",
    "memo-itself": b"]q\x00h\x00a.",
    "memo-number": b"Nr\xff\xff\xff\xff.",
    "memo-missing": b"h\x07.",
    "long-bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**45) + b"x.",
    "long-text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "long-array": b"\x80\x05\x96" + struct.pack("<Q", 2**45) + b".",
    "long-frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".",
    "long-number": b"L" + b"9" * 200_000 + b"L\n.",
    "long-negative": b"\x8b" + struct.pack("<i", -9) + b".",
    "unknown-opcode": b"\xfe.",
    "no-stop": b"N",
    "empty-stack": b".",
    "protocol": b"\x80\x63N.",
    "not-a-dict": b"]N.",
}


def write_zip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def write_stream(data: bytes) -> bytes:
    first = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(one, 2) for one in first) + data + pickle.dumps([], 2)


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "torch": ("weights.pt", write_zip),
    "torch-legacy": ("model.pth", write_stream),
    "pickle": ("sae.pkl", bytes),
    "gzip": ("n_images_8.pkl.gz", gzip.compress),
    "saev": ("sae.pt", lambda data: SAEV + write_zip(data)),
}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to be in, where a module lies that must not be imported, and no way to a shell."""
    RAN.clear()
    (tmp_path / "imported_by_an_autoencoder.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(os, "system", lambda command: run(command))


def refuse(path: Path) -> str:
    """The one line that is said of a file; nothing ran, and nothing was written."""
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    with pytest.raises(NetworkError) as told:
        open_directions(str(path))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600
    assert RAN == []
    assert os.listdir(".") == []
    assert torch._utils._rebuild_tensor_v2.__defaults__ is defaults
    return str(told.value)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", PICKLES)
def test_no_pickle_runs_anything_or_fills_the_memory(kind: str, form: str, tmp_path: Path) -> None:
    name, pack = FORMS[form]
    path = tmp_path / name
    path.write_bytes(pack(PICKLES[kind]))
    refuse(path)


@pytest.mark.parametrize("kind", ["reduce-own", "inst", "obj", "stack-global", "build-setstate", "apply"])
def test_the_hostile_pickles_are_hostile(kind: str) -> None:
    """The twin: Python's own reader does what they want."""
    pickle.loads(PICKLES[kind])
    assert RAN


class Evil:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args


EVILS: dict[str, Callable[[], Any]] = {
    "own": lambda: Evil(run, "x"),
    "shell": lambda: Evil(os.mkdir, "ran"),
    "chain": lambda: Evil(run, Evil(getattr, Evil(__import__, "os"), "mkdir")),
    "exec": lambda: Evil(exec, "open('ran', 'w')"),
    "open": lambda: Evil(builtins.open, "ran", "w"),
    "load": lambda: Evil(torch.load, "other.pt"),
    "state": State,
}


@pytest.mark.parametrize("evil", EVILS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_beside_the_weights_is_not_run(evil: str, zipped: bool, tmp_path: Path) -> None:
    """Such a file may be read, as it has all that is wanted: what it reads is what a plain one gives."""
    settings = {"activation_fn_str": "relu", "normalize_activations": "none", "evil": EVILS[evil]()}
    path = tmp_path / "weights.pt"
    torch.save({"cfg": settings, "state_dict": weights()}, path, _use_new_zipfile_serialization=zipped)
    made = open_directions(str(path))
    assert torch.equal(made.encoder, draw(1, UNITS, LATENTS))
    assert RAN == []
    assert os.listdir(".") == []


@pytest.mark.parametrize("evil", EVILS)
@pytest.mark.parametrize("place", ["W_enc", "b_dec", "cfg", "normalize_activations", "k"])
def test_code_in_place_of_what_is_wanted_is_refused(place: str, evil: str, tmp_path: Path) -> None:
    cfg: Any = {
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 4},
        "normalize_activations": "none",
    }
    state: dict[str, Any] = weights()
    if place in state:
        state[place] = EVILS[evil]()
    elif place == "k":
        cfg["activation_fn_kwargs"]["k"] = EVILS[evil]()
    elif place == "cfg":
        cfg = EVILS[evil]()
    else:
        cfg[place] = EVILS[evil]()
    torch.save({"cfg": cfg, "state_dict": state}, tmp_path / "weights.pt")
    refuse(tmp_path / "weights.pt")


def test_a_packed_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sae.pkl.gz"
    path.write_bytes(gzip.compress(bytes(2**26), 9))
    assert "would unpack to more than" in refuse(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"N.")
        archive.writestr("archive/data/0", bytes(2**26))
    for name, before in {"weights.pt": b"", "sae.pt": SAEV}.items():
        (tmp_path / name).write_bytes(before + buffer.getvalue())
        assert "would unpack to" in refuse(tmp_path / name)


def test_a_packed_file_in_a_packed_file_is_no_file_of_weights(tmp_path: Path) -> None:
    data = b"N."
    for _ in range(5):
        data = gzip.compress(data)
    (tmp_path / "sae.pkl.gz").write_bytes(data)
    refuse(tmp_path / "sae.pkl.gz")
    (tmp_path / "weights.pt").write_bytes(write_zip(write_zip(b"N.")))
    refuse(tmp_path / "weights.pt")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("a/data.pkl", "b/data.pkl"):
            archive.writestr(name, b"N.")
    (tmp_path / "weights.pt").write_bytes(buffer.getvalue())
    refuse(tmp_path / "weights.pt")


def test_files_that_are_cut_short_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"cfg": {}, "state_dict": weights()}, buffer)
    whole = {
        "weights.pt": buffer.getvalue(),
        "sae.pt": SAEV + buffer.getvalue(),
        "sae.pkl.gz": gzip.compress(pickle.dumps({"cfg": {}, "state_dict": weights()})),
    }
    for name, data in whole.items():
        for length in (0, 1, 9, 60, len(data) // 2, len(data) - 1):
            (tmp_path / name).write_bytes(data[:length])
            refuse(tmp_path / name)


@pytest.mark.parametrize(
    "data",
    [b"GIF89a", b"<!doctype html>", b"version https://git-lfs\n", b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY"],
)
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    for name in ("weights.pt", "sae.pkl.gz", "sae.safetensors", "sae.pt"):
        (tmp_path / name).write_bytes(data + bytes(20))
        refuse(tmp_path / name)


def test_a_tensor_larger_than_its_data_is_refused(tmp_path: Path) -> None:
    state = weights(b_enc=torch.zeros(1).expand(2**40))
    torch.save({"cfg": {"activation_fn_str": "relu"}, "state_dict": state}, tmp_path / "weights.pt")
    assert "b_enc says that it is larger than its data" in refuse(tmp_path / "weights.pt")


def test_settings_beside_the_weights_are_text(tmp_path: Path) -> None:
    torch.save(weights(threshold=torch.ones(LATENTS)), tmp_path / "ae.pt")
    laughs: Any = "x"
    for _ in range(12):
        laughs = [laughs, laughs]
    for config in (
        {"trainer": {"dict_class": "os.system"}},
        {"trainer": {"dict_class": "JumpReluAutoEncoder" * 10_000}},
        {"trainer": {"dict_class": laughs}},
        {"trainer": {"dict_class": "Jump\nRelu\x1b[2J"}},
    ):
        (tmp_path / "config.json").write_text(json.dumps(config))
        refuse(tmp_path)
    for text in (b"\xff\xfe", b"[" * 200_000, b"{" + b" " * 2**24, b"9" * 10_000):
        (tmp_path / "config.json").write_bytes(text)
        assert "config.json" in refuse(tmp_path)
