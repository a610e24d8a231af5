"""How images pass a network is chosen by what it is, stands in the recipe, and leaves it as it was."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import made
from unitscope.dissection.batches import settle_passes
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.planning import plan_scan
from unitscope.networks.network import Network, Preprocessing
from unitscope.statistics.scan import Machine
from unitscope.statistics.store import Store

QUIET = Confidences(0)


class Viewing(nn.Module):
    """Takes it for granted that channels lie first: an error where they do not."""

    def __init__(self, way):
        super().__init__()
        self.conv, self.way, self.maps = nn.Conv2d(3, 4, 3), way, nn.Identity()

    def forward(self, pictures):
        seen = self.conv(pictures)
        rows = seen.view(len(seen), -1) if self.way == "view" else seen
        if self.way == "strides":  # no error, but other numbers
            rows = torch.as_strided(seen, (len(seen), seen[0].numel()), (seen[0].numel(), 1))
        return self.maps(rows.reshape(seen.shape))


def plan(module, layer, size=(24, 20), **options):
    network = Network(module.eval(), Preprocessing(size), **options)
    source = made.make_source(3, size=size)
    return network, plan_scan(network, source, [layer], CONVENTIONS["pnas"], {}, None, "stretch")[0]


@pytest.mark.parametrize(("channels", "wanted"), [(64, 32), (200, 16), (500, 8), (700, 8)])
def test_what_all_layers_give_on_the_way_decides_how_many_images_pass(channels, wanted):
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, channels, 1))  # counted once, as its parts
    module = nn.Sequential(first, nn.ReLU(), nn.Conv2d(channels, 2, 1, 8))
    module.append(nn.ConvTranspose2d(2, 999, 8, 8))  # behind the layer that is read: it never runs
    network, planned = plan(module, "2", (162, 162))
    with torch.no_grad():
        outputs = [part(torch.zeros(1, 3, 162, 162)) for part in (first[0], first, module[:2], module[:3])]
    whole = sum(output.numel() * 4 for output in outputs)
    # The widest would have fewer than 8 pass, which are the fewest.
    assert [size for size in (8, 16, 32) if size == 8 or size * whole <= 1 << 30][-1] == wanted
    assert settle_passes(network, planned, Machine(), None).batch_size == wanted
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize(
    ("module", "layer", "wanted"),
    [
        (Viewing("reshape"), "maps", True),
        (Viewing("view"), "maps", False),
        (Viewing("strides"), "maps", False),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True)), "0", True),
        (nn.Sequential(nn.AvgPool2d(2)), "0", False),  # nothing convolves
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "2", False),
    ],
)
def test_channels_lie_last_where_the_result_is_the_same(module, layer, wanted):
    network, planned = plan(module, layer)
    assert settle_passes(network, planned, Machine(), None).channels_last is wanted
    for last in (True, False):
        given = settle_passes(network, planned, Machine(channels_last=last), 3)
        assert (given.batch_size, given.channels_last) == (3, last)


def test_what_is_random_passes_as_always():
    network, planned = plan(nn.Sequential(nn.Conv2d(3, 4, 3)), "0")
    found = settle_passes(network, replace(planned, random=True), Machine(), None)
    assert (found.batch_size, found.channels_last) == (8, False)


def test_pictures_hold_the_same_numbers_in_either_order():
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3)).astype(np.uint8)
    prepared = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    first, last = prepared.tensor(images), prepared.tensor(images, channels_last=True)
    assert torch.equal(first, last)
    assert first.is_contiguous()
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_a_run_names_units_alike_in_either_order_and_says_which_it_was():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 6, 5, 2), nn.ReLU(), nn.Conv2d(6, 5, 3)).eval()
    before = {name: (value.clone(), value.stride()) for name, value in module.state_dict().items()}
    source, network = made.make_source(12), Network(module)
    runs = [
        dissect(network, source, ["2"], confidences=QUIET, machine=Machine(channels_last=last))
        for last in (None, False)
    ]
    assert [run.recipe.channels_last for run in runs] == [True, None]
    np.testing.assert_allclose(runs[0]["2"].thresholds, runs[1]["2"].thresholds, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(runs[0]["2"].labels.best, runs[1]["2"].labels.best)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert value.stride() == before[name][1]


def test_a_run_that_goes_on_takes_what_it_was_begun_with(tmp_path, monkeypatch):
    source, network = made.make_source(12), Network(nn.Sequential(nn.Conv2d(3, 5, 5, 2)).eval())
    given = {"confidences": QUIET, "shard_size": 4, "out": tmp_path}
    write, written = Store.write, []

    def write_one(*shard):
        if written:
            raise RuntimeError("stopped")
        written.append(write(*shard))

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", write_one)
        with pytest.raises(RuntimeError, match="stopped"):
            dissect(network, source, ["0"], batch_size=2, machine=Machine(channels_last=False), **given)
    run = dissect(network, source, ["0"], resume=True, **given)
    assert (run.recipe.batch_size, run.recipe.channels_last) == (2, None)
    usual = dissect(network, source, ["0"], confidences=QUIET)
    assert (usual.recipe.batch_size, usual.recipe.channels_last) == (32, True)
