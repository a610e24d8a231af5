"""What made a run: its recipe, as `run.json` records it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from math import isfinite
from typing import Any, TypeVar

from unitscope.concepts.derived import find_left_out, source_digest, source_spec
from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention
from unitscope.networks.directions.directions import Directions
from unitscope.networks.network import Network
from unitscope.tables import plain

T = TypeVar("T", "NetworkRecord", "SourceRecord", "Recipe")

MACHINE = ("device", "threads", "processor", "machines")
"""What a recipe has of the machine: numbers may differ in their last digits by it, and by nothing else."""

_NONE_IS_RECORDED = ("prefix_tokens", "thresholds")


@dataclass(frozen=True)
class NetworkRecord:
    """The network of a run: what opened it, the digest of its weights, and how its input was prepared.

    `tokens` is what was stated of its tokens besides their number in front (`Tokens`).
    """

    name: str
    digest: str | None = None
    prefix_tokens: int | None = None
    preprocessing: Mapping[str, Any] | None = None
    tokens: Mapping[str, Any] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SourceRecord:
    """The labeled images of a run: the text that opens them again, their digest and their number.

    `left_out` has, by the reason, how many files of their folder are not used, and the first few of them:
    `{"hidden": {"files": 1, "examples": [".a.jpg"]}}`.
    """

    spec: str
    digest: str | None = None
    images: int | None = None
    left_out: Mapping[str, Mapping[str, Any]] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What made a run: network, images, layers, arithmetic, seed, machine, versions.

    `thresholds` are those that were given, by layer; `confidence` has the numbers of `shifts` and
    `replicates`, which `null` was drawn, and over how many images at most (`null_images`); `ranks` is the
    number of top images a unit; `version` and `torch` are those of the libraries; `quality` says how
    thresholds were chosen pair by pair (`dissect_by_quality`); `random` is True where the network draws
    random numbers, which were those of each image's number; `channels_last` is True where pictures lay so in
    memory. `threads` are torch's, and `processor` is the
    kind of what the network ran on; `machines` are all that took part, where there were several kinds.
    `directions` has, by layer, those it was read in: kind, units, latents and digest, whether they are
    sparse, and what latents are called where that is known; only with sparse ones the convention's
    `sparse_threshold` is recorded. `cell_scores` has the rules by which cells have classes (`CellRules`).
    `label_sets` is False where the table of sets of labels was left out; `ranges` are the fractions of
    values where ranges of activation begin. None is what was not recorded. `more` keeps what another version
    recorded besides.
    """

    network: NetworkRecord
    source: SourceRecord
    layers: tuple[str, ...]
    convention: Convention
    frame: Frame
    thresholds: Mapping[str, tuple[float, ...]] | None = None
    seed: int | None = None
    confidence: Mapping[str, int | str] | None = None
    batch_size: int | None = None
    shard_size: int | None = None
    ranks: int | None = None
    device: str | None = None
    mixed_precision: bool | None = None
    version: str | None = None
    torch: str | None = None
    quality: Mapping[str, Any] | None = None
    random: bool | None = None
    threads: int | None = None
    processor: str | None = None
    machines: tuple[str, ...] | None = None
    channels_last: bool | None = None
    directions: Mapping[str, Mapping[str, Any]] | None = None
    cell_scores: Mapping[str, Any] | None = None
    label_sets: bool | None = None
    ranges: tuple[float, ...] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def machine(self) -> str:
        """What activations may differ by in their last digits, in words."""
        return f"{self.processor}, {self.threads} {'thread' if self.threads == 1 else 'threads'}"

    @property
    def sparse(self) -> bool:
        """Whether some of its layers were read in sparse directions."""
        return any(one.get("sparse") for one in (self.directions or {}).values())

    @property
    def digest(self) -> str:
        """A digest of all that decides what is counted, but the machine."""
        record = {name: value for name, value in self.record().items() if name not in MACHINE}
        return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> "Recipe":
        """The recipe of a record. Raises `LookupError`, `TypeError` or `ValueError` for what is none."""
        frame, given = record["frame"], record.get("thresholds")
        sizes = {name: tuple(frame[name]) for name in ("size", "mask_size")}
        return _parse(
            cls,
            {
                **record,
                "network": _parse(NetworkRecord, record["network"]),
                "source": _parse(SourceRecord, record["source"]),
                "layers": tuple(record["layers"]),
                "machines": record.get("machines") and tuple(record["machines"]),
                "ranges": record.get("ranges") and tuple(record["ranges"]),
                "convention": Convention(**record["convention"]),
                "frame": Frame(**{**frame, **sizes}),
                "thresholds": given and {layer: tuple(map(float, row)) for layer, row in given.items()},
            },
        )

    def record(self) -> dict[str, Any]:
        """The recipe as `run.json` has it, ready for JSON; infinite thresholds are the text Infinity."""
        given = {
            layer: [value if isfinite(value) else json.dumps(value) for value in row]
            for layer, row in (self.thresholds or {}).items()
        }
        rules = asdict(self.convention)
        if not self.sparse:  # it decides nothing then
            del rules["sparse_threshold"]
        if self.convention.name_by == "iou":  # as in runs of before there was a choice
            del rules["name_by"]
        record = {
            **_record(self),
            "network": _record(self.network),
            "source": _record(self.source),
            "convention": rules,
            "frame": asdict(self.frame),
            "thresholds": given or None,
        }
        made: dict[str, Any] = plain(record)
        return made


def _parse(kind: type[T], record: Mapping[str, Any]) -> T:
    known = {one.name for one in fields(kind)} - {"more"}
    more = {name: value for name, value in record.items() if name not in known}
    return kind(**{name: value for name, value in record.items() if name in known}, more=more)


def _record(value: NetworkRecord | SourceRecord | Recipe) -> dict[str, Any]:
    """The fields that were recorded, by name."""
    named = {name: one for name, one in vars(value).items() if name != "more"}
    kept = {name: one for name, one in named.items() if one is not None or name in _NONE_IS_RECORDED}
    return {**kept, **value.more}


def record_network(network: Network) -> NetworkRecord:
    """What a run records of a network."""
    tokens = network.tokens
    stated: Any = {name: value for name, value in asdict(tokens).items() if name != "first" and value}
    made_with: dict[str, Any] = plain(asdict(network.preprocessing))
    return NetworkRecord(network.name, network.digest, tokens.first, made_with, plain(stated) or None)


def record_directions(directions: Mapping[str, Directions]) -> dict[str, dict[str, Any]] | None:
    """What a run records of the directions of its layers, by layer; None where there are none."""
    return {
        layer: {
            "kind": one.kind,
            "units": one.units,
            "latents": one.latents,
            "digest": one.digest,
            **({"sparse": True} if one.sparse else {}),
            **({"names": list(one.names)} if one.names else {}),
        }
        for layer, one in directions.items()
    } or None


def record_source(source: ConceptSource) -> SourceRecord:
    """What a run records of a source."""
    left_out = {
        one.reason: {"files": one.files, "examples": [*one.examples]} for one in find_left_out(source)
    }
    return SourceRecord(source_spec(source), source_digest(source), len(source), left_out or None)
