"""Whether cells look where they are drawn: layouts of every kind, right and wrong, and planted units."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.errors import NetworkError
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.places import Place, draw_changes, locate
from unitscope.networks.probe import list_places, probe_layers
from unitscope.networks.receptive_fields import find_fields
from unitscope.networks.tokens import Tokens
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.networks.weights import random_weights

Size = tuple[int, int]
Layouts = Callable[[Tensor], Tensor]


def make_maps(size: Size, grid: Size) -> Tensor:
    """Colors of patches in eight mixtures: what a layer of patches gives for the images of the probe."""
    images = torch.from_numpy(draw_changes(size)).permute(0, 3, 1, 2).float() / 255
    mixtures = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    return torch.einsum("iuyx,ku->ikyx", nn.functional.adaptive_avg_pool2d(images, grid), mixtures)


def cut(maps: Tensor, side: int) -> Tensor:
    """Windows one after the other, read as if they were rows of a picture."""
    windows = maps.unflatten(2, (-1, side)).unflatten(4, (-1, side))
    return windows.transpose(3, 4).reshape(maps.shape)


def shuffle(maps: Tensor) -> Tensor:
    order = torch.randperm(maps[0, 0].numel(), generator=torch.Generator().manual_seed(1))
    return maps.flatten(2)[..., order].reshape(maps.shape)


def mix(maps: Tensor) -> Tensor:
    """What all of the picture adds to every cell, as attention with a residual does."""
    strengths = torch.randn(maps.shape[1:], generator=torch.Generator().manual_seed(2))
    return maps + 3 * maps.mean((2, 3), keepdim=True) * strengths


def attend(maps: Tensor) -> Tensor:
    """Averages over all cells alone."""
    cells = maps[0, 0].numel()
    weights = (0.3 * torch.randn(cells, cells, generator=torch.Generator().manual_seed(3))).softmax(0)
    return (maps.flatten(2) @ weights).reshape(maps.shape)


def snake(maps: Tensor) -> Tensor:
    """Every second row runs from right to left."""
    turned = maps.clone()
    turned[:, :, 1::2] = maps[:, :, 1::2].flip(3)
    return turned


GRIDS = [((224, 224), (14, 14)), ((128, 256), (16, 32)), ((64, 64), (8, 8)), ((224, 224), (56, 56))]
WRONG: dict[str, Layouts] = {
    "columns first": lambda maps: maps.transpose(2, 3).reshape(maps.shape),
    "mirrored": lambda maps: maps.flip(3),
    "upside down": lambda maps: maps.flip(2),
    "windows of 2": lambda maps: cut(maps, 2),
    "shuffled": shuffle,
    "shuffled and mixed": lambda maps: shuffle(mix(maps)),
    "every second row turned": snake,
}


@pytest.mark.parametrize(("size", "grid"), GRIDS)
@pytest.mark.parametrize("wrong", WRONG)
def test_other_orders_are_elsewhere(size: Size, grid: Size, wrong: str) -> None:
    assert locate(WRONG[wrong](make_maps(size, grid))).where == "elsewhere"


MORE_GRIDS = [((64, 256), (4, 16)), ((224, 224), (7, 7)), ((64, 64), (4, 4))]


@pytest.mark.parametrize(("size", "grid"), GRIDS + MORE_GRIDS)
def test_places_are_found_also_where_all_is_mixed(size: Size, grid: Size) -> None:
    maps = make_maps(size, grid)
    assert locate(maps) == replace(locate(maps), where="in place", away=0.0)
    mixed = locate(mix(maps))
    assert mixed.where == "in place"
    assert mixed.away > 0
    assert locate(attend(maps)).where == "mixed"
    assert locate(attend(maps), fitting=False).where == "elsewhere"


@pytest.mark.parametrize("side", [4, 7])
def test_windows_are_elsewhere(side: int) -> None:
    assert locate(cut(make_maps((224, 224), (56, 56)), side)).where == "elsewhere"


def test_maps_without_places_or_answers() -> None:
    assert locate(torch.rand(3, 5, 1, 1)).where == "whole"
    assert locate(torch.ones(3, 5, 6, 6)).where == "silent"
    assert locate(torch.full((3, 5, 6, 6), torch.nan)).where == "silent"


def test_units_that_rarely_answer_are_in_place() -> None:
    """Two units, silent at most of the places that change."""
    maps = make_maps((128, 128), (16, 16))[:, :2]
    rare = (maps - maps.flatten(2).quantile(0.8, 2)[..., None, None].amax(0)).relu()
    assert locate(rare).where == "in place"


def test_the_images_are_always_the_same_and_differ_where_they_say() -> None:
    images = draw_changes((63, 126))
    assert np.array_equal(images, draw_changes((63, 126)))
    changed = (images[1:] != images[0]).any(-1).reshape(2, 7, 9, 7, 18).mean((2, 4))
    assert [sorted(zip(*np.nonzero(one), strict=True)) for one in changed] == [
        [(0, 2), (4, 5), (6, 0)],
        [(1, 0), (2, 4), (5, 2)],
    ]
    assert changed[changed > 0].min() > 0.9
    assert draw_changes((3, 5)).shape == (3, 3, 5, 3)


def test_a_record_comes_back() -> None:
    place = Place("mixed", 0.25, 0.5)
    assert Place.parse({"where": "mixed", "agreement": 0.25, "away": 0.5}) == place
    assert Place.parse(None) is None
    with pytest.raises(ValueError, match="cannot be 'here'"):
        Place.parse({"where": "here", "agreement": 0.25, "away": 0.5})


NETWORKS = {
    "vit": ("vit_tiny_patch16_224", (64, 128), {"img_size": (64, 128), "depth": 2}, Tokens(1)),
    "swin": ("swin_tiny_patch4_window7_224", (56, 112), {"img_size": (56, 112), "embed_dim": 24}, Tokens()),
    "hiera": ("hiera_tiny_224", (64, 128), {"img_size": (64, 128), "embed_dim": 24}, Tokens()),
    "convnext": ("convnext_atto", (96, 96), {"depths": (1, 1, 1, 1)}, Tokens()),
    "resnet": ("resnet10t", (64, 64), {}, Tokens()),
    "nest": ("nest_tiny", (128, 128), {"img_size": 128}, Tokens()),
}


def open_network(name: str) -> Network:
    architecture, size, options, tokens = NETWORKS[name]
    with random_weights(0):
        module = timm.create_model(architecture, **options)
    return Network(module.eval(), Preprocessing(size), tokens=tokens)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("vit", {"patch_embed": "in place", "blocks.0": "in place", "blocks.1": "in place",
                 "blocks.1.attn": "mixed", "blocks.0.attn.q_norm": "elsewhere"}),
        ("swin", {"layers.0": "in place", "layers.0.blocks.1": "in place", "layers.1": "in place"}),
        ("hiera", {"patch_embed": "in place", "blocks.0": "in place", "blocks.2": "in place"}),
        ("convnext", {"stem": "in place", "stages.0": "in place", "stages.1": "in place"}),
        ("resnet", {"conv1": "in place", "layer1": "in place", "layer2": "in place", "fc": "whole"}),
        ("nest", {"levels.0": "in place", "levels.0.transformer_encoder": "elsewhere"}),
    ],
)  # fmt: skip
def test_layers_of_real_networks(name: str, wanted: dict[str, str]) -> None:
    network = open_network(name)
    found = {row.name: row for row in list_places(network)}
    assert {layer: found[layer].place for layer in wanted} == wanted
    size = network.preprocessing.size
    assert size is not None
    probe = probe_layers(network, list(wanted), size)
    fields, places = probe.fields, probe.places
    assert {layer: place.where for layer, place in places.items()} == wanted
    assert fields == find_fields(network, list(wanted))


def test_the_order_of_hiera_read_as_a_picture_is_elsewhere() -> None:
    network = open_network("hiera")
    network._layouts[64, 128] = replace(network.layout((64, 128)), orders=())
    found = {row.name: row.place for row in list_places(network)}
    assert found["patch_embed"] == "in place"
    assert found["unroll"] == found["blocks.0"] == found["blocks.2"] == "elsewhere"


def test_a_probe_leaves_the_network_as_it_was() -> None:
    network = open_network("resnet")
    network.module.train()
    before = network.digest
    list_places(network)
    probe_layers(network, ["layer1"], (64, 64))
    assert network.module.training
    assert network.digest == before
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())


def test_generators_are_not_probed() -> None:
    module = nn.Sequential(nn.Linear(4, 48), nn.Unflatten(1, (3, 4, 4)))
    generator = us.Generator(module, latent=(4,))
    assert [row.place for row in list_places(generator)] == ["", ""]
    assert probe_layers(generator, ["1"], (4, 4)).places == {}


class Planted(nn.Module):
    """One unit a color, exact at every place; in a layout of its own."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.colors = nn.Conv2d(3, 2, 4, 4, bias=False)
        weight = torch.zeros(2, 3, 4, 4)
        weight[0, 0], weight[1, 2] = 1 / 16, 1 / 16
        self.colors.weight.data = weight
        self.layout, self.block, self.norm = layout, nn.Identity(), nn.LayerNorm(2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.colors(x)
        tokens = maps.flatten(2).transpose(1, 2)
        others = tokens.new_zeros(len(x), 5, 2)
        return {
            "convolution": lambda: self.block(maps),
            "channels last": lambda: self.block(maps.permute(0, 2, 3, 1)),
            "tokens": lambda: self.block(tokens),
            "class token": lambda: self.block(torch.cat([others[:, :1], tokens], 1)),
            "registers": lambda: self.block(torch.cat([others, tokens], 1)),
            "tokens behind": lambda: self.block(torch.cat([tokens, others[:, :2]], 1)),
            "turned tokens": lambda: self.block(tokens.flip(1)),
        }[self.layout]()


STATED = {"registers": Tokens(5), "tokens behind": Tokens(0, last=2)}


class Squares(list):
    vocabulary = us.Vocabulary((us.Concept(1, "red", "color"), us.Concept(2, "blue", "color")))


def paint(size: Size, count: int = 6) -> Squares:
    """Pictures with a red and a blue rectangle, on the lattice of the patches."""
    random = np.random.default_rng(0)
    examples = Squares()
    for number in range(count):
        pixels, planes = np.zeros((*size, 3), np.uint8), np.zeros((1, *size), np.uint16)
        for concept, channel in ((1, 0), (2, 2)):
            top, left = (4 * int(random.integers(0, side // 4 - 3)) for side in size)
            pixels[top : top + 8, left : left + 12] = 0
            pixels[top : top + 8, left : left + 12, channel] = 255
            planes[0, top : top + 8, left : left + 12] = concept
        examples.append(us.Example(f"{number}", pixels, planes))
    return examples


def count(source: Squares, unit: int) -> float:
    """The IoU of the pixels of a unit's patches, brought to the size of the masks by half-pixel centers."""
    shared = union = 0
    for example in source:
        cells = torch.from_numpy(example.image[:, :, 2 * unit].astype(np.float32) / 255)[None, None]
        cells = nn.functional.avg_pool2d(cells, 4)
        mask = nn.functional.interpolate(cells, size=example.image.shape[:2], mode="bilinear")[0, 0] > 0.5
        truth = torch.from_numpy(example.planes[0] == unit + 1)
        shared += int((mask & truth).sum())
        union += int((mask | truth).sum())
    return shared / union


@pytest.mark.parametrize("size", [(32, 32), (32, 64)])
@pytest.mark.parametrize(
    "layout", ["convolution", "channels last", "tokens", "class token", "registers", "tokens behind"]
)
def test_planted_units_are_named_with_the_iou_counted_by_hand(layout: str, size: Size) -> None:
    source = paint(size)
    network = Network(Planted(layout), tokens=STATED.get(layout, Tokens()))
    rules = replace(us.CONVENTIONS["pnas"], reduction=1)
    halves = {"block": np.full(2, 0.5, np.float32)}
    run = us.dissect(
        network, source, ["block"], convention=rules, thresholds=halves, confidences=Confidences(shifts=0)
    )
    place = run["block"].place
    assert place is not None
    assert place.where == "in place"
    for unit, name in enumerate(("red", "blue")):
        concept = run["block"][unit].concept
        assert concept is not None
        assert concept.name == name
        assert run["block"][unit].iou == pytest.approx(count(source, unit), abs=1e-6)


def test_a_layer_that_is_elsewhere_is_refused_unless_trusted(tmp_path: Path) -> None:
    source, network = paint((32, 64)), Network(Planted("turned tokens"))
    options = {"convention": "pnas", "confidences": Confidences(shifts=0)}
    with pytest.raises(NetworkError, match=r"layer block of network answers elsewhere: .*--trust-layout"):
        us.dissect(network, source, ["block"], **options)
    run = us.dissect(network, source, ["block"], trust_layout=True, out=tmp_path / "run", **options)
    assert any("answer elsewhere" in text for text in run["block"].warnings)
    again = us.load(tmp_path / "run")["block"].place
    assert again == run["block"].place
    assert again is not None
    assert again.where == "elsewhere"
    turned = Network(Planted("turned tokens"), tokens=Tokens(order=tuple(range(127, -1, -1))))
    places = us.dissect(turned, source, ["block"], **options)["block"].place
    assert places is not None
    assert places.where == "in place"


def test_reading_turned_tokens_in_their_order_gives_the_maps() -> None:
    batch = torch.rand(2, 3, 32, 64)
    network = Network(Planted("turned tokens"), tokens=Tokens(order=tuple(range(127, -1, -1))))
    with tap(network, ["colors", "block"]) as read:
        raw = read(batch)
    assert torch.equal(read_units(raw["block"], network.layout(batch)), raw["colors"])
