"""Addresses: parts of outputs, further inputs, heads of attention, names that hold the signs of addresses."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from transformers import ViTConfig, ViTModel
from transformers.modeling_outputs import BaseModelOutput

from made import make_source
from unitscope.dissection.dissect import dissect
from unitscope.dissection.storage import load
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.edits import count_units, edited
from unitscope.interventions.linear_head import remove_units
from unitscope.networks.addresses import Address, count_heads
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.probe import list_places
from unitscope.networks.structures import pick, put, walk
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import find_shapes, hook_layer, list_layers, tap
from unitscope.networks.unit_maps import read_units
from unitscope.views.terminal import find_unit


class Two(NamedTuple):
    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class Held:
    maps: tuple[Tensor, ...]
    count: int = 1


class Giving(nn.Module):
    """Gives a structure; another module makes one tensor of its tensors."""

    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, x: Tensor) -> object:
        return self.give(x)


class Whole(nn.Module):
    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fpn, self.seen = nn.Conv2d(3, 4, 1), Giving(give), [type(None)]

    def forward(self, x: Tensor) -> Tensor:
        made = self.fpn(self.conv(x))
        self.seen.append(type(made))
        weights = range(1, 9)
        return sum(
            (
                weight * tensor.mean((1, 2, 3))
                for weight, (_, tensor) in zip(weights, walk(made), strict=False)
            ),
            torch.zeros(len(x)),
        )


GIVING: dict[str, Callable[[Tensor], object]] = {
    "tuple": lambda x: (x, x + 1),
    "list": lambda x: [x, x + 1],
    "named": lambda x: Two(x, x + 1),
    "dict": lambda x: {"pool": x, 0: x + 1, "a.b": x + 2, "a]b": x + 3, "give": x + 4},
    "ordered": lambda x: OrderedDict(out=x, aux=x + 1),
    "nested": lambda x: {"maps": [x, (x + 1, x + 2)], "none": None, "count": 3},
    "output": lambda x: BaseModelOutput(last_hidden_state=x, hidden_states=(x + 1, x + 2)),
    "dataclass": lambda x: Held((x, x + 1)),
    "extremes": lambda x: torch.aminmax(x, dim=1, keepdim=True),
}


class Both(nn.Module):
    """Two inputs, by place or by name, and names that hold the signs of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.sum = Sum()
        self.odd = nn.ModuleDict({"a@in": nn.Identity(), "b#1": nn.Identity(), "c[0]": nn.Identity()})
        self.odd._modules["d.e"] = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        for part in self.odd.values():
            x = part(x)
        return self.sum(self.sum(x, x + 1), extra=x + 2)


class Sum(nn.Module):
    def forward(self, x: Tensor, extra: Tensor) -> Tensor:
        return x - extra


class Tokens(nn.Module):
    """One attention of torch over patches, with the images first or second."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.first = nn.Conv2d(3, 8, 4, 4), batch_first
        self.attn = nn.MultiheadAttention(8, 2, batch_first=batch_first)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x if self.first else x.transpose(0, 1)
        x = self.attn(x, x, x, need_weights=False)[0]
        return x if self.first else x.transpose(0, 1)


class Encoding(nn.Module):
    """Torch's encoder layer, which has a shorter way of its own where nobody looks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.embed(x).flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


class Sometimes(nn.Module):
    """A second input at the second call alone; another structure at each."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Optional()

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.part(x)[0], x)["sum"]  # type: ignore[no-any-return]


class Optional(nn.Module):
    def forward(self, x: Tensor, extra: Tensor | None = None) -> object:
        return (x,) if extra is None else {"sum": x + extra}


class Wrapped(nn.Module):
    """What a network of transformers gives, as a part; the sum of all of it comes out."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        sizes = {"hidden_size": 12, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 3}
        self.backbone = ViTModel(
            ViTConfig(**sizes, image_size=16, patch_size=4, output_hidden_states=True)  # type: ignore[arg-type]
        )

    def forward(self, x: Tensor) -> Tensor:
        made = self.backbone(x)
        states = sum(state.sum((1, 2)) for state in made.hidden_states)
        return made.pooler_output + (states + made.last_hidden_state.mean((1, 2)))[:, None]


def tiny_vit() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"embed_dim": 12, "depth": 1, "num_heads": 3, "img_size": 16, "patch_size": 4, "num_classes": 3}
    made: nn.Module = timm.create_model("vit_tiny_patch16_224", **sizes)
    return made


