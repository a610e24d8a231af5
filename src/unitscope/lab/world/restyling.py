"""Drawn scenes in the looks of others: every shape and mask stays, every surface is exchanged.

The twin of a picture has its shapes, light and shadows, stroke by stroke; each thing in it, or part of one,
wears the color, material, grain and texture of another thing of a third picture, the style. Lights and darks
among the strokes of a thing stay, so that its form still shows.
"""

import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64, UInt16

from unitscope.concepts.derived import DerivedSource
from unitscope.concepts.union.colors import name_colors
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import UsageError
from unitscope.lab.world.canvas import Canvas
from unitscope.lab.world.light import Chance
from unitscope.lab.world.names import FIRST_ID, SCENE_IDS, drawn_vocabulary
from unitscope.lab.world.scenes import paint
from unitscope.lab.world.shading import COLORS_FROM, LOOK_COLUMNS, read_index, read_labels, render
from unitscope.lab.world.source import DrawnSource

LOOK_IDS = 1000
"""The concept *looks like a tree* has the id of the object or part `tree`, and so much more."""
LOOKS = {"object": "look", "part": "part look"}
"""The category of things as what they look like, by that of the things."""
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_LIGHTEST, _DARKEST = 1.5, 0.6
"""How much lighter or darker than the others of its thing a stroke may stay."""

Table = Float32[np.ndarray, "stroke column"]
Thing = tuple[int, int]
"""The ids of an object and of the part of it, 0 for none."""


@dataclass(frozen=True, eq=False)
class RestyledSource(DerivedSource):
    """The scenes of `source`, each in the looks of a scene drawn by `style_seed`; made by `restyle_scenes`.

    Objects, parts and scenes are labeled as before, pixel by pixel; materials, textures and colors as they
    are painted now. Two planes more say what each pixel looks like: the object, and the part, whose look it
    wears, in categories of their own (`LOOKS`).
    """

    source: DrawnSource
    style_seed: int

    @property
    def option(self) -> str:
        return f"restyled={self.style_seed}"

    @property
    def spec(self) -> str:
        """What it is, for people; no text opens it again."""
        return f"RestyledSource of {len(self)} images, {len(self.vocabulary)} concepts,{self.option}"

    @property
    def name(self) -> str:
        """A short name for people."""
        return "drawn world, restyled"

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All concepts of the drawn world, and the looks of objects and parts."""
        return looks_vocabulary()

    def __getitem__(self, index: int, /) -> Example:
        """Picture `index`, uint8[size, size, 3] with seven planes: the five of `source`, and two of looks."""
        place, drawn = self.place(index), self.source
        scene, canvas = paint(drawn.seed, place, drawn.size)
        style = paint(self.style_seed, place, drawn.size)[1]
        dressed, worn = restyle(canvas, style, Chance(self.style_seed, place))
        image = render(dressed)
        colors = name_colors(image) + np.uint16(FIRST_ID["color"] - 1)
        looks = worn.T[:, read_index(canvas)]
        planes = np.concatenate([read_labels(dressed), colors[None], looks])
        return Example(self.peek(index)[0], image, planes, (SCENE_IDS[scene],))


def restyle_scenes(source: DrawnSource, style_seed: int) -> RestyledSource:
    """The same scenes in the looks of those that `style_seed` draws: textures exchanged, shapes kept.

    Raises `UsageError` where the styles would be the pictures themselves.

    >>> from unitscope.lab.world import open_drawn
    >>> scenes = open_drawn(count=2, seed=1, size=64)
    >>> twins = restyle_scenes(scenes, style_seed=2)
    >>> (twins[0].planes[:2] == scenes[0].planes[:2]).all(), (twins[0].image == scenes[0].image).all()
    (np.True_, np.False_)
    """
    if style_seed == source.seed:
        raise UsageError(f"scenes of seed {source.seed} cannot be their own styles; give another style_seed")
    return RestyledSource(source, style_seed)


def looks_vocabulary() -> Vocabulary:
    """The concepts of the drawn world, and for every object and part what looks like it.

    >>> words = looks_vocabulary()
    >>> [one.category for one in words if one.name == "tree"]
    ['object', 'look']
    """
    words = tuple(drawn_vocabulary())
    looks = (
        Concept(LOOK_IDS + one.id, one.name, LOOKS[one.category]) for one in words if one.category in LOOKS
    )
    return Vocabulary((*words, *looks))


def restyle(canvas: Canvas, style: Canvas, chance: Chance) -> tuple[Canvas, UInt16[np.ndarray, "stroke 2"]]:
    """A canvas in the looks of another, and by stroke the ids of the object and part that it looks like.

    The things of the canvas, the largest first, draw one look each from the things that show in `style`, each
    look once while they last, and never that of a thing of their own name where there is another. Shapes are
    those of `canvas`, which is left as it is.
    """
    table, others = canvas.table(), style.table()
    areas, seen = _measure_areas(canvas), _measure_areas(style)
    looks = {thing: strokes for thing, strokes in _group(others, seen).items() if seen[strokes].any()}
    worn, waiting = np.zeros((len(table), 2), np.uint16), list[Thing]()
    for thing, strokes in _group(table, areas).items():
        if all(one[0] == thing[0] for one in waiting):
            waiting = sorted(looks, key=lambda _: chance.between(0, 1))
        chosen = next((one for one in waiting if one[0] != thing[0]), waiting[0])
        waiting.remove(chosen)
        model = looks[chosen][seen[looks[chosen]].argmax()]
        _dress(table, strokes, areas, others[model])
        worn[strokes] = [one and LOOK_IDS + one for one in chosen]
    dressed = copy.copy(canvas)
    dressed.strokes = [tuple(row) for row in table.tolist()]
    return dressed, worn


def _measure_areas(canvas: Canvas) -> Int64[np.ndarray, "stroke"]:
    """The pixels where each stroke shows."""
    return np.bincount(read_index(canvas).ravel(), minlength=len(canvas.strokes))


def _group(table: Table, areas: Int64[np.ndarray, "stroke"]) -> dict[Thing, Int64[np.ndarray, "some"]]:
    """The strokes of every thing: the objects' parts, the largest in the picture first."""
    things, places = np.unique(table[:, :2].astype(np.int64), axis=0, return_inverse=True)
    sizes = np.bincount(places.ravel(), areas, len(things))
    order = np.argsort(-sizes, kind="stable")
    return {(int(things[k, 0]), int(things[k, 1])): np.flatnonzero(places.ravel() == k) for k in order}


def _dress(
    table: Table,
    strokes: Int64[np.ndarray, "some"],
    areas: Int64[np.ndarray, "stroke"],
    model: Float32[np.ndarray, "column"],
) -> None:
    """Gives the strokes of a thing the look of another's stroke, lighter and darker as they were."""
    light = table[strokes, COLORS_FROM : COLORS_FROM + 3] @ _LUMINANCE
    middle = np.average(light, weights=np.maximum(areas[strokes], 1e-3))
    shades = np.clip(light / max(float(middle), 1.0), _DARKEST, _LIGHTEST)
    table[strokes[:, None], LOOK_COLUMNS] = model[LOOK_COLUMNS]
    table[strokes, COLORS_FROM : COLORS_FROM + 9] *= shades[:, None]
