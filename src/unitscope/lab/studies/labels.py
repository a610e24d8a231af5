"""Do a segmenter's labels give units the names that true labels give them?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from unitscope.concepts.segmented import SegmentedSource, Segmenter
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.agreement import Agreement, measure_agreement
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.networks.network import Network
from unitscope.tables import Table, write_tables


@dataclass(frozen=True)
class LabelledTwice:
    """One layer, its units named by true labels and by a segmenter's.

    `true` and `segmented` count the detectors, `true_unique` and `segmented_unique` their concepts.
    """

    network: str
    layer: str
    true: int
    segmented: int
    true_unique: int
    segmented_unique: int
    agreement: Agreement


def compare_labels(
    network: Network,
    layers: Sequence[str],
    source: ConceptSource,
    segmenter: Segmenter,
    *,
    convention: str = "netdissect",
    name: str = "",
) -> list[LabelledTwice]:
    """Dissects the layers over the source's own labels, and over the segmenter's of the same images."""
    quick = Confidences(0, 20)
    seen = SegmentedSource(source, segmenter)
    one, other = (
        dissect(network, labels, layers, convention=convention, confidences=quick)
        for labels in (source, seen)
    )
    rule = one.convention.unique_rule
    return [
        LabelledTwice(
            name or network.name,
            layer,
            one[layer].detectors,
            other[layer].detectors,
            sum(one[layer].unique[rule].values()),
            sum(other[layer].unique[rule].values()),
            measure_agreement(one[layer], other[layer]),
        )
        for layer in layers
    ]


def write_labels(rows: Sequence[LabelledTwice], path: Path) -> None:
    """Writes a CSV, a row a layer. Raises `RunError` where it cannot be written."""
    outer = [column.name for column in fields(LabelledTwice) if column.name != "agreement"]
    names = [*outer, *(column.name for column in fields(Agreement))]
    records = ({**asdict(row), **asdict(row.agreement)} for row in rows)
    write_tables(path.parent, {path.name: Table.of(records, names)})


def spell_labels(rows: Sequence[LabelledTwice]) -> str:
    """The study as a Markdown table."""
    head = ["network", "layer", "units", "detectors", "unique", "same name", "of detectors in both"]
    head += ["by chance", "IoU", "best IoU"]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for row in rows:
        found = row.agreement
        cells = [row.network, row.layer, f"{found.units}", f"{row.true} / {row.segmented}"]
        cells += [f"{row.true_unique} / {row.segmented_unique}", f"{found.same:.0%}"]
        cells += [f"{found.same_detectors:.0%} of {found.both_detect}", f"{found.chance:.0%}"]
        cells += [f"{found.correlation:.3f}", f"{found.best_correlation:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
