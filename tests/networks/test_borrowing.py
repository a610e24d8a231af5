import pytest
import torch
from torch import nn

from unitscope.dissection.activations import read_activations
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.borrowing import placed
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine

import made  # isort: skip


def make_module():
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3))
    module[3].weight = module[2].weight  # tied
    module[0].bias.requires_grad_(False)
    module.register_buffer("nothing", None)
    module(torch.zeros(2, 3, 9, 9)).sum().backward()
    return module


def describe(module):
    """Every tensor of a module: itself, where its numbers and its gradient are, and what they are."""
    tensors = {**dict(module.named_parameters(remove_duplicate=False)), **dict(module.named_buffers())}
    return {
        name: (
            id(value), value.data_ptr(), value.device, value.requires_grad, value.tolist(),
            None if value.grad is None else (value.grad.data_ptr(), value.grad.tolist()),
        )
        for name, value in tensors.items()
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("scripted", [False, True])
def test_a_module_that_was_lent_comes_back_as_the_same_tensors(scripted):
    module = make_module()
    module = torch.jit.script(module) if scripted else module
    network, before = Network(module, Preprocessing()), describe(module)
    digest = network.digest
    with placed(network, "meta"):
        assert {value.device.type for value in module.state_dict().values()} == {"meta"}
        with placed(network, "meta"):
            assert network.device == "meta"
        assert network.device == "meta"
    assert describe(module) == before
    assert network.digest == digest


def test_it_comes_back_after_an_error_as_well():
    module = make_module()
    network, before = Network(module), describe(module)
    with pytest.raises(ValueError, match="in between"), placed(network, "meta"):
        raise ValueError("in between")
    assert describe(module) == before
    with pytest.raises(NotImplementedError):  # a device on which nothing can be computed
        dissect(network, made.make_source(2), ["2"], confidences=Confidences(0), machine=Machine("meta"))
    assert describe(module) == before


def test_one_that_moves_in_part_and_then_fails_is_put_together_again():
    class Stubborn(nn.Conv2d):
        def _apply(self, *_, **__):
            raise RuntimeError("You cannot move\na dispatched model")

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Stubborn(4, 4, 3))
    before, said = describe(module), "^net cannot be moved to meta: You cannot move a dispatched model; "
    with pytest.raises(NetworkError, match=said), placed(Network(module, name="net"), "meta"):
        pass
    assert describe(module) == before


def test_one_that_is_there_or_was_spread_by_a_library_is_left_alone():
    module = make_module()
    module.to = None  # would fail
    with placed(Network(module), "cpu"):
        assert next(module.parameters()).device.type == "cpu"
    module.hf_device_map = {"": "cpu"}
    with placed(Network(module), "meta"):
        assert next(module.parameters()).device.type == "cpu"


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_a_device_that_is_not_there_is_told_in_one_line(monkeypatch, device):
    def find():
        raise RuntimeError("Found no NVIDIA driver on your system.\nPlease check")

    monkeypatch.setattr(torch.cuda, "current_device", find)
    network, machine = Network(make_module()), Machine(device)
    said = f"^torch cannot use a device '{device}' here; use the cpu$"
    with pytest.raises(UsageError, match=said):
        dissect(network, made.make_source(2), ["2"], machine=machine)
    with pytest.raises(UsageError, match=said):
        read_activations(network, made.make_source(2), ["2"], machine=machine)
