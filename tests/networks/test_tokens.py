"""How tokens lie in the picture: worked out, stated, refused; read and written back."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.patches import find_orders, find_patches
from unitscope.networks.tokens import Layout, Tokens, unroll_order
from unitscope.networks.trace import list_layers, tap
from unitscope.networks.unit_maps import read_units, write_units
from unitscope.networks.weights import random_weights


def lay(maps: Tensor, prefix: int = 0, suffix: int = 0) -> Tensor:
    """Maps as a sequence of tokens, row after row, with other tokens around them."""
    patches, ends = maps.flatten(2).transpose(1, 2), (prefix, suffix)
    front, back = (torch.full((len(maps), count, maps.shape[1]), 9.0) for count in ends)
    return torch.cat([front, patches, back], 1)


@pytest.mark.parametrize(("prefix", "given"), [(0, None), (1, None), (5, 5), (0, 5), (1, 1)])
def test_tokens_return_to_their_grid(prefix: int, given: int | None) -> None:
    maps = torch.rand(2, 6, 4, 4)
    assert torch.equal(read_units(lay(maps, prefix), Layout(Tokens(given))), maps)


@pytest.mark.parametrize("grid", [(4, 16), (16, 4), (8, 8), (3, 5), (1, 4), (7, 9)])
@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("patches", [(), ((16, 16),)])
def test_the_grid_has_the_proportions_of_the_input(
    grid: tuple[int, int], prefix: int, patches: tuple[tuple[int, int], ...]
) -> None:
    maps = torch.rand(1, 2, *grid)
    layout = Layout(size=(16 * grid[0], 16 * grid[1]), patches=patches)
    assert torch.equal(read_units(lay(maps, prefix), layout), maps)


def test_patches_that_do_not_fill_the_input() -> None:
    assert Layout(Tokens(1), (100, 150), ((16, 16),)).place(1 + 6 * 9).grid == (6, 9)
    assert Layout(Tokens(1), (100, 150), ((16, 16),)).place(1 + 7 * 10).grid == (7, 10)


def test_grids_of_later_stages_are_halved() -> None:
    layout = Layout(size=(56, 112), patches=((4, 4),))
    assert [layout.place(n).grid for n in (14 * 28, 7 * 14, 4 * 7)] == [(14, 28), (7, 14), (4, 7)]


def test_given_prefix_wins_over_a_guess() -> None:
    assert read_units(torch.rand(1, 9, 2), Layout(Tokens(5))).shape == (1, 2, 2, 2)


@pytest.mark.parametrize(
    "tokens",
    [Tokens(1, grid=(14, 28)), Tokens(grid=(14, 28)), Tokens(1, 0, (), (14, 28), tuple(range(392)))],
)
def test_a_stated_grid_is_taken(tokens: Tokens) -> None:
    layout = Layout(tokens, (224, 224), ((16, 16),))
    assert layout.place(393).grid == (14, 28)
    assert layout.place(98).grid == (7, 14)


def test_other_tokens_may_be_anywhere() -> None:
    maps = torch.rand(2, 3, 2, 4)
    behind = Layout(Tokens(0, last=2), (32, 64))
    assert torch.equal(read_units(lay(maps, 0, 2), behind), maps)
    amid = torch.cat([lay(maps)[:, :4], torch.full((2, 1, 3), 9.0), lay(maps)[:, 4:]], 1)
    layout = Layout(Tokens(others=(4,)), (32, 64))
    assert torch.equal(read_units(amid, layout), maps)
    written = write_units(amid, maps * 2, layout)
    assert torch.equal(read_units(written, layout), maps * 2)
    assert (written[:, 4] == 9).all()


def test_a_stated_order_is_read_and_written() -> None:
    order = tuple(np.random.default_rng(0).permutation(8).tolist())
    maps = torch.rand(2, 3, 2, 4)
    tokens = lay(maps, 1)
    moved = tokens.clone()
    moved[:, [1 + place for place in order]] = tokens[:, 1:]
    layout = Layout(Tokens(1, order=order), (32, 64))
    assert torch.equal(read_units(moved, layout), maps)
    assert torch.equal(write_units(moved, maps, layout), moved)
    assert torch.equal(write_units(moved[:1], maps, layout)[:, 1:], moved[:, 1:])


@pytest.mark.parametrize(
    ("layout", "count", "said"),
    [
        (Layout(Tokens(1)), 90, r"layer block gives 90 tokens .*, which are no grid .* after 1 class"),
        (Layout(), 120, "after up to 16"),
        (Layout(), 21, "which may be 4 x 4 after 5, 3 x 3 after 12 class and register tokens; say .*--grid"),
        (Layout(Tokens(0), (100, 150)), 7, r"7 tokens for an input of 100 x 150 pixels, .*--prefix-tokens N"),
    ],
)
def test_what_is_no_grid_or_several_is_refused(layout: Layout, count: int, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        layout.place(count, "block")


@pytest.mark.parametrize(
    "wrong",
    [{"first": -1}, {"others": (1, 1)}, {"others": (-1,)}, {"grid": (0, 2)}, {"order": (0, 2)}],
)
def test_tokens_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Tokens(**wrong)  # type: ignore[arg-type]


class Patches(nn.Module):
    """Means of patches as tokens, perhaps with a class token in front."""

    def __init__(self, patch: int = 8, prefix: int = 1) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 4, patch, patch)
        self.prefix = prefix
        self.block = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        front = tokens.new_zeros(len(x), self.prefix, 4)
        result: Tensor = self.block(torch.cat([front, tokens], 1)).mean(1)
        return result


@pytest.mark.parametrize("prefix", [0, 1, 4])
@pytest.mark.parametrize("size", [(32, 32), (32, 128), (128, 64), (36, 20)])
def test_tokens_hold_the_maps_that_they_were_made_of(prefix: int, size: tuple[int, int]) -> None:
    network = Network(Patches(prefix=prefix))
    batch = torch.rand(2, 3, *size)
    with tap(network, ["embed", "block"]) as read:
        raw = read(batch)
    assert torch.equal(read_units(raw["block"], network.layout(batch)), raw["embed"])


def test_listed_shapes_follow_the_input() -> None:
    network = Network(Patches(), Preprocessing(size=(64, 128)))
    assert {row.name: row.shape for row in list_layers(network)}["block"] == (4, 8, 16)
    stated = replace(network, tokens=Tokens(1, grid=(16, 8)))
    assert {row.name: row.shape for row in list_layers(stated)}["block"] == (4, 16, 8)


def test_patches_are_read_from_the_modules() -> None:
    assert find_patches(Patches(14)) == ((14, 14),)
    assert find_patches(nn.Sequential(nn.Conv2d(3, 8, 7, 2))) == ()


def reorder(numbers: Tensor, grid: tuple[int, int], strides: list[tuple[int, int]]) -> Tensor:
    """What Hiera's own code makes of tokens in the order of reading."""
    unroll = timm.models.hiera.Unroll((4 * grid[0], 4 * grid[1]), (4, 4), strides)
    made: Tensor = unroll(numbers)
    return made


