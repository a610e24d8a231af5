"""What pictures are put under: a classifier with its dissection, whose units have names and thresholds."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor

from unitscope.concepts.vocabulary import Concept
from unitscope.dissection.masks import check_same, find_grids
from unitscope.dissection.matching import check_directions, pick_layer
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import UsageError
from unitscope.interventions.edits import find_tokens
from unitscope.interventions.linear_head import check_hidden
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.statistics.grids import Grid

NameKind = Literal["formula", "word"]


@dataclass(frozen=True)
class OtherName:
    """A name that a unit has beside its concept: a formula or a word, with how well it fits.

    `iou` is that of a formula, `score` that of a word; `q_value` is the rate of false names among those that
    are at least as sure. None where it is not known.
    """

    text: str
    iou: float | None = None
    score: float | None = None
    q_value: float | None = None


Names = Mapping[NameKind, Mapping[str, Mapping[int, OtherName]]]
"""Other names of units: by kind, layer and unit."""


@dataclass(frozen=True, eq=False)
class Lens:
    """A classifier and the layers of its dissection that are looked at; made by `open_lens`.

    `network` reads pictures at the size of the run. `layers` stand in the order in which the network reaches
    them, `grids` say how their maps lie over a picture, `tokens` how many class tokens and registers they
    have beside their patches, None where they have none. `names` are other names of units, such as formulas;
    `left_out` are layers of the run that cannot be looked through, with the reason.
    """

    network: Network
    run: Dissection
    layers: tuple[str, ...]
    grids: Mapping[str, Grid]
    tokens: Mapping[str, tuple[int, int] | None]
    classes: int
    names: Names = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def find(self, layer: str) -> LayerDissection:
        """What is known of a layer. Raises `UsageError` for one that is not looked at."""
        if layer not in self.layers:
            raise UsageError(f"there is no layer {layer!r} here; layers are {', '.join(self.layers)}")
        return self.run[layer]

    @cached_property
    def high(self) -> dict[str, Float64[np.ndarray, "unit"]]:
        """By layer the highest activation of every unit in the images of the run, NaN where none is known."""
        found = {}
        for layer in self.layers:
            top = self.run[layer].exemplars
            if top.images.shape[1]:
                found[layer] = np.where(top.images[:, 0] >= 0, top.peaks[:, 0].astype(np.float64), np.nan)
            else:
                found[layer] = np.full(len(self.run[layer]), np.nan)
        return found

    @cached_property
    def levels(self) -> dict[str, Float32[Tensor, "unit"]]:
        """By layer what units are set to by a switch of level 1: `high`, 0 for a unit that never fired."""
        return {layer: torch.from_numpy(np.nan_to_num(high)).float() for layer, high in self.high.items()}

    @cached_property
    def detectors(self) -> dict[int, dict[str, tuple[int, ...]]]:
        """By concept and layer the units that are named so and pass the run's cut-offs."""
        found: dict[int, dict[str, tuple[int, ...]]] = {}
        for layer in self.layers:
            labels = self.run[layer].labels
            for concept in np.unique(labels.best[labels.detector]).tolist():
                chosen = np.flatnonzero(labels.detector & (labels.best == concept))
                found.setdefault(concept, {})[layer] = tuple(chosen.tolist())
        return found

    def pick(self, concept: Concept | int, layer: str | None = None) -> dict[str, tuple[int, ...]]:
        """The units that detect a concept, by layer. Raises `UsageError` where there is none."""
        number = concept if isinstance(concept, int) else concept.id
        found = self.detectors.get(number, {})
        chosen = {name: units for name, units in found.items() if layer in (None, name)}
        if not chosen:
            where = "here" if layer is None else f"in {layer}"
            raise UsageError(f"no unit {where} detects concept {number}; take one of the list")
        return chosen

    def name_class(self, target: int) -> str:
        """What a class is called: its name for people, or its number."""
        names = self.network.classes
        return names[target].replace("_", " ") if names else f"class {target}"


def open_lens(
    network: Network,
    run: Dissection,
    layers: Sequence[str] | None = None,
    *,
    names: Names | None = None,
) -> Lens:
    """A classifier ready to be looked through, by the names that its dissection gave to units.

    `layers` are some of the run's, by default all but those that give the classes themselves; they may be
    read in directions. Raises `UsageError` for a run of another network, of one that was given its input
    otherwise, or of directions that have changed, for a layer that the run does not have or that gives the
    classes, or a generator; `NetworkError` where the network gives no logits.
    """
    if isinstance(network, Generator):
        raise UsageError(f"{network.name} makes pictures and reads none; see `unitscope paint`")
    check_same(run.recipe.network, network)
    wanted = list(dict.fromkeys(layers or run))
    if not wanted:
        raise UsageError("the run holds no layers; dissect some")
    for layer in wanted:
        pick_layer(run, layer)
        check_directions(run.recipe, network, layer)
    sized = replace(network, preprocessing=replace(network.preprocessing, size=run.frame.size))
    blank, left_out = sized.blank(), dict[str, str]()
    with evaluation(sized):
        classes = 0
        for layer in wanted:
            try:
                classes = check_hidden(sized, layer, blank).shape[1]
            except UsageError as error:
                if layers or len(left_out) == len(wanted) - 1:
                    raise
                left_out[layer] = str(error)
        wanted = [layer for layer in wanted if layer not in left_out]
        order = _find_order(sized, wanted)
        tokens = {layer: find_tokens(sized, layer, blank) for layer in order}
    grids = find_grids(run.recipe, sized, order)
    return Lens(sized, run, tuple(order), grids, tokens, classes, names or {}, left_out)


def _find_order(network: Network, layers: Sequence[str]) -> list[str]:
    """The layers in the order in which a forward pass reaches them; the same place by their order here."""
    reached: list[str] = []

    def note(layer: str, raw: Tensor, _layout: Layout) -> Tensor:
        reached.append(layer)
        return raw

    with torch.no_grad(), ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(hook_layer(network, layer, partial(note, layer)))
        network.run(network.blank())
    return list(dict.fromkeys(reached))
