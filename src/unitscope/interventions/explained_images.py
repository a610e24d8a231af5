"""Predictions explained: images with the units that speak for a class, as text, tables and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unitscope.axes import Picture
from unitscope.concepts.formats.stored.decoding import UPRIGHT
from unitscope.concepts.formats.stored.pictures import read_image
from unitscope.concepts.vocabulary import Concept, ConceptSource
from unitscope.dissection.matching import check_network, find_detectors, find_layer
from unitscope.dissection.result import Dissection
from unitscope.errors import UsageError
from unitscope.files import write_whole
from unitscope.interventions.classes import find_class, match_classes
from unitscope.interventions.deletion import DeletionTest, measure_deletion
from unitscope.interventions.explanation import Explanation, explain_image, find_last_layer, fix_size
from unitscope.networks.network import Network
from unitscope.networks.open_source import open_source
from unitscope.progress import follow_each
from unitscope.results import Result
from unitscope.tables import Table, align, clean, plain

SCHEMA = 1
COLUMNS = ("unit", "label", "category", "activation", "contribution", "share")


@dataclass(frozen=True, eq=False)
class ExplainedImage:
    """An explained image, with what is shown beside it.

    `key` is what the image is called, `labels` are those of the units that have one, `truth` is the image's
    own class where it is known, `units` is how many top contributors are shown.
    """

    key: str
    image: Picture
    explanation: Explanation
    labels: Mapping[int, Concept] = field(default_factory=dict)
    truth: int | None = None
    units: int = 6

    @property
    def shown(self) -> list[int]:
        """The top contributors, the largest first."""
        return [int(unit) for unit in self.explanation.order[: self.units]]

    @property
    def sums(self) -> list[tuple[str, float]]:
        """The logit as a short sum: the units shown, the others, what stays without any, a gap if any."""
        found = self.explanation
        shown, everything = (float(found.contributions[part].sum()) for part in (self.shown, slice(None)))
        parts = [
            (f"{len(self.shown)} units shown", shown),
            (f"{len(found.contributions) - len(self.shown)} other units", everything - shown),
            ("without any unit", found.rest),
        ]
        return parts if found.method == "exact" else [*parts, ("what the sum misses", -found.gap)]

    def table(self) -> Table:
        """The units shown: what they are called, their activation, and what they contribute."""
        found, rows = self.explanation, []
        for unit in self.shown:
            label = self.labels.get(unit)
            names = (label.label, label.category) if label else (None, None)
            figures = float(found.activation[unit]), float(found.contributions[unit]), found.share(unit)
            rows.append((unit, *names, *figures))
        table = Table(COLUMNS, tuple(rows), left=(1, 2))
        return table.extend("head_unit", map(found.name_unit, self.shown)) if found.heads else table

    def text(self) -> str:
        """The prediction, then the logit as a sum over units and a rest."""
        found = self.explanation
        if not found.changes:
            return f"{self._spell_prediction()}\n{self._warning}"
        rows = [["unit", "label", "activation", "contribution", "share"]]
        for unit, label, category, activation, contribution, share, *_ in self.table().rows:
            named = f"{label} ({category})" if label else "-"
            part = "-" if share is None else f"{share:.1%}"
            rows.append([found.name_unit(unit), named, f"{activation:.3g}", signed(contribution), part])
        rows += [["", name, "", signed(value), ""] for name, value in self.sums[1:]]
        rows.append(["", f"logit of {found.name(found.target)}", "", f"{found.logit:.2f}", ""])
        return f"{self._spell_prediction()}\n{align(rows, left=(1,))}"

    def _spell_prediction(self) -> str:
        found, truth = self.explanation, self.truth
        predicted, second, chances = found.predicted, found.runner_up, found.probabilities
        line = f"{clean(self.key, 80)}: {clean(found.name(predicted))}, {chances[predicted]:.0%}"
        if truth is not None:
            wrong = f"wrong: the label is {clean(found.name(truth))}"
            line += f" ({'right' if truth == predicted else wrong})"
        if second is not None:
            line += f"; then {clean(found.name(second))}, {chances[second]:.0%}"
        over = f"over {len(found.contributions)} units of {found.layer}"
        if not found.changes:
            return line
        if found.reads:
            over += f", read at its {self._spell_reads()}"
        if found.method == "exact":
            return f"{line}\nexact sum {over}"
        if found.method == "inexact":
            return f"{line}\nnot an exact sum {over}: it is off by {abs(found.gap):.2g}"
        return f"{line}\nan approximation, {found.method} {over}; the sum is off by {abs(found.gap):.2f}"

    def _spell_reads(self) -> str:
        """On which tokens the logits depend; of several class tokens how many, and what is shown of them."""
        found, classes = self.explanation, self.explanation.class_tokens
        words = join(found.reads)
        if classes is None or classes.shape[1] < 2 or "class tokens" not in found.reads:
            return words
        mean = ", whose mean is the activation" if found.reads == ("class tokens",) else ""
        return words.replace("class tokens", f"{classes.shape[1]} class tokens") + mean

    @property
    def _warning(self) -> str:
        found = self.explanation
        return (
            f"warning: without all {len(found.contributions)} units of {found.layer} the logit of "
            f"{found.name(found.target)} is the same, so they explain nothing; take another layer"
        )

    def describe(self) -> dict[str, Any]:
        """What `text` says, ready for JSON, with the contributions of all units in their order."""
        found, truth = self.explanation, self.truth
        predicted, second, chances = found.predicted, found.runner_up, found.probabilities
        return {
            "image": self.key,
            "network": found.network,
            "layer": found.layer,
            "predicted": found.name(predicted),
            "probability": float(chances[predicted]),
            "runner_up": None if second is None else found.name(second),
            "runner_up_probability": None if second is None else float(chances[second]),
            "truth": None if truth is None else found.name(truth),
            "right": None if truth is None else truth == predicted,
            "class": found.name(found.target),
            "method": found.method,
            "logit": found.logit,
            "rest": found.rest,
            "gap": found.gap,
            "units": self.table().records(),
            "contributions": found.contributions.tolist(),
            **({"reads": list(found.reads)} if found.reads else {}),
            **({} if found.changes else {"warning": self._warning}),
        }


@dataclass(frozen=True, eq=False)
class Explanations(Result):
    """Explained images, and the deletion test where one was made; made by `explain`.

    The main table has a row an image and unit shown. `save` writes explanation.json, what `describe` gives,
    and deletion.csv; the page is a picture of every image, and the figure of the deletion test.
    """

    images: tuple[ExplainedImage, ...]
    deletion: DeletionTest | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """explanation.json, and deletion.csv after a deletion test."""
        return ("explanation.json", *(self.deletion.files if self.deletion else ()))

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of the pictures and figures of the page."""
        many = len(self.images) > 1
        sheets = (f"explanation{f'-{place}' if many else ''}.png" for place in range(1, len(self.images) + 1))
        return (*sheets, *(("deletion.svg",) if self.deletion else ()))

    def tables(self) -> dict[str, Table]:
        """The units shown of every image, and the deletion test."""
        rows = tuple((image.key, *row) for image in self.images for row in image.table().rows)
        columns = self.images[0].table().columns if self.images else COLUMNS
        units = Table(("image", *columns), rows, left=(0, 2, 3))
        return {"explanation.csv": units, **(self.deletion.tables() if self.deletion else {})}

    def text(self) -> str:
        """Every prediction as a sum over units, then the deletion test."""
        parts = [image.text() for image in self.images]
        return "\n\n".join([*parts, *([self.deletion.text()] if self.deletion else [])])

    def describe(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        about = {"schema": SCHEMA, "explanations": [image.describe() for image in self.images]}
        return {**about, **({"deletion": self.deletion.describe()} if self.deletion else {})}

    def save(self, folder: str | Path) -> Path:
        """Writes `files` into a folder, which is made; the folder. Raises `RunError` where it cannot."""
        write_whole(Path(folder) / "explanation.json", json.dumps(plain(self.describe()), indent=1) + "\n")
        if self.deletion is not None:
            self.deletion.save(folder)
        return Path(folder)


def explain(
    network: Network,
    images: str | Path | Picture | Sequence[str | Path | Picture] = (),
    layer: str | None = None,
    *,
    run: Dissection | None = None,
    target: str | int | None = None,
    units: int = 6,
    exact: bool = False,
    deletion: ConceptSource | None = None,
    draws: int = 10,
    seed: int = 0,
) -> Explanations:
    """Which units of a layer speak for a class, and where in the image: predictions as sums.

    Images are pixels (uint8 [y, x, 3]), a picture's file, turned as its EXIF orientation says, or
    SOURCE#INDEX, counted from 0; each is explained by `explain_image`. `layer` is by default that of `run`,
    which gives units their labels, or the last one with maps; `target` the class explained, a name or a
    number, by default the predicted one. `units` top contributors are shown; `exact` refuses what is an
    approximation. With `deletion` top contributors, and `draws` times random units, are also removed from all
    images of that source (`measure_deletion`). Raises `UsageError` for an image, layer, class or number that
    cannot be, or a run of another network, `NetworkError` where the network cannot be explained.
    """
    named = [images] if isinstance(images, str | Path | np.ndarray) else list(images)
    if not (named or deletion is not None):
        raise UsageError("no image was named; give a file or SOURCE#INDEX, or --deletion SOURCE")
    if units < 1:
        raise UsageError(f"units is {units}; show 1 or more")
    opened = [_open_image(image, place, network) for place, image in enumerate(named)]
    layer, labels = _choose_layer(network, layer, run, opened[0][1] if opened else None)
    chosen = None if target is None else find_class(network, str(target))
    explained = []
    for key, pixels, truth, place in follow_each(opened, "explaining"):
        found = explain_image(network, layer, pixels, target=chosen, exact=exact, number=place)
        explained.append(ExplainedImage(key, pixels, found, labels, truth, units))
    if deletion is None:
        return Explanations(tuple(explained))
    test = measure_deletion(network, layer, deletion, draws=draws, seed=seed, exact=exact)
    return Explanations(tuple(explained), test)


def _open_image(
    image: str | Path | Picture, place: int, network: Network
) -> tuple[str, Picture, int | None, int]:
    """What an image is called, its pixels, its class where its source tells one that the network has, and its
    number there; 0 without a source.
    """
    if isinstance(image, np.ndarray):
        return f"image {place}", image, None, 0
    name = str(image)
    spec, sign, number = name.rpartition("#")
    if Path(name).is_file() or not sign:
        if not Path(name).exists():
            raise UsageError(f"there is no file {name}; wanted a picture, or SOURCE#INDEX such as drawn#3")
        return name, read_image(Path(name), UPRIGHT), None, 0
    source = open_source(spec)
    if not (number.isascii() and number.isdigit() and int(number) < len(source)):
        raise UsageError(f"{spec} has images 0 to {len(source) - 1}, not {number or 'nothing'}")
    example, classes = source[int(number)], match_classes(network, source.vocabulary)
    found = {classes[one] for one in example.ids if one in classes}
    return name, example.image, found.pop() if len(found) == 1 else None, int(number)


def _choose_layer(
    network: Network, layer: str | None, run: Dissection | None, pixels: Picture | None
) -> tuple[str, Mapping[int, Concept]]:
    """The layer, and the labels that a run gives its detectors."""
    if run is None:
        return layer or find_last_layer(network if pixels is None else fix_size(network, pixels)), {}
    check_network(run, network)
    if layer is None and len(run.layers) > 1:
        raise UsageError(f"the run holds the layers {', '.join(run)}; choose one with --layer")
    found = find_layer(run, network, layer or next(iter(run.layers)))
    return found.layer, find_detectors(found)


def join(words: Sequence[str]) -> str:
    """A list in a sentence.

    >>> join(["class tokens", "registers", "patches"])
    'class tokens, registers and patches'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def signed(value: float) -> str:
    """A number of two decimals with its sign; nothing is minus zero.

    >>> signed(-0.001), signed(0.127), signed(-2.0)
    ('+0.00', '+0.13', '-2.00')
    """
    return f"{round(value, 2) + 0.0:+.2f}"
