"""Networks that take more than one RGB picture: two inputs, lists, texts besides, gray."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.ablation import Trial, score_removals, single_units
from unitscope.interventions.attacks import classify_pixels
from unitscope.interventions.edits import edited, set_units
from unitscope.interventions.explanation import explain_image
from unitscope.interventions.importance import correlate_peaks
from unitscope.interventions.linear_head import check_hidden
from unitscope.interventions.replay import replay
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.probe import list_places
from unitscope.networks.trace import hook_layer, list_layers, tap
from unitscope.networks.weights import put_weights, random_weights

SIZE = (32, 32)
EXACT = replace(us.CONVENTIONS["pnas"], reduction=1)


class Squares(list[us.Example]):
    """Bright rectangles on dark noise, labeled; the kind of a picture is its number modulo 2."""

    vocabulary = us.Vocabulary((us.Concept(1, "bright", "object"), us.Concept(2, "dark", "object")))


def paint(count: int = 6) -> Squares:
    random = np.random.default_rng(0)
    examples = Squares()
    for number in range(count):
        pixels = random.integers(0, 100, (*SIZE, 3)).astype(np.uint8)
        top, left = (4 * int(random.integers(0, 5)) for _ in range(2))
        pixels[top : top + 8, left : left + 12] = random.integers(180, 256, (8, 12, 3))
        planes = np.full((1, *SIZE), 2, np.uint16)
        planes[0, top : top + 8, left : left + 12] = 1
        examples.append(us.Example(f"{number}", pixels, planes))
    return examples


def dissect(
    network: Network, layer: str, source: Squares, threshold: float, units: int
) -> us.LayerDissection:
    given = {layer: np.full(units, threshold, np.float32)}
    options = {"convention": EXACT, "thresholds": given, "confidences": Confidences(shifts=0)}
    return us.dissect(network, source, [layer], **options)[layer]


def count_iou(masks: list[np.ndarray], source: Squares) -> float:
    truth = [example.planes[0] == 1 for example in source]
    pairs = list(zip(masks, truth, strict=True))
    return sum((a & b).sum() for a, b in pairs) / sum((a | b).sum() for a, b in pairs)


def colors() -> nn.Conv2d:
    """Red, green and blue minus one half, at the place of the pixel."""
    layer = nn.Conv2d(3, 3, 1)
    layer.weight.data = torch.eye(3)[:, :, None, None]
    layer.bias.data = torch.full((3,), -0.5)
    return layer


class Both(nn.Module):
    """Looks at a picture and at numbers beside it, which it cannot do without."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = colors()
        self.act = nn.ReLU()
        self.head = nn.Linear(3, 4)

    def forward(self, pixels: Tensor, numbers: Tensor) -> Tensor:
        return self.head(self.act(self.colors(pixels)).mean((2, 3)) + numbers)


def with_numbers(module: nn.Module, batch: Tensor) -> Any:
    return module(batch, numbers=batch.new_zeros(len(batch), 3))