def tiny_swin() -> nn.Module:
    torch.manual_seed(0)
    sizes = {"embed_dim": 12, "depths": (1, 1), "num_heads": (2, 2), "window_size": 4, "img_size": 32}
    made: nn.Module = timm.create_model("swin_tiny_patch4_window7_224", **sizes, num_classes=3)
    return made


MADE: dict[str, tuple[Callable[[], nn.Module], int]] = {
    **{name: (lambda give=give: Whole(give), 6) for name, give in GIVING.items()},  # type: ignore[misc]
    "inputs": (Both, 6),
    "attention": (lambda: Tokens(True), 16),
    "attention, images second": (lambda: Tokens(False), 16),
    "encoder layer": (Encoding, 16),
    "sometimes": (Sometimes, 6),
    "transformers": (Wrapped, 16),
    "timm": (tiny_vit, 16),
    "swin": (tiny_swin, 32),
}


def batch(side: int, images: int = 2) -> Tensor:
    return torch.rand(images, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", MADE)
def test_what_is_listed_is_read_with_that_shape_and_edits_of_nothing_change_nothing(kind: str) -> None:
    make, side = MADE[kind]
    module = make().eval()
    network = Network(module, Preprocessing(size=(side, side)))
    rows = {row.name: row for row in list_layers(network)}
    assert all(find_shapes(network, [name]) == {name: row} for name, row in rows.items())
    listed = {name: row.shape for name, row in rows.items() if row.shape}
    parts = dict(module.named_modules())
    assert all(str(Address.parse(name, parts)) == name for name in listed)
    with tap(network, list(listed)) as read:
        seen = read(batch(side))
    shapes = {
        name: read_units(raw, network.layout((side, side)), name).shape[1:] for name, raw in seen.items()
    }
    assert shapes == listed
    assert any(row.place for row in list_places(network))
    with torch.no_grad():
        before, hooks = module(batch(side)), count_hooks(module)  # transformers adds its own once it ran
        for name in listed:
            with hook_layer(network, name, lambda raw, _layout: raw.clone()):
                torch.testing.assert_close(module(batch(side)), before)
    assert count_hooks(module) == hooks


def count_hooks(module: nn.Module) -> int:
    """The hooks of all parts, and the forward methods that were exchanged."""
    return sum(
        len(part._forward_hooks) + len(part._forward_pre_hooks) + ("forward" in vars(part))
        for part in module.modules()
    )


def zero(raw: Tensor, _layout: Layout) -> Tensor:
    return torch.zeros_like(raw)


@pytest.mark.parametrize("kind", GIVING)
def test_an_edited_part_goes_back_into_the_same_structure(kind: str) -> None:
    module, images = Whole(GIVING[kind]).eval(), batch(6)
    plain = module(images)
    made = module.fpn(module.conv(images))
    addresses = [row.name for row in list_layers(module, (6, 6)) if row.name.startswith("fpn") and row.shape]
    assert len(addresses) == len(list(walk(made)))
    parts = [tensor.mean((1, 2, 3)) for _, tensor in walk(made)]
    for number, name in enumerate(addresses):
        with hook_layer(module, name, zero):
            changed = module(images)
        torch.testing.assert_close(plain - changed, (number + 1) * parts[number])
        with tap(module, [name]) as read:
            assert torch.equal(read(images)[name].mean((1, 2, 3)), parts[number])
    assert set(module.seen[1:]) == {type(made)}


def test_a_model_output_is_read_by_number_too_and_edited_in_both_its_forms() -> None:
    output = BaseModelOutput(last_hidden_state=torch.zeros(1), hidden_states=(torch.ones(1),))
    new = put(output, ("1", "0"), torch.full((1,), 7.0))
    assert isinstance(new, BaseModelOutput)
    assert new.hidden_states == new["hidden_states"] == (torch.full((1,), 7.0),)
    assert output.hidden_states == (torch.ones(1),)
    assert pick(new, ("hidden_states", "0")) is pick(new, ("1", "0"))


keys = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=5)
modules = st.text("ab@#[].0+", min_size=1, max_size=6)


@settings(max_examples=50)
@given(
    st.lists(modules, min_size=1, max_size=4),
    st.lists(keys | st.integers(0, 30), max_size=3),
    st.sampled_from([("out", 0), ("in", 0), ("in", 2), ("heads", 0)]),
    st.none() | st.integers(1, 20),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=5),
)
def test_a_spelled_address_is_read_as_itself(
    names: list[str], path: list[str | int], side: tuple[Any, int], call: int | None, directions: str
) -> None:
    address = Address(names[0], *side, call=call, directions=directions)
    parts = {name: nn.Identity() for name in names}
    if Address.parse(str(address), parts) != address:  # then another module has that very name
        assert any(name != names[0] and str(address).startswith(name) for name in names)
        return
    spelled = address.lead(path, parts)
    assert spelled.steps == tuple(map(str, path))
    found = Address.parse(str(spelled), parts)
    assert found == spelled or any(name != names[0] and str(spelled).startswith(name) for name in names)


