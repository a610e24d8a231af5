"""Layers in directions: latents as worked out cell by cell, edits that leave alone what they do not move."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.edits import count_units
from unitscope.networks import latents
from unitscope.networks.addresses import Address, count_heads, leave_directions
from unitscope.networks.directions.activations import Activation, Linear, Relu, Threshold, TopK
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.drawn import draw_rotation, draw_sae, keep_units
from unitscope.networks.directions.files import save_directions
from unitscope.networks.directions.normalizations import ConstantNorm, LayerNorm, Normalization, Unchanged
from unitscope.networks.directions.open_directions import open_directions
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.probe import probe_layers
from unitscope.networks.receptive_fields import find_fields
from unitscope.networks.trace import find_shapes, hook_layer, open_lenses, tap


class Tokens(nn.Module):
    """A class token and 4 x 4 patches of 6 features, mixed twice by the same module."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, 6))
        self.patches, self.mix = nn.Conv2d(3, 6, 4, 4), nn.Linear(6, 6)
        self.attention, self.head = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = self.mix(torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1))
        tokens = self.mix(tokens + self.attention(tokens, tokens, tokens)[0])
        return self.head(tokens[:, 0])


class Last(nn.Module):
    """Channels last, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 6, 4, 4), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x).permute(0, 2, 3, 1)).mean((1, 2)))


def convolutions() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.Flatten(), nn.Linear(720, 6))


LAYERS = {
    "0": (convolutions, 1),
    "0@in": (convolutions, 1),
    "4": (convolutions, 1),
    "mix#2": (Tokens, 2),
    "attention@heads": (Tokens, 2),
    "attention[0]": (Tokens, 2),
    "norm": (Last, 1),
}
"""Layers of all kinds, with the axis of their units as they are read."""


def build(layer: str) -> Network:
    torch.manual_seed(0)
    return Network(LAYERS[layer][0]().eval(), Preprocessing((16, 16)))


def draw(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


BATCH = draw((2, 3, 16, 16), 7)


def make(
    units: int,
    latents: int,
    activation: Activation | None = None,
    normalization: Normalization | None = None,
) -> Directions:
    return make_directions(
        draw((units, latents)),
        draw((latents, units), 1),
        bias=draw((latents,), 2),
        offset=draw((units,), 3),
        subtracted=draw((units,), 4),
        activation=activation,
        normalization=normalization,
    )


KINDS = {
    "rotation": lambda units: draw_rotation(units, 0),
    "identity": keep_units,
    "untrained": lambda units: draw_sae(units, 24, 3, 0),
    "linear": lambda units: make(units, 4, Linear()),
    "relu, layer norm": lambda units: make(units, 9, Relu(), LayerNorm()),
    "top-k, constant norm": lambda units: make(units, 32, TopK(5, relu=False), ConstantNorm()),
    "threshold": lambda units: make(units, 12, Threshold(draw((12,)).abs(), strict=True)),
}


def spell(tmp_path: Path, layer: str, kind: str, units: int) -> str:
    return f"{layer}+{save_directions(KINDS[kind](units), tmp_path / 'made.safetensors')}"


def read_plainly(made: Directions, cell: np.ndarray) -> np.ndarray:
    """The latents of one cell, from the definition, in double precision."""
    x = cell.astype(np.float64)
    if isinstance(made.normalization, LayerNorm):
        x = (x - x.mean()) / (x.std(ddof=1) + 1e-5)
    if isinstance(made.normalization, ConstantNorm):
        x = x * len(x) ** 0.5 / np.linalg.norm(x)
    h = (x - made.subtracted.numpy()) @ made.encoder.double().numpy() + made.bias.numpy()
    match made.activation:
        case Relu():
            return np.maximum(h, 0)
        case TopK(k, relu):
            kept = np.zeros_like(h)
            chosen = np.argsort(-h, kind="stable")[:k]
            kept[chosen] = h[chosen]
            return np.maximum(kept, 0) if relu else kept
        case Threshold():
            return np.where(h > made.activation.values.numpy(), h, 0)
    return h


def scale_plainly(made: Directions, cell: np.ndarray) -> float:
    """By how much a step in the decoder's space is longer in the layer's."""
    if isinstance(made.normalization, LayerNorm):
        return float(cell.astype(np.float64).std(ddof=1))
    if isinstance(made.normalization, ConstantNorm):
        return float(np.linalg.norm(cell.astype(np.float64))) / len(cell) ** 0.5
    assert isinstance(made.normalization, Unchanged)
    return 1.0


def read(network: Network, *layers: str) -> dict[str, Tensor]:
    with tap(network, layers) as reader:
        return reader(BATCH)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_cell_is_read_by_itself_as_the_definition_has_it(tmp_path, layer, kind):
    network, axis = build(layer), LAYERS[layer][1]
    raw = read(network, layer)[layer]
    units = raw.shape[axis]
    spelled = spell(tmp_path, layer, kind, units)
    both = read(network, layer, spelled)
    assert torch.equal(both[layer], raw)
    made = KINDS[kind](units)
    wanted = np.apply_along_axis(lambda cell: read_plainly(made, cell), axis, raw.numpy())
    found = both[spelled]
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert np.allclose(found.numpy(), wanted, atol=2e-5)
    assert (found.numpy() != 0).sum() == (np.abs(wanted) > 1e-7).sum()
    assert count_heads(network, spelled) == 0
    assert leave_directions(network, [spelled]) == {spelled: layer}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", LAYERS)
def test_an_edit_adds_what_the_decoder_makes_of_it_and_leaves_other_cells_alone(tmp_path, layer, kind):
    network, axis = build(layer), LAYERS[layer][1]
    raw = read(network, layer)[layer]
    made = KINDS[kind](raw.shape[axis])
    spelled = spell(tmp_path, layer, kind, raw.shape[axis])
    before = network.run(BATCH)
    with torch.no_grad(), hook_layer(network, spelled, lambda z, _layout: z.clone()):
        assert torch.equal(network.run(BATCH), before)
    steps: list[Tensor] = []
    seen: list[Tensor] = []

    def change(z: Tensor, _layout: object) -> Tensor:
        new = z.clone()
        image = new.movedim(axis, -1)[0]
        image[(*(slice(1) for _ in image.shape[1:]), 1)] += 2.0  # one latent of one cell
        steps.append(new - z)
        return new

    def note(maps: Tensor, _layout: object) -> Tensor:
        seen.append(maps)
        return maps

    hooks = [(spelled, change), (layer, note)]
    with torch.no_grad(), ExitStack() as stack:
        # Of what heads give, the hook that came last sees first what the others wrote.
        for place, look in hooks[::-1] if layer.endswith("@heads") else hooks:
            stack.enter_context(hook_layer(network, place, look))
        assert not torch.equal(network.run(BATCH), before)
    [step], [written] = ([one.movedim(axis, -1).numpy() for one in part] for part in (steps, seen))
    cells = raw.movedim(axis, -1).numpy()
    touched = (step != 0).any(-1)
    assert touched.sum() == 1
    assert np.array_equal(written[~touched], cells[~touched])
    for place in zip(*np.nonzero(touched), strict=True):
        move = step[place].astype(np.float64) @ made.decoder.double().numpy()
        wanted = cells[place] + scale_plainly(made, cells[place]) * move
        assert np.allclose(written[place], wanted, atol=1e-4)


def test_a_name_that_holds_the_sign_wins():
    module = nn.Sequential()
    module.add_module("a", nn.Conv2d(3, 4, 1))
    module.add_module("a+rotation:0", nn.Conv2d(4, 5, 1))
    with tap(Network(module), ["a+rotation:0", "a+rotation:1"]) as reader:
        maps = reader(BATCH)
    assert maps["a+rotation:0"].shape[1] == 5
    assert maps["a+rotation:1"].shape[1] == 4


@pytest.mark.parametrize(
    "text",
    ["a+rotation:0", "a@in1.b[x+y]#2+sae:/a+b/c.d[0]#3@in?k=2", "a[+]+x", "a.b+F.safetensors", "a+C:\\x y"],
)
def test_what_stands_behind_the_first_plus_is_the_spec(text):
    address = Address.parse(text, ["a"])
    assert str(address) == text
    assert f"{address.plain}+{address.directions}" == text
    assert address.site == Address("a", address.side, address.number)


def test_directions_without_a_spec_or_of_an_unknown_layer_are_refused():
    network = build("0")
    with pytest.raises(UsageError, match=r"layer '0\+' is not NAME, .*such as NAME\+rotation:0"):
        read(network, "0+")
    with pytest.raises(UsageError, match="has no layer '7'"):
        read(network, "7+rotation:0")


def test_calls_and_parts_are_named_with_their_directions():
    with pytest.raises(UsageError, match=r"say which: mix#1\+rotation:0 to mix#2\+rotation:0"):
        read(build("mix#2"), "mix+rotation:0")
    with pytest.raises(NetworkError, match=r"tensors in it: attention\[0\]\+rotation:0"):
        read(build("mix#2"), "attention+rotation:0")


def test_a_width_that_does_not_fit_is_told_in_one_line_with_both(tmp_path):
    network = build("0")
    spelled = spell(tmp_path, "0", "relu, layer norm", 112)
    with pytest.raises(UsageError, match=r"layer 0\+.* of network: .*112 units.*6") as caught:
        read(network, spelled)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="112 units"):
        count_units(network, spelled)


def test_what_has_no_cells_has_no_latents():
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :, None]

    module = nn.Sequential(Odd(), nn.Flatten())
    with pytest.raises(NetworkError, match=r"shape \(1, 3, 1, 16, 16\); directions lie in maps"):
        read(Network(module), "0+rotation:0")


def test_half_precision_is_read_and_written_in_single(tmp_path):
    network = build("0")
    network.module.to(torch.bfloat16)
    batch = BATCH.to(torch.bfloat16)
    with tap(network, ["0", "0+rotation:0"]) as reader:
        maps = reader(batch)
    assert maps["0+rotation:0"].dtype == torch.float32
    assert torch.equal(maps["0+rotation:0"], draw_rotation(6, 0).encode_maps(maps["0"].float()))
    with torch.no_grad(), torch.autocast("cpu"), hook_layer(network, "0+rotation:0", lambda z, _: z + 0):
        during = network.run(batch)
    with torch.no_grad(), torch.autocast("cpu"):
        assert torch.equal(during, network.run(batch))


def test_gradients_reach_latents_that_nothing_has_changed():
    network, (turned, decoder) = build("0"), (draw_rotation(6, 0), draw_rotation(6, 0).decoder)
    leaf: list[Tensor] = []

    def branch(z: Tensor, _layout: object) -> Tensor:
        leaf[:] = [z.detach().clone().requires_grad_()]
        return leaf[0] * 1

    with hook_layer(network, "0+rotation:0", branch):
        output = network.run(BATCH)
    [found] = torch.autograd.grad(output[0, 1], leaf)
    maps = network.module[0](BATCH).detach().requires_grad_()
    [slope] = torch.autograd.grad(network.module[1:](maps)[0, 1], maps)
    assert torch.equal(output, network.run(BATCH))
    assert torch.allclose(found, torch.einsum("nuyx,lu->nlyx", slope, decoder), atol=1e-6)
    assert turned.latents == 6


def test_places_and_fields_are_those_of_the_layer_itself():
    network = build("0")
    probe = probe_layers(network, ["0+random-sae:40:2:0", "1"], (16, 16))
    plain = probe_layers(network, ["0", "1"], (16, 16))
    assert probe.outputs["0+random-sae:40:2:0"].shape == (1, 40, 14, 14)
    assert probe.places == {"0+random-sae:40:2:0": plain.places["0"], "1": plain.places["1"]}
    assert probe.fields["0+random-sae:40:2:0"] == plain.fields["0"]
    fields = find_fields(network, ["0", "0+rotation:0"], (16, 16))
    assert fields["0"] == fields["0+rotation:0"]


def test_latents_are_counted_where_units_are(tmp_path):
    network = build("mix#2")
    spelled = spell(tmp_path, "mix#2", "untrained", 6)
    assert count_units(network, spelled) == 24
    rows = find_shapes(network, ["mix#2", spelled, "nothing"])
    assert {name: row.shape for name, row in rows.items()} == {"mix#2": (6, 4, 4), spelled: (24, 4, 4)}
    opened = open_lenses(network, ["mix#2", spelled])
    assert {layer: one.latents for layer, one in opened.items()} == {spelled: 24}
    assert open_lenses(network, ["mix#2"]) == {}


def test_what_nobody_uses_is_let_go_by_bytes(monkeypatch):
    network, opened = build("0"), list[str]()

    def count(spec: str, units: int | None = None) -> Directions:
        opened.append(spec)
        return open_directions(spec, units)

    def read(*numbers: int) -> list[Directions]:
        return [latents.open_for(network.name, "0", f"random-sae:24:3:{seed}", 6) for seed in numbers]

    monkeypatch.setattr(latents, "open_directions", count)
    monkeypatch.setattr(latents, "_OPENED", latents._Opened())
    size = latents._weigh(read(0)[0])
    monkeypatch.setattr(latents, "KEPT", 2 * size)
    read(1), read(2), read(2), read(1)  # two stay
    assert len(opened) == 3
    held = read(0)  # 2 goes
    read(3), read(4)  # and then 1, and 0 but for its user
    assert len(opened) == 6
    assert read(0)[0] is held[0]
    assert len(opened) == 6
    del held
    monkeypatch.setattr(latents, "KEPT", 0)
    read(5)
    assert len(latents._OPENED.used) == len(latents._OPENED.last) == 1


def test_files_are_opened_once_and_again_once_they_change(tmp_path, monkeypatch):
    network, opened = build("0"), list[str]()

    def open_noted(spec: str, units: int | None) -> Directions:
        opened.append(spec)
        return original(spec, units)

    original = latents.open_directions
    monkeypatch.setattr(latents, "open_directions", open_noted)
    spelled = spell(tmp_path, "0", "linear", 6)
    with tap(network, [spelled]) as reader:
        first = reader(BATCH)[spelled]
        save_directions(draw_rotation(6, 3), tmp_path / "made.safetensors")
        assert torch.equal(reader(BATCH)[spelled], first)
    assert len(opened) == 1
    assert read(network, spelled)[spelled].shape[1] == 6
    assert read(network, spelled)[spelled].shape[1] == 6
    assert len(opened) == 2


def test_a_relative_path_starts_from_where_one_is(tmp_path, monkeypatch):
    network = build("0")
    for name, seed in (("one", 0), ("other", 1)):
        (tmp_path / name).mkdir()
        save_directions(draw_rotation(6, seed), tmp_path / name / "turned.safetensors")
    found = []
    for name in ("one", "other"):
        monkeypatch.chdir(tmp_path / name)
        found.append(read(network, "0+turned.safetensors")["0+turned.safetensors"])
    wanted = read(network, "0+rotation:0", "0+rotation:1").values()
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