class Detector(nn.Module):
    """Takes a list of pictures, and gives a dictionary for each."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = colors()

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        if not isinstance(images, list):
            raise TypeError("missing 1 required positional argument: a list of images")
        return [{"scores": one.amax((1, 2))} for one in self.colors(torch.stack(images))]


@pytest.fixture
def both() -> Network:
    with random_weights(0):
        return Network(Both().eval(), Preprocessing(SIZE), tuple("abcd"), "both", forward=with_numbers)


@pytest.fixture
def plain(both: Network) -> Network:
    """The same weights as a module of pictures alone."""
    parts = both.module.colors, both.module.act, nn.AdaptiveAvgPool2d(1), nn.Flatten(), both.module.head
    return Network(nn.Sequential(*parts), Preprocessing(SIZE), tuple("abcd"), "plain")


@pytest.fixture(scope="module")
def clip() -> Network:
    sides = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    texts = {**sides, "vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    pictures = {**sides, "image_size": 64, "patch_size": 8}
    with random_weights(0):
        module = CLIPModel(CLIPConfig(text_config=texts, vision_config=pictures, projection_dim=8)).eval()

    def rate(module: nn.Module, batch: Tensor) -> Tensor:
        ids = torch.tensor([[0, 5, 6, 1], [0, 7, 8, 1], [0, 9, 2, 1]], device=batch.device)
        logits: Tensor = module(pixel_values=batch, input_ids=ids).logits_per_image
        return logits

    return Network(module, Preprocessing((64, 64)), ("cat", "dog", "tree"), "clip", forward=rate)


def test_a_network_of_two_inputs_is_dissected_as_one_of_one(both: Network, plain: Network) -> None:
    source = paint()
    layer, other = dissect(both, "act", source, 0.05, 3), dissect(plain, "1", source, 0.05, 3)
    for unit in range(3):
        masks = [example.image[..., unit] > 0.55 * 255 for example in source]
        assert layer[unit].iou == pytest.approx(count_iou(masks, source), abs=1e-6)
        assert layer[unit].iou == other[unit].iou
        assert layer[unit].concept.name == "bright"
    assert layer.place.where == "in place"
    found = us.read_activations(both, source, ["act"]).arrays()["act"]
    assert np.array_equal(found, us.read_activations(plain, source, ["1"]).arrays()["1"])


def test_a_network_of_two_inputs_is_listed(both: Network) -> None:
    rows = [(row.name, row.shape, row.place) for row in list_places(both)]
    assert rows[:2] == [("colors", (3, 32, 32), "in place"), ("act", (3, 32, 32), "in place")]
    with pytest.raises(NetworkError, match=r"takes more than an image: .* Network\(module, forward=\.\.\.\)"):
        list_layers(replace(both, forward=None))


@pytest.mark.parametrize("method", ["closed", "replay", "plain"])
def test_removals_are_those_of_one_input(both: Network, plain: Network, method: Any) -> None:
    source = paint()
    trial = Trial(source, np.arange(len(source)), np.arange(len(source)) % 4)
    whole, without = score_removals(both, "act", trial, single_units(3), method=method)
    other, another = score_removals(plain, "1", trial, single_units(3), method=method)
    assert np.allclose(whole.margin, other.margin)
    assert np.allclose(without.margin, another.margin)


def test_explanations_and_pixels_are_those_of_one_input(both: Network, plain: Network) -> None:
    image = paint(1)[0].image
    one, other = explain_image(both, "act", image), explain_image(plain, "1", image)
    assert one.method == other.method == "exact"
    assert np.allclose(one.contributions, other.contributions)
    assert np.allclose(one.logits, other.logits)
    pixels = torch.from_numpy(image).permute(2, 0, 1) / 255
    assert torch.equal(classify_pixels(both, pixels), classify_pixels(plain, pixels))


def test_a_list_of_images_is_read_and_edited() -> None:
    network = Network(Detector(), Preprocessing(SIZE), forward=lambda module, batch: module(list(batch)))
    source = paint()
    layer = dissect(network, "colors", source, 0.0, 3)
    masks = [example.image[..., 1] > 0.5 * 255 for example in source]
    assert layer[1].iou == pytest.approx(count_iou(masks, source), abs=1e-6)
    batch = network.feed(np.stack([example.image for example in source]), 0)
    before = network.run(batch)
    with edited(network, set_units("colors", [1], 3, value=7.0)):
        found = network.run(batch)
    assert len(found) == len(source)
    for one, old in zip(found, before, strict=True):
        assert one["scores"].tolist() == [old["scores"][0], 7.0, old["scores"][2]]
    assert all(torch.equal(a["scores"], b["scores"]) for a, b in zip(network.run(batch), before, strict=True))


def test_both_sides_of_clip(clip: Network) -> None:
    rows = {row.name: row for row in list_places(clip)}
    layer = "vision_model.encoder.layers.1"
    assert rows[layer].shape == (16, 8, 8)
    assert rows[layer].place == "in place"
    assert "3 arrays (4 x 16) for 1 image" in rows["text_model.encoder.layers.1"].reason
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    found = us.read_activations(clip, [image, image[::-1]], [layer]).arrays()[layer]
    tower = replace(clip, module=clip.module.vision_model, forward=None)
    alone = us.read_activations(tower, [image, image[::-1]], ["encoder.layers.1"]).arrays()
    assert np.allclose(found, alone["encoder.layers.1"], atol=1e-5)
    why = explain_image(clip, "vision_model.embeddings.patch_embedding", image)
    assert why.logits.shape == (3,)
    assert why.contributions.shape == (16,)
    batch = clip.feed(image[None], 0)
    with torch.no_grad():
        before = clip.run(batch)
        with edited(clip, set_units("vision_model.embeddings.patch_embedding", range(16), 16)):
            assert not torch.allclose(clip.run(batch), before)
        with replay(clip, "vision_model.embeddings.patch_embedding") as rest:
            maps, output = rest.start(batch)
            assert torch.allclose(output, before)
            assert rest.finish(maps.expand(2, -1, -1, -1)).shape == (2, 3)


def test_a_failing_forward_is_one_line_and_leaves_no_hooks(both: Network) -> None:
    def fail(module: nn.Module, batch: Tensor) -> Any:
        module.colors(batch)
        raise ValueError("no caption\nfor this picture")

    network = replace(both, forward=fail)
    with pytest.raises(NetworkError, match=r"both failed on an input of 32 x 32 pixels: .*no caption"):
        list_layers(network)
    with tap(network, ["colors"]) as read:  # what follows the layer is not read
        assert read(network.blank())["colors"].shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match="no caption"), edited(network, set_units("colors", [0], 3)):
        network.run(network.blank())
    assert not network._watchers
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())


def test_inside_an_edit_the_module_is_not_called_by_itself(both: Network) -> None:
    batch = both.blank()
    with (
        pytest.raises(NetworkError, match=r"call `network\.run\(batch\)`"),
        edited(both, set_units("act", [0], 3)),
    ):
        both.module(batch, batch.new_zeros(1, 3))


def test_a_forward_may_call_the_module_many_times() -> None:
    """As a sampler does: every call of a layer in one pass has its number."""
    steps = nn.Sequential(nn.Linear(4, 4), nn.Tanh())

    def sample(module: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        (x,) = batch
        for _ in range(3):
            x = module(x)
        return x

    with random_weights(0):
        steps[0].reset_parameters()
    network = Generator(steps, forward=sample, latent=(4,))
    batch = network.inputs(0, 2)
    first, second, third = steps(batch[0]), steps(steps(batch[0])), network.run(batch)
    with tap(network, ["1#1", "1#2", "1#3"]) as read:
        found = read(batch)
    for name, wanted in (("1#1", first), ("1#2", second), ("1#3", third)):
        assert torch.equal(found[name], wanted)
    with edited(network, set_units("1#2", range(4), 4)):
        assert torch.equal(network.run(batch), steps(torch.zeros(2, 4)))
    seen: list[Tensor] = []
    with hook_layer(network, "1#3", lambda raw, _layout: seen.append(raw) or raw):
        network.run(batch)
        network.run(batch)
    assert len(seen) == 2
    assert torch.equal(seen[0], third)


def test_gray_is_pillows() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    prepared = Preprocessing(mean=(0.5,), std=(0.25,), channels="gray")
    wanted = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images])
    found = prepared.tensor(images)
    assert found.shape == (2, 1, 40, 50)
    assert found.is_contiguous()
    assert torch.allclose(found[:, 0], (torch.from_numpy(wanted) / 255 - 0.5) / 0.25, atol=1e-6)
    smooth = prepared.normalize(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert float((smooth - found).abs().max()) < 0.51 / 255 / 0.25
    tones = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, 3)
    assert torch.equal(Preprocessing(channels="gray").tensor(tones), Preprocessing().tensor(tones)[:, :1])


def test_a_planted_unit_of_a_gray_network_has_the_iou_counted_by_hand() -> None:
    layer = nn.Conv2d(1, 1, 1)
    layer.weight.data, layer.bias.data = torch.ones(1, 1, 1, 1), torch.tensor([-0.85])
    network = Network(nn.Sequential(layer), Preprocessing(SIZE, channels="gray"), name="gray")
    source = paint()
    masks = [np.asarray(Image.fromarray(example.image).convert("L")) > 0.85 * 255 for example in source]
    assert not all(
        (mask == (example.planes[0] == 1)).all() for mask, example in zip(masks, source, strict=True)
    )
    found = dissect(network, "0", source, 0.0, 1)
    assert found[0].concept.name == "bright"
    assert found[0].iou == pytest.approx(count_iou(masks, source), abs=1e-6)
    assert found.place.where == "in place"
    assert found.recipe.network.preprocessing["channels"] == "gray"
    assert [row.place for row in list_places(network)] == ["in place"]


def test_a_wrong_number_of_channels_says_the_way_out() -> None:
    with pytest.raises(NetworkError, match=r'given 3 channels: .*Preprocessing\(channels="gray"\)') as told:
        list_layers(nn.Conv2d(1, 4, 3), (8, 8))
    assert "\n" not in str(told.value)
    gray = Network(nn.Conv2d(3, 4, 3), Preprocessing((8, 8), channels="gray"))
    with pytest.raises(NetworkError, match=r'given 1 channel: Preprocessing\(channels="rgb"\)'):
        list_layers(gray)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"channels": "grey"}, "channels is 'grey'; it is one of rgb, bgr, gray"),
        ({"channels": "gray", "mean": (0.5, 0.5, 0.5)}, "mean has 3 numbers; wanted 1"),
        ({"std": (0.5, 0.5)}, "std has 2 numbers; wanted 3 numbers, one a channel of 'rgb'"),
    ],
)
def test_preprocessing_that_does_not_fit_is_wrong_usage(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Preprocessing(**options)
    assert Preprocessing(mean=(0.5,)).mean == (0.5, 0.5, 0.5)


def run_singly(module: nn.Module, batch: Tensor) -> Tensor:
    return torch.cat([module(image[None]) for image in batch])


def test_images_that_are_passed_one_by_one_are_told() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    network = Network(module, Preprocessing(size=SIZE), ("a", "b"), forward=run_singly)
    said = r"gives (1 array \(4 x 30 x 30\) for|7 outputs for 4) .*one by one.*(pass a batch at once)"
    with pytest.raises(NetworkError, match=said):
        us.dissect(network, paint(), ["1"])
    trial = Trial(paint(), np.arange(6), np.arange(6) % 2)
    for method in ("plain", "replay"):
        with pytest.raises(NetworkError, match=said):
            score_removals(network, "1", trial, single_units(4), method=method)
    with pytest.raises(NetworkError, match=said):
        correlate_peaks(network, "1", trial)
    assert explain_image(network, "1", paint()[0].image).method == "exact"


@pytest.mark.parametrize(
    ("output", "said"), [(lambda y: {"scores": y}, "a dict (scores)"), (lambda y: (y,), "a tuple of 1")]
)
def test_outputs_that_hold_logits_somewhere_are_told(output: Any, said: str) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    network = Network(module, Preprocessing(size=SIZE), forward=lambda net, batch: output(net(batch)))
    with pytest.raises(NetworkError, match=re.escape(f"but {said}")):
        explain_image(network, "1", paint()[0].image)


def test_a_network_that_fails_is_told_in_one_line_where_its_layers_are_hooked() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(NetworkError, match=r"network failed on an input of 32 x 32 pixels: .*1 channels"):
        check_hidden(Network(module), "0", torch.zeros(1, 3, 32, 32))


def test_weights_without_numbers_or_shapes_are_told() -> None:
    bare, lazy = nn.Linear(2, 2, device="meta"), nn.Sequential(nn.LazyConv2d(4, 3))
    with pytest.raises(NetworkError, match=r"without numbers \(weight, on the meta device\)"):
        Network(bare)
    with pytest.raises(NetworkError, match=r"without a shape yet \(0.weight, of a lazy module\)"):
        list_layers(lazy, SIZE)
    with pytest.raises(NetworkError, match="without numbers"):
        put_weights(bare, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
    lazy(torch.zeros(1, 3, 8, 8))
    assert list_layers(lazy, SIZE)[0].shape == (4, 30, 30)


def test_sparse_outputs_are_told() -> None:
    class Sparse(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.relu().to_sparse()

    module = nn.Sequential(nn.Conv2d(3, 4, 3), Sparse())
    assert "gives a sparse array, which has no maps" in list_layers(module, SIZE)[1].reason
    with pytest.raises(NetworkError, match="sparse array"):
        us.dissect(Network(module, Preprocessing(size=SIZE)), paint(), ["1"])
