"""Reading layers: what is read, and that the network stays as it was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import hook_layer, list_layers, tap
from unitscope.networks.unit_maps import read_units


class Odd(nn.Module):
    """A network with everything that is awkward: tuples, dicts, nothing, a shared ReLU, an unused layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()
        self.named = Returning(lambda x: {"map": x})
        self.silent = Returning(lambda _x: None)
        self.unused = nn.Linear(2, 2)
        self.tail = Counting()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x))
        x = self.relu(x - 1)
        x, _ = self.pair(x)
        x = self.named(x)["map"]
        self.silent(x)
        return self.tail(x)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(x), x


class Returning(nn.Module):
    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, x: Tensor) -> object:
        return self.give(x)


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def forward(self, x: Tensor) -> Tensor:
        self.images += len(x)
        return x


@dataclass
class State:
    modes: list[bool]
    gradients: list[bool]
    hooks: int


def state(module: nn.Module) -> State:
    parts = list(module.modules())
    return State(
        [part.training for part in parts],
        [parameter.requires_grad for parameter in module.parameters()],
        sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in parts),
    )


@pytest.fixture
def odd() -> Iterator[Odd]:
    torch.manual_seed(0)
    module = Odd().train()
    module.relu.eval()
    module.conv.weight.requires_grad_(False)
    before = state(module)
    yield module
    assert state(module) == before


def batch(images: int = 2) -> Tensor:
    return torch.rand(images, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_output_is_read_before_an_inplace_operation_changes_it(odd: Odd) -> None:
    with tap(odd, ["conv", "relu#2"]) as read:
        seen = read(batch())
    assert torch.equal(seen["conv"], odd.conv(batch()))
    assert (seen["conv"] < 0).any()


def test_stopping_layer_is_not_changed_by_what_follows(odd: Odd) -> None:
    with tap(odd, ["conv"]) as read:
        assert (read(batch())["conv"] < 0).any()


def test_input_of_a_layer_is_read(odd: Odd) -> None:
    with tap(odd, ["relu@in#1", "conv"]) as read:
        seen = read(batch())
    assert torch.equal(seen["relu@in#1"], seen["conv"])


def test_calls_of_a_shared_module_are_told_apart(odd: Odd) -> None:
    with tap(odd, ["relu#1", "relu#2"]) as read:
        seen = read(batch())
    assert torch.equal(seen["relu#2"], torch.relu(seen["relu#1"] - 1))


def test_shared_module_without_a_number_is_refused(odd: Odd) -> None:
    with (
        tap(odd, ["relu"]) as read,
        pytest.raises(UsageError, match=r"runs 2 times.*say which: relu#1 to relu#2"),
    ):
        read(batch())


def test_call_that_does_not_happen_is_refused(odd: Odd) -> None:
    with tap(odd, ["relu#3"]) as read, pytest.raises(NetworkError, match="runs only 2 times"):
        read(batch())


def test_pass_stops_after_the_last_layer_and_checks_with_one_image(odd: Odd) -> None:
    with tap(odd, ["conv"]) as read:
        read(batch(2))
        read(batch(2))
    assert odd.tail.images == 1


def test_without_stop_the_pass_goes_on(odd: Odd) -> None:
    with tap(odd, ["conv"], stop=False) as read:
        assert read(batch(2))["conv"].shape[0] == 2
    assert odd.tail.images == 2


def test_network_that_catches_exceptions_still_stops() -> None:
    class Catching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Identity(), Counting()

        def forward(self, x: Tensor) -> Tensor:
            try:
                x = self.first(x)
            except Exception:
                x = torch.zeros_like(x)
            return self.last(x)

    module = Catching()
    with tap(module, ["first"]) as read:
        assert torch.equal(read(batch(3))["first"], batch(3))
    assert module.last.images == 1


def test_failure_behind_the_last_layer_does_not_matter() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(7, 2))
    with tap(module, ["0"]) as read:
        assert read(batch())["0"].shape == (2, 4, 4, 4)


