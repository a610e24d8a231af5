"""Which tokens edits reach, on small networks of every kind: compared with plain hooks."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import DeiTConfig, DeiTForImageClassification, DeiTForImageClassificationWithTeacher

from generated import UNITS, PlantedTokens, planted_segmenter, planted_studio, segment_alone
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.experiments.erasure import study_erasure
from unitscope.experiments.erasure_result import Target
from unitscope.experiments.movement import study_attacks
from unitscope.experiments.removal import study_removal
from unitscope.interventions.ablation import find_targets, score_removals
from unitscope.interventions.attacks import ProjectedGradient
from unitscope.interventions.deletion import measure_deletion
from unitscope.interventions.detection import detect
from unitscope.interventions.edits import check_reach, edited, find_tokens, set_units
from unitscope.interventions.explained_images import explain
from unitscope.interventions.explanation import explain_image, feed_image, is_sum
from unitscope.interventions.linear_head import read_logits
from unitscope.interventions.painting.easel import Easel
from unitscope.interventions.painting.edit_lists import Painting
from unitscope.interventions.repainting import repaint_pixels, stack_edits
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import evaluation, tap

CLASSES = ("blue", "green", "red")
DIM, SIDE = 12, 32


class Fields:
    """Noise around one color an image, which is its class."""

    vocabulary = Vocabulary(tuple(Concept(4 + k, name, "scene") for k, name in enumerate(CLASSES)))

    def __len__(self) -> int:
        return 30

    def __getitem__(self, index: int, /) -> Example:
        image = np.random.default_rng(index).integers(40, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        image[..., 2 - index % 3] += 90
        return Example(f"f{index}", image, ids=(4 + index % 3,))


class Both(nn.Module):
    """Reads the class token beside the mean over patches, as heads of DINOv2 do."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = make_vit(), nn.Linear(2 * DIM, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.body.forward_features(x)
        return self.head(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))


