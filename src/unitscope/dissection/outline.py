"""What units are named by once all shards are there: all that the network told at planning, as a file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.recipe import Recipe
from unitscope.networks.places import Place
from unitscope.statistics.grids import Axis, Grid
from unitscope.statistics.quantiles import TailPlan
from unitscope.statistics.scan import ScanPlan
from unitscope.tables import plain

_AXIS = {"low": np.int32, "high": np.int32, "weight": np.float32, "starts": np.int32}


@dataclass(frozen=True, eq=False)
class Outline:
    """The plan of a scan, and what is told of its layers besides: warnings, places, heads of attention."""

    plan: ScanPlan
    vocabulary: Vocabulary
    warnings: Mapping[str, tuple[str, ...]]
    places: Mapping[str, Place]
    heads: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """All that the recipe of the run does not say, ready for JSON, without rounding."""
        layers = {
            layer: {
                "units": tail.units,
                "map_size": tail.raw_size,
                "population": tail.population,
                "border": tail.grid.border,
                "rows": _record_axis(tail.grid.rows),
                "columns": _record_axis(tail.grid.columns),
                "warnings": self.warnings.get(layer, ()),
                "place": asdict(self.places[layer]) if layer in self.places else None,
                "heads": self.heads[layer],
                **({} if tail.sparse is None else {"sparse": tail.sparse}),
            }
            for layer, tail in self.plan.tails.items()
        }
        words = [[concept.id, concept.name, concept.category] for concept in self.vocabulary]
        images = next(iter(self.plan.tails.values())).images
        made: dict[str, Any] = plain({"images": images, "layers": layers, "vocabulary": words})
        return made

    @classmethod
    def parse(cls, record: Mapping[str, Any], recipe: Recipe) -> "Outline":
        """The outline of a record, with what the recipe says of the plan.

        Raises `LookupError`, `TypeError` or `ValueError` for what is none.
        """
        rules, layers = recipe.convention, {layer: record["layers"][layer] for layer in recipe.layers}
        tails = {}
        for layer, told in layers.items():
            grid = Grid(_parse_axis(told["rows"]), _parse_axis(told["columns"]), told["border"])
            height, width = told["map_size"]
            population, quantile = told["population"], max(rules.quantile, *(recipe.ranges or (0.0,)))
            tails[layer] = TailPlan(
                *(told["units"], record["images"], (height, width), grid, population, quantile),
                told.get("sparse"),
                whole=recipe.cell_scores is not None,
            )
        thresholds = {layer: np.array(row, np.float32) for layer, row in (recipe.thresholds or {}).items()}
        ranks, batch_size, shard_size = recipe.ranks, recipe.batch_size, recipe.shard_size
        if ranks is None or batch_size is None or shard_size is None:
            raise ValueError("its recipe does not say how large shards are")
        plan = ScanPlan(
            *(recipe.frame, tails, rules.doubles, thresholds, ranks, batch_size, shard_size),
            random=bool(recipe.random),
        )
        return cls(
            plan,
            Vocabulary(tuple(Concept(*entry) for entry in record["vocabulary"])),
            {layer: tuple(told["warnings"]) for layer, told in layers.items()},
            {layer: place for layer, told in layers.items() if (place := Place.parse(told["place"]))},
            {layer: told["heads"] for layer, told in layers.items()},
        )


def _record_axis(axis: Axis) -> dict[str, list[int] | list[float]]:
    return {name: getattr(axis, name).tolist() for name in _AXIS}


def _parse_axis(record: Mapping[str, list[int] | list[float]]) -> Axis:
    return Axis(**{name: np.array(record[name], kind) for name, kind in _AXIS.items()})
