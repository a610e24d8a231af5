"""Units described by words: what was found, as tables, in words, and as files."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from unitscope.experiments.describing.judging import NONE, Judged
from unitscope.files import write_whole
from unitscope.results import Result
from unitscope.tables import Table, plain

COLUMNS = ("layer", "unit", "word", "score", "runner_up", "runner_up_score", "p_value", "q_value",
           "rank_low", "rank_high", "concept", "agrees")  # fmt: skip
_LEFT = tuple(COLUMNS.index(name) for name in ("layer", "word", "runner_up", "concept"))
FOUND = 0.05
"""Units with a q-value below this are said to be named above chance."""
SHOWN = 20


@dataclass(frozen=True, eq=False)
class LayerWords:
    """The words of one layer's units.

    `pooled` says what a response is; `top[unit, rank]` are the images of the largest ones. `concepts` are
    the names that a dissection of the layer gave, and `agrees` whether the word is the same, where there
    is one: None for units without either.
    """

    layer: str
    pooled: str
    judged: Judged
    top: Int64[np.ndarray, "unit rank"]
    concepts: tuple[str | None, ...]
    agrees: tuple[bool | None, ...]

    @property
    def units(self) -> int:
        """How many units the layer has."""
        return len(self.judged.word)

    @property
    def named(self) -> int:
        """How many of them have a name."""
        return int((self.judged.word != NONE).sum())

    @property
    def discoveries(self) -> int:
        """How many have one with a q-value below 0.05."""
        return int((self.judged.q_value < FOUND).sum())


@dataclass(frozen=True, eq=False)
class Descriptions(Result):
    """The words that fit the units of some layers best; made by `unitscope.describe`.

    The main table, `words.csv`, has a row a unit: its word and score, the runner-up, the p- and q-value, the
    middle 95 % of the rank of the word over bootstraps of the images, and, with a dissection, the concept
    that it found and whether the word agrees. A unit that answers alike to all images has no name.
    `about` has all that decides these numbers; `save` writes it as `about.json`.

    The page takes `pictures`, the source, for the images of the largest responses.
    """

    layers: tuple[LayerWords, ...]
    words: tuple[str, ...]
    about: Mapping[str, Any]

    files = ("words.csv", "about.json")

    def __getitem__(self, layer: str) -> LayerWords:
        """The words of a layer."""
        return next(one for one in self.layers if one.layer == layer)

    def tables(self) -> dict[str, Table]:
        """words.csv: a row a unit."""
        return {"words.csv": Table(COLUMNS, tuple(self._list_rows()), _LEFT)}

    def describe(self) -> dict[str, Any]:
        """What was asked and found, ready for JSON."""
        layers = [
            {"layer": one.layer, "pooled": one.pooled, "units": one.units, "named": one.named}
            for one in self.layers
        ]
        return {"about": plain(self.about), "layers": layers, "rows": self.rows()}

    def save(self, folder: str | Path) -> Path:
        """Writes words.csv and about.json into a folder, which is made; the folder.

        Raises `RunError` where they cannot be written.
        """
        place = super().save(folder)
        told = {**plain(self.about), "pooled": {one.layer: one.pooled for one in self.layers}}
        write_whole(place / "about.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return place

    def text(self) -> str:
        """Of every layer how many units have a name, and the 20 whose names are the surest."""
        about = self.about
        lines = [
            f"{about['network']} over {about['images']:,} images of {about['source']}: the best of "
            f"{len(self.words):,} words by {about['method']}, with {about['text']}"
        ]
        rows = list(self._list_rows())
        for one in self.layers:
            own = [row for row in rows if row[0] == one.layer]
            lines += ["", self._head(one), *([] if one.named else ["no unit has a name"])]
            surest = sorted((row for row in own if row[2]), key=lambda row: (row[7], -row[3]))[:SHOWN]
            keep = [place for place, name in enumerate(COLUMNS) if name != "layer" and self._has(name)]
            if surest:
                columns = tuple(COLUMNS[place] for place in keep)
                short = tuple(tuple(row[place] for place in keep) for row in surest)
                left = [at for at, place in enumerate(keep) if place in _LEFT]
                lines.append(Table(columns, short, left, 3).text())
            if one.named > SHOWN:
                lines.append(f"... and {one.named - SHOWN} more units with a name, in words.csv")
        return "\n".join(lines)

    def _has(self, column: str) -> bool:
        return column not in ("concept", "agrees") or self.about["run"] is not None

    def _head(self, one: LayerWords) -> str:
        parts = [f"{one.layer}: {one.units} units, {one.pooled}"]
        if one.judged.draws:
            parts.append(f"{one.discoveries} named above chance (q < {FOUND:g}, {one.judged.draws} shifts)")
        if one.named < one.units:
            parts.append(f"{one.units - one.named} without a name")
        known = [same for same in one.agrees if same is not None]
        if known:
            parts.append(f"{sum(known)} of {len(known)} words are the name that the run gives")
        return "; ".join(parts)

    def _list_rows(self) -> Iterator[tuple[Any, ...]]:
        for one in self.layers:
            found = one.judged
            for unit in range(one.units):
                word, other = int(found.word[unit]), int(found.runner_up[unit])
                agrees = one.agrees[unit]
                yield (
                    *(one.layer, unit, self._spell(word), float(found.score[unit]), self._spell(other)),
                    *(float(found.runner_up_score[unit]), float(found.p_value[unit])),
                    *(
                        float(found.q_value[unit]),
                        _whole(found.rank_low[unit]),
                        _whole(found.rank_high[unit]),
                    ),
                    *(one.concepts[unit], None if agrees is None else int(agrees)),
                )

    def _spell(self, word: int) -> str | None:
        return None if word == NONE else self.words[word]


def _whole(rank: Any) -> int | None:
    return None if np.isnan(rank) else int(rank)
