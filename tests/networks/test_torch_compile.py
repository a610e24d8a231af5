"""Networks that torch compiled, in either of its ways."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.load import load_network
from unitscope.networks.network import Network
from unitscope.networks.trace import hook_layer, list_layers, tap


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU()), nn.Conv2d(4, 2, 1))


def compile_all(module: nn.Module) -> nn.Module:
    return torch.compile(module, backend="eager")


def compile_part(module: nn.Sequential) -> nn.Module:
    module[1] = torch.compile(module[1], backend="eager")
    return module


def compile_in_place(module: nn.Module) -> nn.Module:
    module.compile(backend="eager")
    return module


@pytest.mark.parametrize("compiled", [compile_all, compile_part, compile_in_place])
def test_compiled_networks_are_read_and_edited_as_they_were(compiled: Callable[..., nn.Module]) -> None:
    plain, other = blocks(), compiled(blocks())
    image = torch.rand(2, 3, 6, 6)
    with torch.no_grad():
        wanted = other(image)  # compiled by now
    shapes = {layer.name.replace("_orig_mod.", ""): layer.shape for layer in list_layers(other, (6, 6))}
    assert {layer.name: layer.shape for layer in list_layers(plain, (6, 6))}.items() <= shapes.items()
    names = {name.replace("_orig_mod.", ""): name for name, _ in Network(other).module.named_modules()}
    for layer in ("0", "1", "1.0", "1.1", "2"):
        with tap(plain, [layer]) as read, tap(other, [names[layer]]) as read_other:
            assert torch.equal(read(image)[layer], read_other(image)[names[layer]])
        edits = []
        for network, name in ((Network(plain), layer), (Network(other), names[layer])):
            with hook_layer(network, name, lambda maps, _: maps * 0), torch.no_grad():
                edits.append(network.module(image))
        assert torch.equal(*edits)
        assert not torch.equal(edits[0], wanted)
    with torch.no_grad():
        assert torch.equal(other(image), wanted)


def test_a_compiled_network_has_the_names_and_digest_of_its_module() -> None:
    assert Network(compile_all(blocks())).digest == Network(blocks()).digest
    with pytest.raises(UsageError, match="Sequential has no layer '3'"), tap(compile_all(blocks()), ["3"]):
        pass


# TorchScript


@pytest.fixture(params=["script", "trace"])
def scripted(request: pytest.FixtureRequest) -> Callable[[nn.Module], nn.Module]:
    def make(module: nn.Module) -> nn.Module:
        with warnings.catch_warnings():  # the library advises against it
            warnings.simplefilter("ignore")
            if request.param == "script":
                made: nn.Module = torch.jit.script(module)
            else:
                made = torch.jit.trace(module, torch.zeros(1, 3, 8, 8))
        return made

    return make


def test_torchscript_is_told_in_one_line(scripted: Callable[[nn.Module], nn.Module]) -> None:
    module = scripted(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU()))
    said = r"is TorchScript, whose layers cannot be read; give the module that it was made from"
    with pytest.raises(NetworkError, match=said):
        list_layers(module)
    with pytest.raises(NetworkError, match=said), tap(module, ["0"]):
        pass
    with pytest.raises(NetworkError, match=said), hook_layer(module, "0", lambda maps, _: maps):
        pass


def test_a_part_in_torchscript_leaves_the_others_readable(
    scripted: Callable[[nn.Module], nn.Module],
) -> None:
    inner = scripted(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()))
    network = nn.Sequential(inner, nn.Conv2d(3, 2, 1))
    layers = {layer.name: layer for layer in list_layers(network, (8, 8))}
    assert layers["1"].shape == (2, 6, 6)
    assert layers["0"].reason == layers["0.0"].reason == "is TorchScript, whose layers cannot be read"
    image = torch.rand(1, 3, 8, 8)
    with tap(network, ["1@in"]) as read, torch.no_grad():
        assert torch.equal(read(image)["1@in"], inner(image))
    with pytest.raises(NetworkError, match=r"layer 0.1 of Sequential is TorchScript"), tap(network, ["0.1"]):
        pass


def test_an_exported_program_is_told_in_one_line(tmp_path: Path) -> None:
    code = """
import torch
def net():
    return torch.export.export(torch.nn.Conv2d(3, 4, 3), (torch.zeros(1, 3, 8, 8),)).module()
"""
    (file := tmp_path / "nets.py").write_text(code)
    with pytest.raises(NetworkError, match="is an exported program, whose layers cannot be read"):
        load_network(f"{file}:net")
