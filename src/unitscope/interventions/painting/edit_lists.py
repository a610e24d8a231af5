"""A painting as JSON, ready for a file: written, and read back strictly.

::

    {"format": "unitscope edits", "version": 1,
     "generator": {"name": "zoo:generator", "digest": "c534...", "seed": 0},
     "image": 3,
     "strokes": [{"layer": "layer2", "units": [4, 17], "mode": "draw", "rule": "mean", "strength": 1.0,
                  "concept": {"name": "tree", "category": "object"},
                  "mask": {"rows": 64, "columns": 64, "runs": [2080, 5, 2011]}}],
     "off": [{"layer": "layer2", "unit": 17}]}

All keys are there, and no others; `image` is the key of a picture from outside, as text, where the strokes
are on one, and then `picture` may be there too: the picture itself, as PNG in base64, for whoever has it not
open. docs/files.md describes them.
"""

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import UsageError
from unitscope.interventions.painting.easel import Easel
from unitscope.interventions.painting.photos import MOST_BYTES
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
from unitscope.interventions.strict_json import (
    parse_json,
    read_choice,
    read_items,
    read_members,
    read_share,
    read_whole,
)
from unitscope.interventions.unit_values import RULES

FORMAT = "unitscope edits"
VERSION = 1
MOST_STROKES = 200
MOST_UNITS = 256
MOST_SIDE = 256
MOST_IMAGE = 9_999_999
MOST_TEXT = 1_000_000
"""How many bytes an edit list may have, apart from a picture in it."""
MOST_PICTURE = 4 * MOST_BYTES // 3 + 4
"""How many characters the picture itself may have."""


def describe_painting(painting: Painting, easel: Easel) -> dict[str, object]:
    """The edit list of a painting, ready for JSON."""
    generator = easel.generator
    return {
        "format": FORMAT,
        "version": VERSION,
        "generator": {"name": generator.name, "digest": generator.digest, "seed": generator.seed},
        "image": painting.image,
        "strokes": [_describe_stroke(stroke) for stroke in painting.strokes],
        "off": [{"layer": layer, "unit": unit} for layer, unit in sorted(painting.off)],
    }


def _describe_stroke(stroke: Stroke) -> dict[str, object]:
    concept, mask = stroke.concept, stroke.mask
    return {
        "layer": stroke.layer,
        "units": list(stroke.units),
        "mode": stroke.mode,
        "rule": stroke.rule,
        "strength": stroke.strength,
        "concept": None if concept is None else {"name": concept.name, "category": concept.category},
        "mask": {"rows": mask.rows, "columns": mask.columns, "runs": list(mask.runs)},
    }


def parse_painting(text: str | bytes, easel: Easel) -> Painting:
    """The painting of an edit list's JSON, the one that was described.

    Raises `UsageError`, in one line, for anything that is not exactly an edit list of this version, for this
    generator.
    """
    _check_length(len(text), MOST_TEXT + MOST_PICTURE)
    value = parse_json(text, "an edit list")
    inside = value.get("picture") if isinstance(value, dict) else None
    _check_length(len(text) - (len(inside) if isinstance(inside, str) else 0), MOST_TEXT)
    return read_painting(value, easel)


def _check_length(length: int, most: int) -> None:
    if length > most:
        raise UsageError(f"an edit list of {length} bytes; wanted {most} at most")


