"""Directions of the change that a block makes: its output less its input. Edits are added to its output."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.replay import replay
from unitscope.networks.directions.activations import Relu
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.files import load_directions, save_directions
from unitscope.networks.directions.normalizations import LayerNorm
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.probe import probe_layers
from unitscope.networks.trace import find_shapes, hook_layer, open_lenses, tap

UNITS, LATENTS = 6, 9


class Adding(nn.Module):
    """Adds to its input, into which it writes; gives a tuple where it is asked to."""

    def __init__(self, inner: nn.Module, tupled: bool = False) -> None:
        super().__init__()
        self.inner, self.tupled = inner, tupled

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, None]:
        x = x.add_(self.inner(x))
        return (x, None) if self.tupled else x


class Blocks(nn.Module):
    """Maps, then tokens, then a grid with its channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, UNITS, 4, 4)
        self.maps = Adding(nn.Conv2d(UNITS, UNITS, 3, padding=1))
        self.tokens = Adding(nn.Linear(UNITS, UNITS), tupled=True)
        self.last = Adding(nn.Sequential(nn.LayerNorm(UNITS), nn.Linear(UNITS, UNITS)))
        self.head = nn.Linear(UNITS, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maps(self.maps(self.first(x))).flatten(2).transpose(1, 2)
        x = self.tokens(x)[0].reshape(len(x), 4, 4, UNITS)
        return self.head(self.last(x).mean((1, 2)))


LAYERS = {"maps#1": 1, "maps#2": 1, "tokens[0]": -1, "last": 1}
"""Blocks of all kinds, with the axis of their units as they are read."""


def build() -> Network:
    torch.manual_seed(0)
    return Network(Blocks().eval(), Preprocessing((16, 16)))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


BATCH = draw(2, 3, 16, 16, seed=7)


def make() -> Directions:
    return make_directions(
        draw(UNITS, LATENTS),
        draw(LATENTS, UNITS, seed=1),
        bias=draw(LATENTS, seed=2),
        normalization=LayerNorm(),
        activation=Relu(),
        kind="topk-sae",
        reads="change",
    )


def spell(tmp_path: Path, layer: str) -> str:
    return f"{layer}+{save_directions(make(), tmp_path / 'made.safetensors')}"


def watch(layer: str) -> tuple[Tensor, Tensor]:
    """What a block takes and gives, units last, by hooks of torch alone."""
    network, seen = build(), list[tuple[Tensor, Tensor]]()
    name, _, call = layer.replace("[0]", "").partition("#")
    module, took = network.module.get_submodule(name), list[Tensor]()
    module.register_forward_pre_hook(lambda _, args: took.append(args[0].clone()))
    module.register_forward_hook(
        lambda _module, _args, out: seen.append(
            (took[-1], (out[0] if isinstance(out, tuple) else out).clone())
        )
    )
    with torch.no_grad():
        network.module(BATCH)
    both = seen[int(call or 1) - 1]
    first, given = (one.movedim(1, -1) if name == "maps" else one for one in both)
    return first, given


@pytest.mark.parametrize("layer", LAYERS)
def test_latents_are_those_of_output_less_input(tmp_path, layer):
    spelled, network = spell(tmp_path, layer), build()
    first, given = watch(layer)
    cells = (given - first).reshape(-1, UNITS)
    wanted = torch.stack([make().encode(cell[None])[0] for cell in cells])
    with tap(network, [spelled, layer]) as read:
        found = read(BATCH)
    assert torch.equal(found[layer].movedim(LAYERS[layer], -1), given)
    latents = found[spelled].movedim(LAYERS[layer], -1)
    assert latents.shape == (*given.shape[:-1], LATENTS)
    torch.testing.assert_close(latents.reshape(-1, LATENTS), wanted, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(make().encode(given.reshape(-1, UNITS)), wanted, atol=0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_edits_are_added_to_the_output(tmp_path, layer):
    spelled, network = spell(tmp_path, layer), build()
    first, given = watch(layer)
    cells = (given - first).reshape(-1, UNITS)
    old = make().encode(cells)
    new = old.clone()
    new[:, 2] = 0
    change = make().decode(new, cells) - make().decode(old, cells)

    def silence(maps: Tensor, _layout: object) -> Tensor:
        edited = maps.clone()
        edited.movedim(LAYERS[layer], -1)[..., 2] = 0
        return edited

    assert (old[:, 2] > 0).any()
    with hook_layer(network, spelled, silence), tap(network, [layer], stop=False) as read:
        edited = read(BATCH)[layer].movedim(LAYERS[layer], -1).reshape(-1, UNITS)
    torch.testing.assert_close(edited, given.reshape(-1, UNITS) + change, rtol=1e-4, atol=1e-5)
    left = old[:, 2] == 0
    assert torch.equal(edited[left], given.reshape(-1, UNITS)[left])


@pytest.mark.parametrize("layer", LAYERS)
def test_an_edit_that_changes_nothing_changes_no_bit(tmp_path, layer):
    network = build()
    with torch.no_grad():
        before = network.module(BATCH)
        with hook_layer(network, spell(tmp_path, layer), lambda maps, _layout: maps.clone()):
            assert torch.equal(network.run(BATCH), before)


@pytest.mark.parametrize("layer", ["maps#1", "maps#2", "last"])
def test_a_replay_reads_and_edits_as_a_hook_does(tmp_path, layer):
    spelled, network, image = spell(tmp_path, layer), build(), BATCH[:1]

    def silence(maps: Tensor) -> Tensor:
        return maps * torch.tensor([1.0, 0, 1, 1, 0, 1, 1, 1, 1])[:, None, None]

    with tap(network, [spelled]) as read:
        latents = read(image)[spelled]
    with replay(network, spelled) as rest:
        maps, output = rest.start(image)
        assert torch.equal(maps, latents)
        versions = rest.finish(torch.cat([maps, silence(maps)]))
    with torch.no_grad(), hook_layer(network, spelled, lambda maps, _layout: silence(maps)):
        wanted = network.run(image)
    torch.testing.assert_close(versions, torch.cat([output, wanted]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(output, wanted)


def test_looking_at_a_layer_reads_the_change_too(tmp_path):
    spelled, network = spell(tmp_path, "maps#2"), build()
    assert probe_layers(network, [spelled], (16, 16)).outputs[spelled].shape == (1, LATENTS, 4, 4)
    assert find_shapes(network, [spelled])[spelled].shape == (LATENTS, 4, 4)
    assert open_lenses(network, [spelled])[spelled].reads == "change"


def test_what_no_block_gives_is_refused(tmp_path):
    network = build()
    for layer, block in (("maps@in#2", "maps#2"), ("maps@in", "maps")):
        spelled = spell(tmp_path, layer)
        given = spelled.removeprefix(layer)
        with (
            pytest.raises(UsageError, match=r"its output less its input; give the block itself") as refused,
            tap(network, [spelled]) as read,
        ):
            read(BATCH)
        assert str(refused.value).endswith(f"{block}{given}")
        with pytest.raises(UsageError, match="its output less its input"), hook_layer(network, spelled, max):
            pass


def test_a_block_that_gives_another_shape_than_it_takes_is_refused(tmp_path):
    network, spelled = build(), spell(tmp_path, "first")
    wanted = r"gives a tensor of shape \(1, 6, 4, 4\) and takes a tensor of shape \(1, 3, 16, 16\); .*adds$"
    with pytest.raises(NetworkError, match=wanted), tap(network, [spelled]) as read:
        read(BATCH)
    with pytest.raises(NetworkError, match="the change that it makes"):
        probe_layers(network, [spelled], (16, 16))


def test_a_file_says_what_is_read(tmp_path):
    made = make()
    kept = load_directions(save_directions(made, tmp_path / "made.safetensors"))
    plain = make_directions(draw(UNITS, LATENTS))
    assert (kept.reads, kept.digest) == ("change", made.digest)
    assert load_directions(save_directions(plain, tmp_path / "plain.safetensors")).reads == "output"
    assert plain.digest != make_directions(draw(UNITS, LATENTS), reads="change").digest
    data = (tmp_path / "made.safetensors").read_bytes()
    (tmp_path / "later.safetensors").write_bytes(data.replace(b"change", b"chance"))
    with pytest.raises(
        NetworkError, match=r"later.safetensors: its cells are the 'chance' of a layer, which"
    ):
        load_directions(tmp_path / "later.safetensors")