def test_unknown_layer_gets_near_names(odd: Odd) -> None:
    with pytest.raises(UsageError, match="no layer 'con'; near names: conv"), tap(odd, ["con"]):
        pass


@pytest.mark.parametrize("address", ["conv@out", "conv#0", "conv#x", "conv#"])
def test_malformed_address_is_refused(odd: Odd, address: str) -> None:
    with pytest.raises(UsageError, match="is not NAME"), tap(odd, [address]):
        pass


def test_no_layers_is_wrong_usage(odd: Odd) -> None:
    with pytest.raises(UsageError, match="no layer was named"), tap(odd, []):
        pass


def test_layer_that_never_runs(odd: Odd) -> None:
    with tap(odd, ["unused"]) as read, pytest.raises(NetworkError, match="unused of Odd never runs"):
        read(batch())


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            "pair",
            r"returns a tuple of 2, not a tensor; tensors in it: pair\[0\], pair\[1\]; "
            r"parts of it that return tensors: pair\.inner$",
        ),
        ("named", r"returns a dict \(map\), not a tensor; tensors in it: named\.map$"),
        ("silent", "returns nothing, not a tensor$"),
    ],
)
def test_layer_that_gives_no_tensor(odd: Odd, layer: str, said: str) -> None:
    with tap(odd, [layer]) as read, pytest.raises(NetworkError, match=said) as caught:
        read(batch())
    assert "\n" not in str(caught.value)


def test_network_that_fails_on_the_size() -> None:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), name="mine.py:net")
    with (
        tap(network, ["1"]) as read,
        pytest.raises(NetworkError, match=r"mine.py:net failed on an input of 6 x 6 pixels: mat1") as caught,
    ):
        read(batch())
    assert "\n" not in str(caught.value)


def test_error_in_the_block_leaves_the_network_as_it_was(odd: Odd) -> None:
    with pytest.raises(RuntimeError, match="channels"), tap(odd, ["conv"]):
        odd(batch()[:, :2])


def test_reading_is_in_evaluation_mode_without_gradients() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.9)).train()
    with tap(module, ["1"]) as read:
        seen = read(batch())["1"]
    assert torch.allclose(seen, batch(), atol=1e-4)
    assert not seen.requires_grad
    assert module[0].num_batches_tracked == 0
    assert module.training


def test_maps_stay_as_they_are() -> None:
    maps = torch.rand(2, 4, 3, 5)
    assert torch.equal(read_units(maps), maps)


class Turning(nn.Module):
    """Channels last between two modules, as in Swin; `act` and the whole tell nothing by their kind."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 1)
        self.norm = nn.LayerNorm(channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x).permute(0, 2, 3, 1)))


@pytest.mark.parametrize("size", [(3, 3), (6, 10), (4, 8)])
def test_channels_last_maps_are_turned(size: tuple[int, int]) -> None:
    module, images = Turning(7), torch.rand(2, 3, *size)
    maps = module(images).detach().permute(0, 3, 1, 2)
    with tap(module, ["conv", "norm", "act"]) as read:
        seen = read(images)
    turned = read_units(seen["act"])
    assert torch.equal(turned, maps)
    assert turned.is_contiguous()
    assert seen["conv"].shape == seen["norm"].shape == maps.shape
    assert {layer.shape for layer in list_layers(module, size)} == {(7, *size)}


def test_as_many_channels_as_rows_stay_channels() -> None:
    module, images = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), torch.rand(1, 3, 4, 8)
    with tap(module, ["0", "1"]) as read:
        seen = read(images)
    assert torch.equal(read_units(seen["1"]), module(images))
    assert [layer.shape for layer in list_layers(module, (4, 8))] == [(4, 4, 8)] * 2


def test_units_that_may_be_either_axis_are_refused() -> None:
    with tap(Turning(4), ["act"]) as read, pytest.raises(NetworkError, match=r"layer act .* may be"):
        read(torch.rand(1, 3, 4, 4))


def test_edits_of_channels_last_are_of_units() -> None:
    module, images = Turning(7), torch.rand(2, 3, 3, 3)
    seen = []

    def change(raw: Tensor, _layout: Layout) -> Tensor:
        seen.append(raw.shape)
        return raw * (torch.arange(7) != 5)[:, None, None]

    with hook_layer(module, "norm", change):
        output = module(images)
    assert seen == [(2, 7, 3, 3)]
    assert output.shape == (2, 3, 3, 7)
    assert (output.abs().amax((0, 1, 2)) == 0).tolist() == [unit == 5 for unit in range(7)]


class Windows(nn.Module):
    """Attention in windows: every quarter of the image is an entry of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        quarters = x.unflatten(2, (2, -1)).unflatten(4, (2, -1)).permute(0, 2, 4, 3, 5, 1).flatten(3, 4)
        return self.attn(quarters.flatten(0, 2)).unflatten(0, (len(x), 4)).mean((1, 2))