class Aside(nn.Module):
    """Has a layer that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.aside, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean((2, 3)) + 0 * self.aside(x).mean((2, 3)))


def make_vit(**options: object) -> nn.Module:
    sizes = {
        "img_size": SIDE,
        "patch_size": 8,
        "embed_dim": DIM,
        "depth": 2,
        "num_heads": 2,
        "num_classes": 3,
    }
    return timm.create_model("vit_tiny_patch16_224", **sizes, **options)


MADE: dict[str, Callable[[], nn.Module]] = {
    "class": make_vit,
    "registers": lambda: make_vit(reg_tokens=3),
    "patches": lambda: make_vit(class_token=False, global_pool="avg", fc_norm=False),
    "registers alone": lambda: make_vit(class_token=False, reg_tokens=2, global_pool="avg", fc_norm=False),
    "pooled": lambda: make_vit(global_pool="avg", fc_norm=False),
    "both": Both,
    "swin": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224",
        img_size=SIDE,
        embed_dim=DIM,
        depths=(1, 1),
        num_heads=(2, 2),
        window_size=4,
        num_classes=3,
    ),
    "convnext": lambda: timm.create_model(
        "convnext_atto", depths=(1, 1, 1, 1), dims=(4, 4, 8, DIM), num_classes=3
    ),
}
BLOCKS = {"both": "body.blocks.0", "swin": "layers.0", "convnext": "stages.1"}
LAST = {"both": "body.norm", "swin": "norm", "convnext": "stages.3"}
PREFIX = {"class": (1, 0), "registers": (1, 3), "registers alone": (0, 2), "pooled": (1, 0), "both": (1, 0)}
"""How many class tokens and registers a network has."""


def make(kind: str) -> Network:
    torch.manual_seed(1)
    module = MADE[kind]().eval()
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return Network(module, Preprocessing((SIDE, SIDE)), CLASSES, kind)


@pytest.fixture(params=list(MADE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def dropped(network: Network, layer: str, units: list[int], part: slice = slice(None)) -> Iterator[None]:
    """Units of some tokens set to 0 by a hook of its own; of maps of convolutions, wherever."""
    last = not any(isinstance(one, nn.Conv2d) for one in [network.module.get_submodule(layer)])
    first = "convnext" in network.name

    def drop(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        new = output.clone()
        if output.ndim == 3:
            new[:, part, units] = 0
        elif first or not last:
            new[:, units] = 0
        else:
            new[..., units] = 0
        return new

    handle = network.module.get_submodule(layer).register_forward_hook(drop)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def run(network: Network, index: int = 0) -> Tensor:
    with evaluation(network.module):
        return network.module(feed_image(network, Fields()[index].image))


def layers_of(kind: str) -> list[str]:
    return [BLOCKS.get(kind, "blocks.0"), LAST.get(kind, "norm")]


def slice_tokens(kind: str, tokens: str) -> slice:
    classes, registers = PREFIX.get(kind, (0, 0))
    return {"all": slice(None), "patches": slice(classes + registers, None), "class": slice(classes)}[tokens]


@pytest.mark.parametrize("tokens", ["all", "patches", "class"])
def test_edits_reach_the_tokens_that_they_name(kind: str, tokens: str) -> None:
    network = make(kind)
    for layer in layers_of(kind):
        count = 24 if kind == "swin" and layer == "norm" else 4 if layer == "stages.1" else DIM
        units = list(range(0, count, 2))
        edit = set_units(layer, units, count, tokens=tokens)
        if tokens == "class" and not PREFIX.get(kind, (0, 0))[0]:
            with pytest.raises(UsageError, match=f"layer {layer} has no class tokens"), edited(network, edit):
                run(network)
            continue
        with edited(network, edit):
            found = run(network)
        with dropped(network, layer, units, slice_tokens(kind, tokens)):
            assert torch.allclose(found, run(network), atol=1e-6)
        if tokens == "all":
            assert not torch.allclose(found, run(network), atol=1e-4)


@pytest.mark.parametrize("tokens", ["all", "patches", "class"])
def test_every_way_of_removing_gives_what_the_plain_loop_gives(kind: str, tokens: str) -> None:
    network = make(kind)
    if tokens == "class" and not PREFIX.get(kind, (0, 0))[0]:
        with pytest.raises(UsageError, match="has no class tokens"):
            study_removal(network, layers_of(kind)[1], Fields(), tokens=tokens)
        return
    trial = find_targets(network, Fields())
    trial = trial.keep(np.arange(len(trial)) < 3)
    for layer in layers_of(kind):
        count = 24 if kind == "swin" and layer == "norm" else 4 if layer == "stages.1" else DIM
        masks = np.random.default_rng(0).random((3, count)) < 0.5
        plain = score_removals(network, layer, trial, masks, method="plain", tokens=tokens)
        linear = layer == layers_of(kind)[1] and kind != "convnext"  # whose head has a LayerNorm
        methods = ["replay", "closed" if linear else "fastest"]
        for method in methods:
            found = score_removals(network, layer, trial, masks, method=method, tokens=tokens)
            for one, other in zip(found, plain, strict=True):
                assert np.allclose(one.mean_margin, other.mean_margin, atol=1e-4, equal_nan=True)


READS = {
    "class": ("class tokens",),
    "registers": ("class tokens",),
    "registers alone": ("patches",),
    "pooled": ("patches",),
    "both": ("class tokens", "patches"),
}


def test_an_exact_explanation_is_what_removing_each_unit_costs(kind: str) -> None:
    network, layer = make(kind), layers_of(kind)[1]
    if kind == "convnext":
        layer = "head.flatten"  # before it a LayerNorm mixes the units
    found = explain_image(network, layer, Fields()[1].image, exact=True)
    whole = run(network, 1)[0, found.target]
    assert found.reads == READS.get(kind, ())
    assert found.contributions.any()
    assert found.contributions.sum() + found.rest == pytest.approx(float(whole), rel=1e-4, abs=1e-6)
    for unit in (0, 5, 11):
        with edited(network, set_units(layer, [unit], len(found.contributions))):
            lost = whole - run(network, 1)[0, found.target]
        assert found.contributions[unit] == pytest.approx(float(lost), abs=1e-5)
    said = explain(network, Fields()[1].image, layer).text()
    assert "exact sum over" in said
    assert (f"read at its {' and '.join(found.reads)}" in said) == bool(found.reads)


def test_activations_are_those_of_the_tokens_that_are_read() -> None:
    network, seen = make("registers"), []
    handle = network.module.norm.register_forward_hook(lambda _m, _a, output: seen.append(output))
    found = explain_image(network, "norm", Fields()[0].image)
    handle.remove()
    assert np.allclose(found.activation, seen[-1].detach()[0, 0].numpy(), atol=1e-5)
    early = explain_image(network, "blocks.0", Fields()[0].image)
    assert early.reads == ("class tokens", "registers", "patches")
    assert np.allclose(early.activation, early.maps.mean((1, 2)))


def test_gradient_times_activation_sums_over_all_tokens() -> None:
    network = make("registers")
    image, kept = Fields()[0].image, []

    def keep(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    found = explain_image(network, "blocks.1", image)
    handle = network.module.blocks[1].register_forward_hook(keep)
    with torch.enable_grad():
        logit = network.module(feed_image(network, image))[0, found.target]
        slope = torch.autograd.grad(logit, kept)[0]
    handle.remove()
    assert found.method == "gradient times activation"
    assert np.allclose(found.contributions, (slope * kept[0]).detach().sum((0, 1)).numpy(), atol=1e-5)
    assert found.contributions.any()


def test_a_sum_that_misses_the_logit_is_not_called_exact() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    network = Network(nn.Sequential(*layers).to(torch.bfloat16), Preprocessing((16, 16)), CLASSES)
    found = explain_image(network, "1", Fields()[0].image)
    assert found.method == "inexact"
    assert not is_sum(found.contributions, found.rest, found.logit)
    shown = explain(network, Fields()[0].image, "1")
    assert "not an exact sum over 6 units of 1: it is off by" in shown.text()
    assert "what the sum misses" in shown.text()
    with pytest.raises(NetworkError, match="miss the logit"):
        explain_image(network, "1", Fields()[0].image, exact=True)
    assert measure_deletion(network, "1", Fields(), counts=[1], draws=1).method == "inexact"
    with pytest.raises(NetworkError, match="do not add up"):
        measure_deletion(network, "1", Fields(), counts=[1], draws=1, exact=True)


def test_what_changes_no_output_is_said() -> None:
    torch.manual_seed(0)
    network = Network(Aside(), Preprocessing((16, 16)), CLASSES, "aside")
    found = explain(network, Fields()[0].image, "aside", deletion=Fields())
    assert "warning: without all 4 units of aside the logit of" in found.text()
    assert "exact sum" not in found.text()
    assert found.images[0].describe()["warning"] in found.text()
    assert "warning: no removal changed any logit" in found.deletion.text()
    with pytest.raises(UsageError, match="gives the same"):
        study_removal(network, "aside", Fields())
    with pytest.raises(UsageError, match=r"of layer norm in its patches, class gives the same; .*--tokens"):
        study_removal(make("class"), "norm", Fields(), tokens="patches")


def test_deletions_reach_all_tokens(kind: str) -> None:
    network, layer = make(kind), layers_of(kind)[0]
    test = measure_deletion(network, layer, Fields(), counts=[4], draws=2)
    assert test.logit.any()
    count = 4 if layer == "stages.1" else DIM
    if count == 4:  # all units
        with dropped(network, layer, list(range(4))):
            without = run(network, 2)
        named = int(run(network, 2).argmax())
        assert test.logit[2, 0, 0] == pytest.approx(float((run(network, 2) - without)[0, named]), abs=1e-5)


def test_a_study_says_which_tokens_it_was_of() -> None:
    study = study_removal(make("registers"), "blocks.1", Fields(), draws=2)
    assert "units were removed from class tokens, registers and patches" in study.text()
    assert study.describe()["tokens"] == "all"
    study = study_removal(make("registers"), "norm", Fields(), draws=2, tokens="class")
    assert "units were removed from class tokens\n" in study.text() + "\n"
    study = study_removal(make("convnext"), "stages.3", Fields(), draws=2)
    assert "removed from" not in study.text()
    assert "tokens" not in study.describe()


def test_detection_and_attacks_work_on_all_of_them(kind: str) -> None:
    network, layer = make(kind), layers_of(kind)[1]
    found = detect(network, layer, Fields(), "red", share=0.0)
    assert np.isfinite(found.detectors.balanced).all()
    attack = ProjectedGradient("linf", eps=0.3, steps=3)
    target = CLASSES[int(run(network).argmin())]
    study = study_attacks(network, layer, Fields(), [target], attack, count=2, draws=2)
    assert study.attacked
    unread = kind in ("class", "registers")
    assert (study.reads == ("class tokens",)) == unread
    told = "peaks are of the patches of norm, of which the logits read the class tokens alone"
    assert (told in study.text()) == (unread and bool(study.success.any()))


def test_merged_edits_reach_what_each_of_them_reaches() -> None:
    torch.manual_seed(0)
    tokens, module = torch.randn(2, 1 + 4, 3), nn.Sequential(nn.Identity())
    place = torch.tensor([[1.0, 0.0], [0.0, 0.5]])
    edits = (
        set_units("0", [0, 1], 3, value=2.0, strength=0.5),
        set_units("0", [1], 3, value=-1.0, place=place),
        set_units("0", [1, 2], 3, value=5.0, strength=0.25, tokens="class"),
    )
    with edited(Network(module), *edits):
        merged = module(tokens)
    wanted = tokens.clone()
    for edit in edits:
        with edited(Network(module), edit):
            wanted = module(wanted)
    assert torch.allclose(merged, wanted, atol=1e-6)
    assert not torch.equal(merged[:, 0, 2], tokens[:, 0, 2])
    with pytest.raises(UsageError, match="at a place is of patches, not of 'class'"):
        set_units("0", [1], 3, place=place, tokens="class")
    with pytest.raises(UsageError, match="no tokens 'some'; wanted all, patches or class"):
        check_reach("some")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(PlantedTokens().eval(), name="tokens", latent=(16,))


def test_erasure_removes_units_from_all_tokens(generator: Generator) -> None:
    studio, segmenter = planted_studio(generator=generator), planted_segmenter()
    ball = segmenter.vocabulary[2]
    study = study_erasure(studio, [Target(ball, "maps")], counts=[1, 2], draws=2, images=8)
    areas = study.layers["maps"].areas
    for place, count in enumerate((1, 2)):
        units, shares = list(study.rankings["iou"][2][:count]), []
        for dropping in (False, True):
            areas_by_hand = []
            for number in range(64, 72):
                if dropping:
                    with dropped(generator, "maps", units):
                        planes = segment_alone(generator, segmenter, number)
                else:
                    planes = segment_alone(generator, segmenter, number)
                areas_by_hand.append((planes == 2).any(0).sum())
            shares.append(sum(areas_by_hand))
        assert areas.removed(place, 2).value == pytest.approx(1 - shares[1] / shares[0])
    assert "warning" not in study.text()


def test_an_erasure_that_changes_nothing_says_so(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = planted_studio()
    monkeypatch.setattr(
        "unitscope.experiments.erasure.remove_units",
        lambda layer, mask: stack_edits([set_units(layer, [], UNITS)] * len(mask)),
    )
    study = study_erasure(studio, ["ball"], layer="maps", counts=[1], draws=2, images=4)
    assert "warning: no removal from maps changed how a pixel is named" in study.text()


def test_paint_leaves_class_tokens_alone(generator: Generator) -> None:
    place = torch.zeros(4, 4)
    place[1, 2] = 1
    edits = [
        set_units("maps", [1, 4], UNITS, value=1.0, place=place),
        set_units("maps", [1, 4], UNITS),
        set_units("maps", [0], UNITS, tokens="class"),
    ]
    _, pictures = next(repaint_pixels(generator, "maps", lambda *_: stack_edits(edits), [3], batch=3))
    for found, edit in zip(pictures[1:], edits, strict=True):
        easel = Easel(generator, planted_segmenter(), {}, {})
        with edited(generator, edit):
            assert (found == easel.show(Painting(3))).all()
    seen: list[Tensor] = []
    handle = generator.module.maps.register_forward_hook(lambda _m, _a, output: seen.append(output))
    levels = measure_layers(generator, ["maps"], planted_segmenter(), 4)
    handle.remove()
    assert levels["maps"].means.shape[1] == UNITS
    before = seen[0][:1]
    with edited(generator, edits[0]):
        handle = generator.module.maps.register_forward_hook(lambda _m, _a, output: seen.append(output))
        generator.module(*generator.inputs(0))
        handle.remove()
    assert torch.equal(seen[-1][:, 0], before[:, 0])
    assert not torch.equal(seen[-1], before)


def make_distilled(kind: str) -> tuple[Network, str]:
    """Networks with a class and a distillation token, and the layer that their heads read."""
    torch.manual_seed(0)
    config = DeiTConfig(
        image_size=SIDE, patch_size=8, hidden_size=DIM, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=DIM, num_labels=3,
    )  # fmt: skip
    sizes = {"img_size": SIDE, "patch_size": 8, "embed_dim": DIM, "depth": 1, "num_heads": 2}
    module: nn.Module = {
        "timm": lambda: timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3, **sizes),
        "both": lambda: DeiTForImageClassificationWithTeacher(config),
        "class": lambda: DeiTForImageClassification(config),
    }[kind]()
    for parameter in module.eval().parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return Network(
        module, Preprocessing((SIDE, SIDE)), CLASSES
    ), "norm" if kind == "timm" else "deit.layernorm"


@pytest.mark.parametrize(("kind", "read"), [("timm", 2), ("both", 2), ("class", 1)])
def test_both_tokens_of_distilled_networks_are_class_tokens(kind: str, read: int) -> None:
    network, layer = make_distilled(kind)
    batch = feed_image(network, Fields()[1].image)
    assert find_tokens(network, layer, batch) == (2, 0)
    with edited(network, set_units(layer, [3, 5], DIM, tokens="class")), torch.no_grad():
        found = read_logits(network.run(batch))
    with dropped(network, layer, [3, 5], slice(2)), torch.no_grad():
        torch.testing.assert_close(found, read_logits(network.run(batch)))
    [explained] = explain(network, Fields()[1].image, layer).images
    values, text = explained.explanation.class_tokens, explained.text()
    with tap(network, [layer]) as see:
        wanted = see(batch)[layer][0, :read].numpy()
    np.testing.assert_allclose(values, wanted.T, rtol=1e-5)
    np.testing.assert_allclose(explained.explanation.activation, wanted.mean(0), rtol=1e-5, atol=1e-6)
    several = "read at its 2 class tokens, whose mean is the activation" in text
    assert several == (read == 2)
    assert explained.explanation.reads == ("class tokens",)


def test_units_of_heads_are_called_alike_everywhere(tmp_path: Path) -> None:
    network, layer, source = make("class"), "blocks.0.attn@heads", Fields()
    [explained] = explain(network, source[1].image, layer).images
    names = [explained.explanation.name_unit(unit) for unit in explained.shown]
    assert set(names) <= {f"{head}.{unit}" for head in (0, 1) for unit in range(6)}
    assert [row["head_unit"] for row in explained.table().records()] == names
    assert all(f"\n {name}" in explained.text() for name in names)
    found = detect(network, layer, source, "red")
    assert found.tables()["detectors.csv"].columns[-1] == "head_unit"
    assert f"unit {found.name_unit(found.units[0])} is silent" in found.text()
    removal = study_removal(network, layer, source, draws=2)
    row = removal.tables()["importance.csv"].records()[0]
    assert row["head_unit"] == f"{row['unit'] // 6}.{row['unit'] % 6}"
    assert removal.graph()["units"][0]["head_unit"]
    removal.page(tmp_path)
    assert re.search(r"unit [01]\.[0-5]\b", (tmp_path / "index.html").read_text())
    plain = explain(network, source[1].image, "blocks.0").images[0]
    assert "head_unit" not in plain.table().columns