def test_the_longest_name_of_a_module_wins() -> None:
    module, images = Both(), batch(6) - 0.5
    addresses = ["odd.a@in", "odd.b#1", "odd.c[0]@in", "odd.d.e", "odd.d.e@in#1"]
    with tap(module, addresses) as read:
        seen = read(images)
    assert all(torch.equal(seen[name], images) for name in addresses if name != "odd.d.e")
    assert torch.equal(seen["odd.d.e"], images.relu())


def test_a_key_that_is_a_part_too_is_written_in_brackets() -> None:
    module = Whole(lambda x: {"give": x})
    module.fpn.give = Giving(lambda x: {"give": x})  # type: ignore[assignment]
    assert {"fpn[give]", "fpn.give", "fpn.give.give"} <= {row.name for row in list_layers(module, (6, 6))}


def test_further_inputs_are_read_and_edited_by_place_and_by_name() -> None:
    module, images = Both(), batch(6)
    with tap(module, ["sum@in#1", "sum@in1#1", "sum@in1#2"]) as read:
        seen = read(images)
    assert torch.equal(seen["sum@in1#1"], seen["sum@in#1"] + 1)
    assert torch.equal(seen["sum@in1#2"], seen["sum@in#1"] + 2)
    with hook_layer(module, "sum@in1#2", zero):
        torch.testing.assert_close(module(images), -torch.ones_like(images))
    with tap(module, ["sum@in2#1"]) as read, pytest.raises(NetworkError, match="takes nothing, not a tensor"):
        read(images)


@pytest.mark.parametrize("first", [True, False])
def test_heads_are_what_each_head_attends_to(first: bool) -> None:
    module, images = Tokens(first).eval(), batch(16)
    tokens = module.embed(images).flatten(2).transpose(1, 2)
    queries, inner, values = (
        part.unflatten(-1, (2, 4)).transpose(1, 2)
        for part in nn.functional.linear(tokens, module.attn.in_proj_weight, module.attn.in_proj_bias).chunk(
            3, -1
        )
    )
    weights = (queries @ inner.mT / 2).softmax(-1)
    wanted = (weights @ values).transpose(1, 2).flatten(2)
    with tap(module, ["attn@heads"]) as read:
        torch.testing.assert_close(read(images)["attn@heads"], wanted)
    kept = torch.arange(8) < 4

    def remove_second(raw: Tensor, _layout: Layout) -> Tensor:
        return raw * kept

    with torch.no_grad(), hook_layer(module, "attn@heads", remove_second):
        torch.testing.assert_close(module(images), module.attn.out_proj(wanted * kept))


def test_parts_and_inputs_that_some_calls_have_are_listed_by_call() -> None:
    listed = [row.name for row in list_layers(Sometimes(), (6, 6))]
    assert listed == ["part#1", "part#2", "part[0]#1", "part.sum#2", "part@in1#2"]


def test_heads_of_libraries_enter_the_projection() -> None:
    module, images = tiny_vit().eval(), batch(16)
    with tap(module, ["blocks.0.attn@heads", "blocks.0.attn"]) as read:
        seen = read(images)
    with torch.no_grad():
        torch.testing.assert_close(
            module.blocks[0].attn.proj(seen["blocks.0.attn@heads"]), seen["blocks.0.attn"]
        )
    assert count_heads(module, "blocks.0.attn@heads") == 3
    assert count_heads(module, "blocks.0.attn@in") == 0


class Beside(nn.Module):
    """The number of heads in one part, the projection beside it, as older transformers have it."""

    def __init__(self, heads: int = 2, width: int = 8) -> None:
        super().__init__()
        self.attention = nn.Identity()
        self.attention.num_attention_heads = heads  # type: ignore[assignment]
        self.output = nn.ModuleDict({"dense": nn.Linear(width, 8)})

    def forward(self, x: Tensor) -> Tensor:
        return self.output["dense"](self.attention(x))  # type: ignore[no-any-return]