def test_layer_of_windows_is_not_listed_and_not_read() -> None:
    (layer,) = list_layers(Windows(), (8, 8))
    assert layer.shape is None
    assert layer.reason.startswith("layer attn gives 4 arrays (16 x 5) for 1 image;")
    with tap(Windows(), ["attn"]) as read, pytest.raises(NetworkError, match="for 1 image; wanted one an im"):
        read(batch())


def test_features_are_maps_of_one_cell() -> None:
    assert read_units(torch.rand(2, 8)).shape == (2, 8, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_units_are_float32(dtype: torch.dtype) -> None:
    assert read_units(torch.ones(1, 2, 3, 3, dtype=dtype)).dtype == torch.float32


@pytest.mark.parametrize("tensor", [torch.zeros(2), torch.zeros(1, 2, 3, 4, 5)])
def test_other_shapes_are_refused(tensor: Tensor) -> None:
    with pytest.raises(NetworkError, match="layer deep gives an array of shape"):
        read_units(tensor, layer="deep")


def test_whole_numbers_are_refused() -> None:
    with pytest.raises(NetworkError, match="int64"):
        read_units(torch.zeros(1, 2, dtype=torch.int64))


def test_layers_are_listed_with_shapes_or_reasons(odd: Odd) -> None:
    network = Network(odd, Preprocessing(size=(6, 6)))
    found = {layer.name: layer for layer in list_layers(network)}
    assert found["conv"].shape == (4, 6, 6)
    assert found["relu#1"].calls == found["relu#2"].calls == 2
    assert found["unused"].reason == "never runs in a forward pass"
    assert found["pair"].shape is None
    assert found["pair"].reason == "returns a tuple of 2, not a tensor"
    assert found["pair.inner"].shape == (4, 6, 6)


def test_every_listed_address_can_be_read(odd: Odd) -> None:
    addresses = [layer.name for layer in list_layers(odd, (6, 6)) if layer.shape]
    with tap(odd, addresses) as read:
        assert set(read(batch())) == set(addresses)


def test_listing_fails_in_one_line() -> None:
    with pytest.raises(NetworkError, match=r"Linear failed on an input of 8 x 8 pixels: .*try another size"):
        list_layers(nn.Linear(3, 2), (8, 8))


@pytest.mark.parametrize(
    ("module", "said", "unsaid"),
    [
        (nn.Conv2d(1, 4, 3), "it was given 3 channels", "another size"),
        (nn.Sequential(nn.BatchNorm2d(3), nn.GroupNorm(2, 4)), "it was given 3 channels", "another size"),
        (
            nn.Bilinear(3, 3, 2),
            "missing 1 required .*: it takes more than an image|takes more",
            "another size",
        ),
        (Returning(lambda _: {}["depth"]), "'depth'", "another size"),
        (Returning(lambda x: x.nothing), "no attribute 'nothing'", "another size"),
        (nn.Conv2d(3, 4, 9), "try another size", "channels:"),
        (Returning(lambda x: x.reshape(1, 3, 7, 7)), "try another size", "channels:"),
    ],
)
def test_advice_is_about_what_is_the_matter(module: nn.Module, said: str, unsaid: str) -> None:
    with pytest.raises(NetworkError, match=said) as told:
        list_layers(module, (8, 8))
    assert unsaid not in str(told.value)
