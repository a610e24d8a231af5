"""Do a segmenter's labels give units the names that true labels give them?"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from unitscope.concepts.owned_parts import PART, keep_owned
from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.agreement import Agreement, measure_agreement
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.lab.studies.study import StudyResult
from unitscope.networks.network import Network
from unitscope.tables import Table
from unitscope.views.figures import Panel, draw_panels


@dataclass(frozen=True)
class LabelledTwice:
    """One layer, its units named by true labels and by a segmenter's.

    `true` and `segmented` count the detectors, `true_unique` and `segmented_unique` their concepts;
    `true_parts`, `segmented_parts` and `owned_parts` the parts among these, the last where the segmenter's
    parts count only on what they belong to, which takes away the share `unowned` of their pixels: NaN and
    -1 where the segmenter does not know what parts belong to.
    """

    network: str
    layer: str
    true: int
    segmented: int
    true_unique: int
    segmented_unique: int
    true_parts: int
    segmented_parts: int
    owned_parts: int
    unowned: float
    agreement: Agreement


@dataclass(frozen=True)
class LabelComparison(StudyResult):
    """Some layers of some networks, named twice. Results are put together with `+`."""

    layers: tuple[LabelledTwice, ...]
    quick: bool = False

    def __add__(self, other: "LabelComparison") -> "LabelComparison":
        return LabelComparison(self.layers + other.layers, self.quick)

    def tables(self) -> dict[str, Table]:
        """agreement.csv: a row a layer."""
        outer = [column.name for column in fields(LabelledTwice) if column.name != "agreement"]
        records = ({**asdict(row), **asdict(row.agreement)} for row in self.layers)
        columns = [*outer, *(column.name for column in fields(Agreement))]
        return {"agreement.csv": Table.of(records, columns)}

    def text(self) -> str:
        """The comparison as a Markdown table."""
        columns = ("network", "layer", "units", "detectors", "unique", "parts", "same name")
        rows = tuple(
            (
                *(row.network, row.layer, row.agreement.units, f"{row.true} / {row.segmented}"),
                f"{row.true_unique} / {row.segmented_unique}",
                f"{row.true_parts} / {row.segmented_parts}" + _tell_owned(row.owned_parts),
                f"{row.agreement.same:.0%}",
                f"{row.agreement.same_detectors:.0%} of {row.agreement.both_detect}",
                *(f"{row.agreement.chance:.0%}", f"{row.agreement.correlation:.3f}"),
                f"{row.agreement.best_correlation:.3f}",
            )
            for row in self.layers
        )
        more = ("of detectors in both", "by chance", "IoU", "best IoU")
        table = Table((*columns, *more), rows, (0, 1)).markdown()
        return f"A quick look, not a result.\n{table}" if self.quick else table

    def record(self) -> list[dict[str, Any]]:
        """A mapping a layer."""
        return [asdict(row) for row in self.layers]

    def draw(self, path: Path) -> Path:
        """Draws the share of units with the same name over the layers; raises as `draw_panels` does."""
        lines: dict[str, list[tuple[float, float, float]]] = {}
        for name in dict.fromkeys(row.network for row in self.layers):
            found = [row.agreement for row in self.layers if row.network == name]
            lines[name] = [(float(at), one.same, 0.0) for at, one in enumerate(found, 1)]
            lines[f"{name}, by chance"] = [(float(at), one.chance, 0.0) for at, one in enumerate(found, 1)]
        return draw_panels([Panel("units with the same name", "layer", lines)], path, y="share")


def compare_labels(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    segmenter: Segmenter,
    *,
    convention: str = "netdissect",
    name: str = "",
) -> LabelComparison:
    """Dissects the layers over the source's own labels, and over the segmenter's of the same images.

    Where the segmenter knows what parts belong to (`owners`), also with parts only on these
    (`concepts.owned_parts.keep_owned`). Raises what `dissect` raises.
    """
    seen: ConceptSource = SegmentedSource(source, segmenter)
    owners = getattr(segmenter, "owners", None)
    one, other, *owned = (
        dissect(network, labels, layers, convention=convention, confidences=Confidences(0, 20))
        for labels in (source, seen, *([keep_owned(seen, owners)] if owners else []))
    )
    rule = one.convention.unique_rule

    def count_parts(run: Dissection, layer: str) -> int:
        return run[layer].unique[rule].get(PART, 0)

    return LabelComparison(
        tuple(
            LabelledTwice(
                name or network.name,
                layer,
                one[layer].detectors,
                other[layer].detectors,
                sum(one[layer].unique[rule].values()),
                sum(other[layer].unique[rule].values()),
                count_parts(one, layer),
                count_parts(other, layer),
                count_parts(owned[0], layer) if owned else -1,
                _measure_unowned(other[layer], owned[0][layer]) if owned else math.nan,
                measure_agreement(one[layer], other[layer]),
            )
            for layer in layers
        )
    )


def _measure_unowned(seen: LayerDissection, owned: LayerDissection) -> float:
    """The share of the pixels of parts that lie on nothing they belong to; NaN without parts."""
    words = seen.vocabulary
    if PART not in words.categories:
        return math.nan
    parts = words.category_index == words.categories.index(PART)
    before = int(seen.concept_pixels[parts].sum())
    return 1 - int(owned.concept_pixels[parts].sum()) / before if before else math.nan


def _tell_owned(count: int) -> str:
    return f" / {count}" if count >= 0 else ""