def test_heads_beside_their_projection() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Flatten(2), Beside(width=36))
    assert count_heads(network, "2@heads") == 2


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Linear(8, 8), "its Linear has no number of heads"),
        (Beside(3), "8 units enter its output projection, and it says that it has 3 heads"),
        (Beside().attention, r"output projection \(proj, dense, out_proj, ...\), and its Identity has none"),
        (nn.Sequential(nn.MultiheadAttention(8, 2)), r"read part\.0@heads"),
    ],
)
def test_heads_that_are_not_known_are_refused(module: nn.Module, said: str) -> None:
    with (
        pytest.raises(NetworkError, match=said) as told,
        tap(nn.ModuleDict({"part": module}), ["part@heads"]),
    ):
        pass
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            "fpn.pol",
            r"no layer 'fpn\.pol': in fpn a dict \(pool, aux\) has no part 'pol'; near names: .*fpn\.pool",
        ),
        ("fpn[3]", r"a dict \(pool, aux\) has no part '3'"),
        ("conv.wieght", r"no layer 'conv\.wieght': in conv a tensor has no part 'wieght'"),
        ("fpm.pool", "no layer 'fpm.pool'; near names: fpn"),
        ("list.1", "no layer 'list.1'; near names: list.0"),
        ("conv@in0", "is not NAME, NAME@in, NAME@in1"),
        ("fpn[pool", "is not NAME"),
    ],
)
def test_a_misspelled_address_is_answered_with_near_names(layer: str, said: str) -> None:
    module = Whole(lambda x: {"pool": x, "aux": x})
    module.list = nn.ModuleList([nn.Identity()])
    with pytest.raises(UsageError, match=said), tap(module, [layer]) as read:
        read(batch(6))
    with pytest.raises(UsageError, match=said), hook_layer(module, layer, zero):
        module(batch(6))
    assert not module.fpn._forward_hooks


def test_the_parts_of_a_torchvision_segmenter_are_listed_read_and_edited() -> None:
    torch.manual_seed(0)
    module = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2).eval()
    images = batch(32)
    parts = {row.name: row.shape for row in list_layers(module, (32, 32)) if not row.whole}
    assert parts == {"backbone.low": (40, 4, 4), "backbone.high": (960, 2, 2)}
    with tap(module, list(parts)) as read:
        assert {name: tuple(raw.shape[1:]) for name, raw in read(images).items()} == parts
    with torch.no_grad(), hook_layer(module, "backbone.high", lambda raw, _layout: raw.clone()):
        same = module(images)["out"]
    with torch.no_grad():
        assert torch.equal(module(images)["out"], same)


def test_units_of_heads_are_removed_and_come_back() -> None:
    network = Network(Tokens(True).eval(), Preprocessing(size=(16, 16)))
    assert count_units(network, "attn@heads") == 8
    images, mask = batch(16), np.arange(8) < 4
    with torch.no_grad():
        plain = network.module(images)
        with edited(network, remove_units("attn@heads", mask)):
            changed = network.module(images)
        assert not torch.equal(changed, plain)
        assert torch.equal(network.module(images), plain)


def test_an_error_in_the_block_leaves_attention_as_it_was() -> None:
    module = Tokens(True)
    with pytest.raises(ValueError, match="stop"), hook_layer(module, "attn@heads", zero):
        raise ValueError("stop")
    assert "forward" not in vars(module.attn)


def test_units_of_heads_are_named_by_head_and_unit(tmp_path: Any) -> None:
    source = make_source()
    network = Network(tiny_vit(), Preprocessing(size=(16, 16)))
    run = dissect(network, source, ["blocks.0.attn@heads", "blocks.0"], out=tmp_path / "run")
    units = load(tmp_path / "run")["blocks.0.attn@heads"]
    assert [units[unit].name for unit in (0, 3, 4, 11)] == ["0.0", "0.3", "1.0", "2.3"]
    assert run["blocks.0"][4].name == "4"
    rows = (tmp_path / "run" / "units.csv").read_text().splitlines()
    assert rows[0].endswith(",head_unit")
    assert rows[6].startswith("blocks.0.attn@heads,5,")
    assert rows[6].endswith(",1.1")
    assert "unit 1.1 of blocks.0.attn@heads, number 5" in units.text(unit=5)
    assert find_unit(run, None, "1.1") == ("blocks.0.attn@heads", 5)
    assert find_unit(run, "blocks.0", "7") == ("blocks.0", 7)
    for layer, name in ((None, "1.4"), ("blocks.0", "1.1"), (None, "x")):
        with pytest.raises(UsageError, match=f"no layer has a unit '{name}'"):
            find_unit(run, layer, name)
    run["blocks.0"].save(tmp_path / "one")
    assert "head_unit" not in (tmp_path / "one" / "units.csv").read_text()