@pytest.mark.parametrize(
    ("grid", "strides"), [((8, 16), [(2, 2)] * 3), ((4, 4), [(2, 2)]), ((6, 4), [(3, 2)])]
)
def test_unrolled_patches_are_put_back(grid: tuple[int, int], strides: list[tuple[int, int]]) -> None:
    maps = torch.rand(2, 3, *grid)
    tokens = reorder(lay(maps), grid, strides)
    for number, order in enumerate(unroll_order(grid, strides)):
        layout = Layout(Tokens(order=order), maps.shape[2:])
        assert torch.equal(read_units(tokens, layout), maps)
        if number < len(strides):  # pooled as the network does
            tokens = tokens.view(2, strides[number][0] * strides[number][1], -1, 3).amax(1)
            maps = torch.nn.functional.max_pool2d(maps, strides[number])


def test_the_order_of_hiera_is_known() -> None:
    with random_weights(0):
        module = timm.create_model("hiera_tiny_224", img_size=(64, 128), depth=None, embed_dim=8, num_heads=1)
    network = Network(module.eval(), Preprocessing(size=(64, 128)))
    (known,) = find_orders(module)
    assert [len(order) for order in known.orders] == [512, 128, 32, 8]
    batch = torch.rand(1, 3, 64, 128)
    with tap(network, ["patch_embed", "unroll", "unroll@in"]) as read:
        raw = read(batch)
    maps = {layer: read_units(one, network.layout(batch), layer) for layer, one in raw.items()}
    assert torch.equal(maps["unroll"], maps["unroll@in"])
    assert maps["patch_embed"].shape == maps["unroll"].shape == (1, 8, 16, 32)