def read_painting(value: object, easel: Easel) -> Painting:
    """The painting of an edit list that is already parsed; raises what `parse_painting` raises."""
    keys = ("format", "version", "generator", "image", "strokes", "off")
    if isinstance(value, dict) and isinstance(value.get("image"), str) and "picture" in value:
        if not isinstance(value["picture"], str):
            raise UsageError("the picture in an edit list must be text: PNG in base64")
        value = {key: part for key, part in value.items() if key != "picture"}
    found = read_members(value, keys, "the edit list")
    if (found["format"], found["version"]) != (FORMAT, VERSION) or isinstance(found["version"], bool):
        raise UsageError(f"the format must be {FORMAT!r}, version {VERSION}")
    generator, made_for = easel.generator, found["generator"]
    read_members(made_for, ("name", "digest", "seed"), "generator")
    for key, word in (("digest", "generator"), ("seed", "seed")):
        if made_for[key] != getattr(generator, key) or isinstance(made_for[key], bool):
            raise UsageError(
                f"the edit list is for another {word} than {generator.name} with seed {generator.seed}; "
                "open it with that one"
            )
    if not isinstance(made_for["name"], str):
        raise UsageError("the generator's name must be text")
    strokes = read_items(found["strokes"], MOST_STROKES, "strokes")
    off = read_items(found["off"], MOST_UNITS * len(easel.shapes), "units that are off")
    return Painting(
        _read_image(found["image"], easel),
        tuple(_read_stroke(stroke, place, easel) for place, stroke in enumerate(strokes)),
        frozenset(_read_off(entry, easel) for entry in off),
    )


def _read_image(value: object, easel: Easel) -> int | str:
    """A number, or the key of a picture that is open."""
    if isinstance(value, str):
        easel.find(value)
        return value
    return read_whole(value, MOST_IMAGE, "image")


def _read_stroke(value: object, place: int, easel: Easel) -> Stroke:
    at = f"stroke {place + 1}"
    keys = ("layer", "units", "mode", "rule", "strength", "concept", "mask")
    found = read_members(value, keys, at)
    layer = read_choice(found["layer"], tuple(easel.shapes), f"{at}: layer")
    units = read_items(found["units"], MOST_UNITS, f"{at}: units")
    most = easel.shapes[layer][0] - 1
    stroke = Stroke(
        layer,
        tuple(read_whole(unit, most, f"{at}: a unit of {layer}") for unit in units),
        read_mask(found["mask"], at),
        "draw" if read_choice(found["mode"], ("draw", "erase"), f"{at}: mode") == "draw" else "erase",
        _read_concept(found["concept"], easel.segmenter.vocabulary, at),
        next(rule for rule in RULES if rule == read_choice(found["rule"], RULES, f"{at}: rule")),
        read_share(found["strength"], f"{at}: strength"),
    )
    if len(set(stroke.units)) != len(stroke.units):
        raise UsageError(f"{at}: a unit stands there twice")
    stroke.values(easel.levels[layer], list(stroke.units))
    return stroke


def read_mask(value: object, at: str) -> Bitmap:
    """Where a brush went, of what `at` names. Raises `UsageError` for anything else."""
    found = read_members(value, ("rows", "columns", "runs"), f"{at}: mask")
    rows, columns = (
        read_whole(found[key], MOST_SIDE, f"{at}: {key} of the mask") for key in ("rows", "columns")
    )
    if not (pixels := rows * columns):
        raise UsageError(f"{at}: a mask of {rows} by {columns} pixels; wanted 1 or more each way")
    runs = read_items(found["runs"], pixels + 1, f"{at}: runs of the mask")
    return Bitmap(rows, columns, tuple(read_whole(run, pixels, f"{at}: a run of the mask") for run in runs))


def _read_concept(value: object, vocabulary: Vocabulary, at: str) -> Concept | None:
    if value is None:
        return None
    found = read_members(value, ("name", "category"), f"{at}: concept")
    for concept in vocabulary:
        if (concept.name, concept.category) == (found["name"], found["category"]):
            return concept
    raise UsageError(f"{at}: the segmenter has no such concept; take one of the palette")


def _read_off(value: object, easel: Easel) -> tuple[str, int]:
    found = read_members(value, ("layer", "unit"), "a unit that is off")
    layer = read_choice(found["layer"], tuple(easel.shapes), "a unit that is off: layer")
    return layer, read_whole(found["unit"], easel.shapes[layer][0] - 1, "a unit that is off")
