"""A dissection made up from a seed: plausible counts, masks over painted pictures, hostile names."""

from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.dissection.confidence import Confidence
from unitscope.dissection.conventions import Convention, find_convention
from unitscope.dissection.recipe import NetworkRecord, Recipe, SourceRecord
from unitscope.dissection.result import Dissection, Exemplars, LayerDissection

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://example.invalid","x")',
    "</script><script>alert(2)</script>",
    "quote \" and ' and & and `",
    "größe 猫 🐈 \u2028 \u202eevil",
    "a name that goes on and on " * 8,
)
NAMES = {
    "object": "car tree person dog bicycle sofa table boat bird airplane train horse lamp bus cup sheep",
    "part": "wheel leg head window door handle wing leaf roof screen",
    "scene": "street-s kitchen-s beach-s forest-s bedroom-s office-s",
    "material": "wood glass metal fabric stone",
    "texture": "striped dotted woven cracked marbled grid",
    "color": "red-c green-c blue-c yellow-c gray-c",
    "season": "winter summer",
}
FRAME = Frame((96, 96), (48, 48))


def made_vocabulary(hostile: bool = True) -> Vocabulary:
    named = [(name, category) for category, names in NAMES.items() for name in names.split()]
    if hostile:
        named += [(name, "object") for name in HOSTILE]
    return Vocabulary(tuple(Concept(3 * i + 2, name, category) for i, (name, category) in enumerate(named)))


@dataclass(frozen=True)
class MadeSource:
    """Landscape pictures of a few shapes on a gradient, painted on demand."""

    count: int = 40
    size: tuple[int, int] = (160, 240)
    vocabulary: Vocabulary = field(default_factory=made_vocabulary)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Example:
        if not 0 <= index < self.count:
            raise IndexError(index)
        name = f"street_{index:03d}.jpg" if index else "a <b>bold</b> name & more.jpg"
        return Example(name, paint(index, self.size))


@cache
def shapes(index: int) -> list[tuple[float, float, float]]:
    """Center x, center y and radius of the shapes of a picture, as fractions of its sides."""
    rng = np.random.default_rng(index)
    return [tuple(rng.uniform((0.2, 0.25, 0.1), (0.8, 0.75, 0.22))) for _ in range(3)]


def paint(index: int, size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(1000 + index)
    height, width = size
    top, bottom = rng.uniform(90, 235, 3), rng.uniform(40, 190, 3)
    ramp = np.linspace(0, 1, height)[:, None, None]
    ground = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (height, width, 3)).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(ground))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, int(height * rng.uniform(0.6, 0.8)), width, height), tuple(rng.integers(40, 160, 3)))
    for place, (x, y, radius) in enumerate(shapes(index)):
        color = tuple(int(value) for value in rng.integers(20, 255, 3))
        box = ((x - radius) * width, (y - radius) * height, (x + radius) * width, (y + radius) * height)
        (pen.ellipse if place % 2 else pen.rectangle)(box, color)
    return np.asarray(picture)


@cache
def made_mask(image: int, kind: int) -> np.ndarray:
    """Runs (row, first column, last + 1) over one of a picture's shapes, with a spot for every fifth kind."""
    side = FRAME.mask_size[0]
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    x, y, radius = shapes(image)[kind % 3]
    wobble = 1 + 0.3 * np.sin(3 * np.arctan2(rows - y, columns - x) + kind)
    mask = (columns - x) ** 2 + (rows - y) ** 2 < (radius * wobble) ** 2
    if kind % 5 == 0:
        mask |= (columns - 0.9) ** 2 + (rows - 0.1) ** 2 < 0.006
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, stops = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return np.column_stack([starts, stops[:, 1]])


def made_exemplars(rng: np.random.Generator, units: int, ranks: int, images: int) -> Exemplars:
    chosen = np.stack([rng.choice(images, ranks, replace=False) for _ in range(units)]).astype(np.int32)
    peaks = -np.sort(-rng.gamma(4, 3, (units, ranks)), 1).astype(np.float32)
    runs = [made_mask(int(image), unit % 15) for unit in range(units) for image in chosen[unit]]
    offsets = np.cumsum([0, *map(len, runs)])
    return Exemplars(chosen, peaks, offsets.astype(np.int64), np.concatenate(runs).astype(np.uint16))


