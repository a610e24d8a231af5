"""What the microscope looks with and at: a lens, pictures to choose from, and the top images of units."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from unitscope.axes import Picture
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import SourceError, UsageError
from unitscope.interventions.classes import match_classes
from unitscope.interventions.looking.comparison import ATTACKS, AttackedSlide
from unitscope.interventions.looking.evidence import weigh_classes
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.sights import Sight, see
from unitscope.interventions.looking.slides import Slide, prepare_slide, show_seen, to_bytes
from unitscope.interventions.looking.switches import (
    Switch,
    Turned,
    begin_replay,
    find_start,
    gather_units,
    turn,
    weigh_replay,
)
from unitscope.interventions.replay import Replay
from unitscope.views.app.work_queue import RecentValues
from unitscope.views.look.answers import SHOWN, describe_unit, name_concept, rank_classes, spell_runs
from unitscope.views.look.asked import LIMITS
from unitscope.views.look.kept import MOST_PICTURES, HeavyValues, Kept, keep_slide
from unitscope.views.look.uploads import MOST_BYTES, MOST_PIXELS, encode_jpeg
from unitscope.views.palette import color_categories
from unitscope.views.report.pictures import find_example, shrink

BLOCK, SAMPLES = 24, 240
"""How many samples come in one strip, and how many there are to choose from at most."""
TILE = 96
TOPS = 8
"""So many top images of a unit are shown."""
_KEPT_REPLAYS, _KEPT_SIGHTS = 256 << 20, 128 << 20
_UNIT_CARDS = 256


@dataclass(eq=False)
class LookProject:
    """A lens, with what is kept between one question and the next; asked by one thread at a time.

    `samples` are pictures to choose from, `source` has the images of the run; None where they cannot be
    opened, which `lack` says in a line.
    """

    lens: Lens
    source: ConceptSource | None = None
    samples: ConceptSource | None = None
    lack: str | None = None
    sights: HeavyValues[Sight] = field(default_factory=lambda: HeavyValues(_KEPT_SIGHTS, weigh_sight))
    replays: HeavyValues[Replay] = field(default_factory=lambda: HeavyValues(_KEPT_REPLAYS, weigh_replay))
    cards: RecentValues[dict[str, Any]] = field(default_factory=lambda: RecentValues(_UNIT_CARDS))

    @cached_property
    def id(self) -> str:
        """Differs for other networks, runs and layers."""
        lens = self.lens
        text = f"{lens.network.digest} {lens.run.recipe.record()} {lens.layers}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def count(self) -> int:
        """How many samples there are to choose from."""
        return 0 if self.samples is None else min(len(self.samples), SAMPLES)

    def describe(self) -> dict[str, Any]:
        """What the page must know, ready for JSON."""
        lens, run = self.lens, self.lens.run
        concepts = [
            {"concept": number, "name": concept.name, **name_concept(concept), "units": units}
            for number, units in lens.detectors.items()
            for concept in [run.vocabulary[number]]
        ]
        return {
            "id": self.id,
            "network": {"name": lens.network.name, "digest": lens.network.digest},
            "run": {
                "source": run.source,
                "images": run.images,
                "convention": run.convention.name,
                "iou_cutoff": run.convention.iou_cutoff,
            },
            "classes": [lens.name_class(one) for one in range(lens.classes)] if lens.network.classes else [],
            "count": lens.classes,
            "size": list(run.frame.size),
            "categories": color_categories(run.vocabulary.categories),
            "layers": [self._describe_layer(layer) for layer in lens.layers],
            "left_out": dict(lens.left_out),
            "concepts": sorted(concepts, key=lambda one: (one["category"], one["label"])),
            "samples": self.count,
            "samples_note": self.lack if self.samples is None else None,
            "block": BLOCK,
            "tile": [TILE, TILE],
            "limits": {
                **LIMITS,
                "bytes": MOST_BYTES,
                "pixels": MOST_PIXELS,
                "pictures": MOST_PICTURES,
                "shown": SHOWN,
            },
            "attacks": list(ATTACKS),
        }

    def _describe_layer(self, layer: str) -> dict[str, Any]:
        lens, found = self.lens, self.lens.run[layer]
        tokens = lens.tokens[layer]
        directed = layer in (lens.run.recipe.directions or {})
        return {
            "layer": layer,
            "units": len(found),
            "cells": list(found.map_size),
            "mask": list(found.mask_size),
            "kind": "latents" if directed else "heads" if found.heads else "units",
            "tokens": None if tokens is None else {"class": tokens[0], "registers": tokens[1]},
            "named": {kind: bool(lens.names.get(kind, {}).get(layer)) for kind in ("formula", "word")},
        }

    def draw_samples(self, block: int) -> UInt8[np.ndarray, "y x 3"]:
        """The samples of a block side by side, each a square of what the network sees of it."""
        assert self.samples is not None
        tiles = []
        for index in range(block * BLOCK, min((block + 1) * BLOCK, self.count)):
            seen = Image.fromarray(show_seen(self.lens, self.samples[index].image))
            tiles.append(np.asarray(ImageOps.fit(seen, (TILE, TILE), Image.Resampling.LANCZOS)))
        return np.concatenate(tiles, 1)

    def keep_sample(self, index: int) -> Kept:
        """A sample as a picture of a visitor. Raises `SourceError` where it cannot be read."""
        assert self.samples is not None
        example = self.samples[index]
        classes = match_classes(self.lens.network, self.samples.vocabulary)
        truths = {classes[one] for one in example.ids if one in classes}
        truth = truths.pop() if len(truths) == 1 else None
        slide = prepare_slide(self.lens, example.image, example.key, number=index, truth=truth)
        return keep_slide(slide, example.image, show_seen(self.lens, example.image))

    def keep_picture(self, picture: Picture, name: str, fitted: bool) -> Kept:
        """A picture that a visitor sent. Raises what `prepare_slide` raises."""
        slide = prepare_slide(self.lens, picture, name, fitted=fitted)
        return keep_slide(slide, picture, to_bytes(picture) if fitted else show_seen(self.lens, picture))

    def see(self, slide: Slide, layer: str, target: int | None) -> Sight:
        """What `unitscope.interventions.looking.sights.see` gives, kept for a while."""
        chosen = slide.predicted if target is None else target
        return self.sights.get((slide, layer, chosen), lambda: see(self.lens, slide, layer, target=chosen))

    def turn(self, slide: Slide, switches: list[Switch], draws: int) -> Turned:
        """What `unitscope.interventions.looking.switches.turn` gives, from a replay that is kept."""
        gather_units(self.lens, switches)  # raises before the work
        layer = find_start(self.lens, switches)
        start = None
        if layer is not None:
            start = self.replays.get((slide, layer), lambda: begin_replay(self.lens, slide, layer))
        return turn(self.lens, slide, switches, draws=draws, start=start)

    def describe_unit(self, layer: str, unit: int) -> dict[str, Any]:
        """The card of a unit: its evidence, its top images, and the classes that need it."""
        return self.cards.get((layer, unit), lambda: self._describe_unit(layer, unit))

    def _describe_unit(self, layer: str, unit: int) -> dict[str, Any]:
        told = describe_unit(self.lens, layer, unit)
        top, place = self.lens.run[layer].exemplars, self.lens.layers.index(layer)
        size = self.lens.run[layer].mask_size
        ranks = [rank for rank, index in enumerate(top.images[unit, :TOPS].tolist()) if index >= 0]
        empty: dict[str, Any] = {"tops": [], "tops_note": self.lack, "classes": [], "classes_over": 0}
        if self.source is None:
            return {**told, **empty}
        if not ranks:
            return {**told, **empty, "tops_note": "the unit fired in none of the run's images"}
        try:
            pictures = [self._read_top(layer, unit, rank) for rank in ranks]
        except (SourceError, UsageError) as error:
            return {**told, **empty, "tops_note": str(error)}
        tops = [
            {
                "key": self.lens.run.keys.get(int(top.images[unit, rank]), ""),
                "peak": float(top.peaks[unit, rank]),
                "image": f"/api/tops/{place}/{unit}/{rank}.jpg",
                "mask": list(size),
                "runs": spell_runs(top.mask_runs(unit, rank), size),
            }
            for rank in ranks
        ]
        classes = rank_classes(self.lens, weigh_classes(self.lens, layer, unit, pictures))
        return {**told, "tops": tops, "tops_note": None, "classes": classes, "classes_over": len(pictures)}

    def draw_top(self, layer: str, unit: int, rank: int) -> bytes:
        """A top image of a unit as JPEG, what the network saw of it. Raises `UsageError` for none."""
        images = self.lens.run[layer].exemplars.images
        if self.source is None or rank >= min(images.shape[1], TOPS) or images[unit, rank] < 0:
            raise UsageError("there is no such picture")
        picture = shrink(self._read_top(layer, unit, rank), self.lens.run.frame)
        return encode_jpeg(np.asarray(picture))

    def _read_top(self, layer: str, unit: int, rank: int) -> Picture:
        assert self.source is not None
        index = int(self.lens.run[layer].exemplars.images[unit, rank])
        return find_example(self.source, index, self.lens.run.keys.get(index)).image

    def keep_attacked(self, found: AttackedSlide) -> Kept:
        """A picture after an attack."""
        return keep_slide(found.slide, found.slide.fitted, to_bytes(found.slide.fitted))


def weigh_sight(sight: Sight) -> int:
    """How many bytes a sight keeps, about."""
    runs = sum(len(one.outline.runs) for one in sight.firings)
    return sight.explanation.maps.nbytes + 40 * runs + 512 * len(sight.firings)
