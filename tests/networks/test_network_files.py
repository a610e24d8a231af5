"""Networks from files: factories with what lies beside them, and files of other systems."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from unitscope.errors import MissingWeightsError, NetworkError, UsageError
from unitscope.networks.load import load_network


@pytest.fixture
def code(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text("from torch import nn\ndef bare():\n    return nn.Conv2d(3, 4, 3)\n")
    return str(path)


def write_foreign(folder: Path) -> dict[str, str]:
    """Files and folders of other systems, and what they are called."""
    (folder / "orbax" / "default").mkdir(parents=True)
    (folder / "orbax" / "default" / "_METADATA").write_text("{}")
    (folder / "steps" / "100" / "state").mkdir(parents=True)
    (folder / "steps" / "100" / "state" / "manifest.ocdbt").write_bytes(b"x")
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(b"x")
    np.savez(folder / "flax.npz", kernel=np.zeros(3))
    (folder / "flax.npz").rename(folder / "unnamed.bin")
    np.savez(folder / "flax.npz", kernel=np.zeros(3))
    for name in ("net.onnx", "net.ONNX", "flax_model.msgpack", "net.tflite"):
        (folder / name).write_bytes(b"\x08\x07")
    (folder / "keras.weights").write_bytes(b"\x89HDF\r\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Conv2d(3, 4, 3)).save(folder / "program.pt")
    return {
        "orbax": "an Orbax (JAX) checkpoint",
        "steps": "an Orbax (JAX) checkpoint",
        "saved": "a TensorFlow graph",
        "unnamed.bin": "NumPy arrays, as JAX libraries save weights",
        "flax.npz": "NumPy arrays, as JAX libraries save weights",
        "net.onnx": "an ONNX graph",
        "net.ONNX": "an ONNX graph",
        "flax_model.msgpack": "Flax (JAX) weights",
        "net.tflite": "a TensorFlow Lite graph",
        "keras.weights": "a Keras file",
        "program.pt": "a TorchScript program",
    }


def test_files_of_other_systems_are_refused_by_what_they_are(tmp_path: Path, code: str) -> None:
    for name, what in write_foreign(tmp_path).items():
        with pytest.raises(UsageError, match=rf"{re.escape(f'{name} is {what}')}; wanted a PyTorch module"):
            load_network(str(tmp_path / name))
        with pytest.raises(NetworkError, match=re.escape(f"{name} is {what}, not weights of a PyTorch")):
            load_network(f"{code}:bare", weights=tmp_path / name)


def test_weights_in_place_of_a_network_say_where_they_go(tmp_path: Path, code: str) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(UsageError, match=r"a.safetensors is a file of weights; name the network .*--weights"):
        load_network(str(tmp_path / "a.safetensors"))
    with pytest.raises(UsageError, match=r"mine.py does not say which function returns the network"):
        load_network(code)


def write_factory(folder: Path, channels: int) -> str:
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "heads.py").write_text(
        f"from torch import nn\nclass Head(nn.Conv2d):\n    pass\nCHANNELS = {channels}\n"
    )
    (folder / "beside_a_factory.py").write_text(
        "from parts.heads import CHANNELS, Head\ndef make():\n    return Head(3, CHANNELS, 1)\n"
    )
    (folder / "net.py").write_text(
        "from beside_a_factory import make\n"
        "def build():\n    return make()\n"
        "def late():\n    import parts.heads\n    return parts.heads.Head(3, 1, 1)\n"
        "def broken():\n    import parts.nothing\n"
    )
    return str(folder / "net.py")


def test_a_factory_imports_its_neighbors_and_leaves_the_path(tmp_path: Path) -> None:
    path, finders = list(sys.path), list(sys.meta_path)
    for folder, channels in (("one", 5), ("two", 7), ("one", 5)):  # of the same names in each
        net = write_factory(tmp_path / folder, channels)
        module = load_network(f"{net}:build").module
        assert module.out_channels == channels
        assert type(module) is sys.modules["parts.heads"].Head  # found by pickle
        assert load_network(f"{net}:late").module.out_channels == 1
        with pytest.raises(NetworkError, match=r"No module named 'parts.nothing'"):
            load_network(f"{net}:broken")
        assert (sys.path, sys.meta_path) == (path, finders)


def test_a_neighbor_that_changed_is_read_anew(tmp_path: Path) -> None:
    net = write_factory(tmp_path, 5)
    assert load_network(f"{net}:build").module.out_channels == 5
    write_factory(tmp_path, 1234)
    assert load_network(f"{net}:build").module.out_channels == 1234


@pytest.mark.parametrize("argument", ["pretrained=True", "weights='DEFAULT'", "*, depth=1, weights='a.pth'"])
def test_a_factory_is_asked_for_no_weights_where_others_are_given(argument: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n"
        f"def build({argument}):\n"
        "    made = torch.nn.Conv2d(3, 2, 1)\n"
        f"    if {'pretrained' if 'pretrained' in argument else 'weights'}:\n"
        "        made.load_state_dict(torch.load('nowhere/weights.pth'))\n"
        "    return made\n"
    )
    net = f"{tmp_path / 'net.py'}:build"
    with pytest.raises(MissingWeightsError, match=r"finds no weights: .*nowhere.*; give --weights FILE"):
        load_network(net)
    assert load_network(net, random=3).digest == load_network(net, random=3).digest
    torch.save(load_network(net, random=3).module.state_dict(), tmp_path / "a.pth")
    assert load_network(net, weights=tmp_path / "a.pth").digest == load_network(net, random=3).digest


def test_a_factory_keeps_its_weights_where_it_has_them(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2, 3, 1, 1), "bias": torch.ones(2)}, tmp_path / "own.pth")
    (tmp_path / "net.py").write_text(
        "import torch\n"
        f"def build(weights={str(tmp_path / 'own.pth')!r}):\n"
        "    made = torch.nn.Conv2d(3, 2, 1)\n"
        "    made.load_state_dict(torch.load(weights)) if weights else None\n"
        "    return made\n"
    )
    net = f"{tmp_path / 'net.py'}:build"
    assert load_network(net).module.bias.tolist() == [1, 1]
    assert load_network(net, random=3).module.bias.tolist() != [1, 1]


def test_packages_in_a_folder_below_a_factory_stay_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of an environment beside the file: two copies of a library would not know one another."""
    packages = tmp_path / ".venv" / "packages"
    packages.mkdir(parents=True)
    (packages / "installed_below.py").write_text("class Mark:\n    pass\n")
    (tmp_path / "net.py").write_text(
        "import installed_below\nfrom torch import nn\n"
        "def build():\n    made = nn.Conv2d(3, 1, 1)\n    made.mark = installed_below.Mark()\n"
        "    return made\n"
    )
    monkeypatch.syspath_prepend(packages)
    marks = [load_network(f"{tmp_path / 'net.py'}:build").module.mark for _ in range(2)]
    assert type(marks[0]) is type(marks[1])