def made_confidence(rng: np.random.Generator, iou: np.ndarray, images: int) -> Confidence:
    units = len(iou)
    p_value = np.clip(np.exp(-iou * 60) * rng.uniform(0.2, 1.4, units), 0.001, 1.0)
    order = np.argsort(p_value)
    ladder = p_value[order] * units / np.arange(1, units + 1)
    q_value = np.empty(units)
    q_value[order] = np.minimum.accumulate(ladder[::-1])[::-1].clip(max=1.0)
    return Confidence(
        p_value=p_value,
        q_value=q_value,
        low=iou * rng.uniform(0.7, 0.95, units),
        high=iou * rng.uniform(1.05, 1.35, units),
        heldout=iou * rng.uniform(0.75, 1.05, units),
        shifts=1000,
        chance_detectors=1.4,
        chance_discoveries=0.004,
        null="blocks",
        null_images=images,
    )


@cache  # many tests show the same; nobody writes into it
def made_layer(
    layer: str,
    units: int,
    seed: int,
    vocabulary: Vocabulary,
    convention: Convention,
    images: int,
    ranks: int = 9,
    confident: bool = True,
) -> LayerDissection:
    rng = np.random.default_rng(seed)
    size, categories = vocabulary.size, len(vocabulary.categories)
    ids = np.array([concept.id for concept in vocabulary])
    concept_pixels = np.zeros(size, np.int64)
    concept_pixels[ids] = rng.integers(4_000, 60_000, len(ids))
    active = rng.integers(6_000, 30_000, units)
    intersections = np.zeros((units, size), np.int64)
    intersections[:, ids] = rng.integers(0, 500, (units, len(ids)))
    favorite = ids[(rng.beta(0.8, 1.4, units) * len(ids)).astype(int)]
    wanted = rng.beta(1.2, 16, units)
    shared = wanted * (active + concept_pixels[favorite]) / (1 + wanted)
    limit = np.minimum(active, concept_pixels[favorite])
    intersections[np.arange(units), favorite] = np.minimum(shared, limit)
    for unit, concept_id in enumerate(ids[-len(HOSTILE) :]):
        intersections[unit, concept_id] = min(active[unit], concept_pixels[concept_id]) * 2 // 3
    active[-1], intersections[-1] = 0, 0
    pixels_in = np.full(categories, images * FRAME.mask_size[0] * FRAME.mask_size[1], np.int64)
    exemplars = made_exemplars(rng, units, ranks, images)
    exemplars.images[-1] = -1
    made = LayerDissection(
        layer=layer,
        map_size=(12, 12),
        mask_size=FRAME.mask_size,
        images=images,
        vocabulary=vocabulary,
        convention=convention,
        thresholds=rng.uniform(0.5, 9, units).astype(np.float32),
        active=active,
        active_in=np.repeat(active[:, None], categories, 1),
        pixels_in=pixels_in,
        concept_pixels=concept_pixels,
        intersections=intersections,
        exemplars=exemplars,
        warnings=("3 of 40 images have no labels",),
    )
    if not confident:
        return made
    return replace(made, confidence=made_confidence(rng, made.labels.best_iou, images))


def made_dissection(
    units: int = 64,
    layers: tuple[str, ...] = ("_blocks.5", "_blocks.10", "_conv_head"),
    seed: int = 0,
    hostile: bool = True,
    confident: bool = True,
    source: MadeSource | None = None,
) -> Dissection:
    """Layers of `units` units each, over 40 painted pictures unless a source is given."""
    convention = find_convention("netdissect")
    source = source or MadeSource()
    vocabulary = made_vocabulary(hostile)
    made = {
        layer: made_layer(
            layer, units, seed + place, vocabulary, convention, len(source), confident=confident
        )
        for place, layer in enumerate(layers)
    }
    recipe = Recipe(
        network=NetworkRecord(
            name="efficientnet-lite0",
            digest="5f2c0d5a8c1be3aa91b0d5a8c1be3aa91b0d5a8c1be3aa91b0d5a8c1be3aa91b",
            preprocessing={"size": FRAME.size, "mean": (0.485, 0.456, 0.406), "channels": "rgb"},
        ),
        source=SourceRecord("folder:photographs <b>", "91b0d5a8c1be3aa9" * 4, len(source)),
        layers=layers,
        convention=convention,
        frame=FRAME,
        seed=0,
        device="cpu",
        mixed_precision=False,
        version="0.1.0",
        torch="2.14.1",
    )
    keys = {index: source[index].key for index in range(len(source))}
    return Dissection(made, vocabulary, convention, recipe, keys, {"scan": 12.4, "relate": 3.1})
