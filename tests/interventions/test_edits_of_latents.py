"""Latents removed, set and explained: as a hook written out by hand, with random latents beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from generated import (
    BALL,
    TREE,
    UNITS,
    WORDS,
    planted_generator,
    planted_latents,
    planted_segmenter,
    segment_alone,
)
from unitscope.concepts.segmented import SegmentedSource
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.conventions import CONVENTIONS
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.errors import UsageError
from unitscope.experiments.erasure import study_erasure
from unitscope.experiments.movement import study_attacks
from unitscope.experiments.placement import study_placement
from unitscope.interventions.ablation import find_targets, score_removals
from unitscope.interventions.attacks import ProjectedGradient
from unitscope.interventions.deletion import measure_deletion
from unitscope.interventions.detection import detect
from unitscope.interventions.edits import Edit, edited, find_tokens, set_units
from unitscope.interventions.explanation import explain_image, feed_image
from unitscope.interventions.generator_run import Studio, open_studio
from unitscope.interventions.importance import correlate_peaks
from unitscope.interventions.linear_head import read_logits
from unitscope.interventions.painting.easel import open_easel
from unitscope.interventions.painting.edit_lists import Painting
from unitscope.interventions.replay import can_replay, replay
from unitscope.interventions.unit_values import measure_layers
from unitscope.networks.directions.drawn import draw_sae
from unitscope.networks.directions.files import save_directions
from unitscope.networks.generators import GeneratedImages
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.trace import evaluation

CLASSES = ("blue", "green", "red")
SIDE, DIM, LATENTS, KEPT = 16, 12, 20, 4


class Fields:
    """Noise around one color an image, which is its class."""

    vocabulary = Vocabulary(tuple(Concept(4 + k, name, "scene") for k, name in enumerate(CLASSES)))

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int, /) -> Example:
        image = np.random.default_rng(index).integers(40, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        image[..., 2 - index % 3] += 90
        return Example(f"f{index}", image, ids=(4 + index % 3,))


def convolutions() -> nn.Module:
    first, second = nn.Conv2d(3, DIM, 3), nn.Conv2d(DIM, DIM, 3)
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(DIM, 3)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(), *pooled)


def transformer() -> nn.Module:
    sizes = {"img_size": SIDE, "patch_size": 4, "embed_dim": DIM, "depth": 2, "num_heads": 2}
    rest = {"num_classes": 3, "global_pool": "avg", "fc_norm": False}
    return timm.create_model("vit_tiny_patch16_224", **sizes, **rest)


MADE = {"1": convolutions, "3": convolutions, "blocks.0": transformer, "norm": transformer}
"""By the layer; the head is linear in "3" and in "norm"."""


def make(layer: str) -> Network:
    torch.manual_seed(1)
    module = MADE[layer]().eval()
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return Network(module, Preprocessing((SIDE, SIDE)), CLASSES, "made")


def spell(layer: str) -> str:
    return f"{layer}+random-sae:{LATENTS}:{KEPT}:0"


@contextmanager
def without(network: Network, layer: str, latents: list[int], tokens: slice = slice(None)) -> Iterator[None]:
    """Some latents taken out of what a layer gives, by a hook that works them out from their definition."""
    made = draw_sae(DIM, LATENTS, KEPT, 0)
    rows = made.decoder.double()

    def take_out(_module: nn.Module, _args: object, output: Tensor) -> Tensor:
        x = (output.movedim(1, -1) if output.ndim == 4 else output).double()
        h = x @ rows.T
        kept = h >= h.sort(dim=-1, descending=True).values[..., KEPT - 1 : KEPT]
        z = (h * kept).clamp_min(0)
        part = z[..., latents] @ rows[latents]
        if output.ndim == 3:
            chosen = torch.zeros(output.shape[1], 1, dtype=torch.float64)
            chosen[tokens] = 1
            part = part * chosen
        new = (x - part).float()
        return new.movedim(-1, 1) if output.ndim == 4 else new

    handle = network.module.get_submodule(layer).register_forward_hook(take_out)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def run(network: Network, index: int = 0) -> Tensor:
    with evaluation(network.module):
        return read_logits(network.module(feed_image(network, Fields()[index].image)))


REACHED = [*((layer, "all") for layer in MADE), ("1", "patches"), ("norm", "patches"), ("blocks.0", "class")]


@pytest.mark.parametrize(("layer", "tokens"), REACHED)
def test_removal_is_what_a_hook_by_hand_does(layer, tokens):
    network, chosen = make(layer), [0, 3, 7, 11, 13]
    edit = set_units(spell(layer), chosen, LATENTS, tokens=tokens)
    with edited(network, edit):
        found = run(network)
    part = {"all": slice(None), "patches": slice(1, None), "class": slice(1)}[tokens]
    with without(network, layer, chosen, part):
        assert torch.allclose(found, run(network), atol=1e-5)
    if tokens != "class":
        assert not torch.allclose(found, run(network), atol=1e-3)
    nothing = set_units(spell(layer), [], LATENTS, tokens=tokens)
    with edited(network, nothing):
        assert torch.equal(run(network), run(make(layer)))


@pytest.mark.parametrize("layer", MADE)
def test_every_way_of_removing_gives_what_the_plain_loop_gives(layer):
    network = make(layer)
    trial = find_targets(network, Fields())
    trial = trial.keep(np.arange(len(trial)) < 3)
    assert can_replay(network, spell(layer))
    masks = np.random.default_rng(0).random((9, LATENTS)) < 0.3
    plain = score_removals(network, spell(layer), trial, masks, method="plain")
    for method in ("replay", "fastest"):
        found = score_removals(network, spell(layer), trial, masks, method=method)
        for one, other in zip(found, plain, strict=True):
            assert np.allclose(one.mean_margin, other.mean_margin, atol=1e-5)
    assert not np.allclose(plain[0].mean_margin, plain[1].mean_margin, atol=1e-3)


@pytest.mark.parametrize("layer", MADE)
def test_versions_of_latents_run_as_single_ones_and_none_changed_is_the_network(layer):
    network = make(layer)
    image = feed_image(network, Fields()[0].image)
    with replay(network, spell(layer)) as rest:
        maps, output = rest.start(image)
        assert maps.shape[1] == LATENTS
        assert torch.equal(output, network.run(image))
        versions = maps.repeat(3, 1, 1, 1)
        versions[1] *= 2
        many = rest.finish(versions)
        assert torch.allclose(many[[1]], rest.finish(versions[[1]]), atol=1e-5)
        assert torch.allclose(many[[0, 2]], output.expand(2, -1), atol=1e-5)


@pytest.mark.parametrize("layer", MADE)
def test_an_explanation_says_what_the_logit_loses_with_each_latent_where_that_is_a_sum(layer):
    network = make(layer)
    found = explain_image(network, spell(layer), Fields()[0].image, target=1)
    with edited(network, set_units(spell(layer), range(LATENTS), LATENTS)):
        assert found.rest == pytest.approx(float(run(network)[0, 1]), abs=1e-5)
    if layer not in ("3", "norm"):
        return
    assert found.gap == pytest.approx(0, abs=1e-5)
    for latent in range(LATENTS):
        with without(network, layer, [latent]):
            lost = found.logit - float(run(network)[0, 1])
        assert found.contributions[latent] == pytest.approx(lost, abs=1e-5)


def test_all_that_asks_a_classifiers_units_asks_latents():
    network, layer = make("3"), spell("3")
    assert find_tokens(make("blocks.0"), spell("blocks.0"), feed_image(network, Fields()[0].image)) == (1, 0)
    deleted = measure_deletion(network, layer, Fields(), counts=[1, LATENTS])
    assert deleted.method == "gradient times activation"
    assert detect(network, layer, Fields(), "red").detectors.order.size == LATENTS
    assert correlate_peaks(network, layer, find_targets(network, Fields())).shape == (3, LATENTS)
    attack = ProjectedGradient("linf", eps=0.3, steps=3)
    wide = f"3+random-sae:{5 * LATENTS}:4:0"
    moved = study_attacks(network, wide, Fields(), ["red"], attack=attack, count=2)
    assert moved.before.shape == (2, 5 * LATENTS)


@pytest.fixture(scope="module")
def studios(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Studio, str]]:
    """The generator dissected in planted latents, and in as many random ones."""
    file = save_directions(planted_latents(), tmp_path_factory.mktemp("planted") / "planted.safetensors")
    layers = {"planted": f"maps+{file}", "random": "maps+random-sae:8:8:0"}
    generator = planted_generator()
    source = SegmentedSource(GeneratedImages(generator, 64), planted_segmenter())
    rules = CONVENTIONS["pnas"]
    asked = {"convention": rules, "quantile": 0.2, "confidences": Confidences(shifts=0)}
    run = dissect(generator, source, list(layers.values()), **asked)
    studio = open_studio(generator, run, source)
    return {name: (studio, layer) for name, layer in layers.items()}


def count_balls(studio: Studio, *edits: Edit) -> int:
    seen = [segment_alone(studio.generator, studio.segmenter, number, *edits) for number in range(64, 76)]
    return int((np.stack(seen) == 2).sum())


def test_the_planted_latents_are_found_by_name(studios):
    studio, layer = studios["planted"]
    named = {unit.unit: unit.concept.name for unit in studio.run[layer] if unit.concept is not None}
    assert (named[BALL], named[TREE]) == ("ball", "tree")
    assert studio.rank(WORDS[2], layer)[0] == BALL


def test_without_the_latent_of_balls_there_are_none_and_without_a_random_one_there_are(studios):
    studio, layer = studios["planted"]
    before = count_balls(studio)
    assert before > 500
    assert count_balls(studio, set_units(layer, [BALL], 8)) == 0
    assert count_balls(studio, set_units(layer, [7], 8)) == before
    _, control = studios["random"]
    left = [count_balls(studio, set_units(control, [latent], 8)) for latent in range(8)]
    assert min(left) > 0.2 * before


def test_a_latent_puts_in_what_it_stands_for_and_only_there(studios):
    studio, layer = studios["planted"]
    place = torch.zeros(4, 4)
    place[1, 2] = 1
    value = float(measure_layers(studio.generator, [layer], studio.segmenter, 64)[layer].high[BALL])
    edit = set_units(layer, [BALL, TREE], 8, value=torch.tensor([value, 0.0]), place=place)
    for number in range(4):
        before = segment_alone(studio.generator, studio.segmenter, number)
        after = segment_alone(studio.generator, studio.segmenter, number, edit)
        assert (after[0, 4:8, 8:12] == 2).all()
        outside = np.ones(before.shape[1:], bool)
        outside[4:8, 8:12] = False
        assert np.array_equal(before[:, outside], after[:, outside])


def test_erasing_inserting_and_painting_take_latents(studios):
    studio, layer = studios["planted"]
    erased = study_erasure(studio, [f"ball@{layer}"], images=12, counts=[1])
    row = erased.rows()[0]
    assert (row["layer"], row["concept"]) == (layer, "ball")
    placed = study_placement(studio, [f"ball@{layer}"], images=12, places=2, count=1)
    assert placed.rankings["iou"][2] == (BALL,)
    assert placed.trials[2, "iou"].effect.value > 5 * abs(placed.trials[2, "random"].effect.value)
    easel, paints = open_easel(studio, [layer], images=16)
    assert easel.shapes == {layer: (8, 4, 4)}
    assert next(one for one in paints if one.concept.name == "ball").units[layer][0] == BALL
    bare = easel.show(Painting(3, ()))
    assert np.array_equal(bare, studio.generator.generate(3, 1)[0])


def test_directions_that_were_changed_since_the_run_are_refused(studios, tmp_path):
    studio, layer = studios["planted"]
    file = Path(layer.removeprefix("maps+"))
    kept = file.read_bytes()
    try:
        save_directions(draw_sae(UNITS, 8, 2, 0), file)
        with pytest.raises(UsageError, match=r"directions of maps.* are others than when the run was made"):
            studio.layer(layer)
    finally:
        file.write_bytes(kept)
    assert studio.layer(layer).layer == layer
