"""What visitors ask for, read strictly: exactly these keys, known layers, whole numbers within range."""

import json
from dataclasses import dataclass
from typing import Any

from unitscope.errors import UsageError
from unitscope.interventions.looking.lens import Lens
from unitscope.interventions.looking.switches import MOST_LEVEL, Switch, switch_concept
from unitscope.interventions.painting.edit_lists import MOST_SIDE, read_mask
from unitscope.interventions.strict_json import (
    parse_json,
    read_choice,
    read_items,
    read_members,
    read_share,
    read_whole,
)
from unitscope.tables import plain
from unitscope.views.look.kept import MOST_PICTURES

MOST_TEXT = 1_000_000
"""Bytes of a request, but for a picture's file."""
MOST_EDITS, MOST_DRAWS, MOST_CARDS = 64, 16, 24
MOST_STATE = 65_536
MOST_NAME = 200
_CONCEPTS = 65_535
_EDIT = ("level", "strength", "place")

LIMITS = {"edits": MOST_EDITS, "draws": MOST_DRAWS, "cards": MOST_CARDS, "side": MOST_SIDE}


def read_request(text: bytes, *keys: str) -> dict[str, Any]:
    """The members of a request. Raises `UsageError` for other keys than these."""
    return read_members(parse_json(text, "the body"), keys, "the body")


def read_layer(lens: Lens, value: object) -> str:
    """A layer that is looked at."""
    return read_choice(value, lens.layers, "layer")


def read_class(lens: Lens, value: object) -> int:
    """A class of the network."""
    return read_whole(value, lens.classes - 1, "class")


def read_target(lens: Lens, value: object) -> int | None:
    """A class of the network, or None."""
    return None if value is None else read_class(lens, value)


def read_unit(lens: Lens, layer: str, value: object) -> int:
    """A unit of a layer."""
    return read_whole(value, len(lens.run[layer]) - 1, f"a unit of {layer}")


def read_switches(lens: Lens, value: object) -> list[Switch]:
    """The switches of a list of edits, in their order."""
    found: list[Switch] = []
    for place, edit in enumerate(read_items(value, MOST_EDITS, "edits"), 1):
        found += _read_edit(lens, edit, f"edit {place}")
    return found


def _read_edit(lens: Lens, value: object, at: str) -> list[Switch]:
    of_concept = isinstance(value, dict) and "concept" in value
    edit = read_members(value, ("concept" if of_concept else "units", "layer", *_EDIT), at)
    level = read_share(edit["level"], f"{at}: level", MOST_LEVEL)
    strength = read_share(edit["strength"], f"{at}: strength")
    brush = None if edit["place"] is None else read_mask(edit["place"], at)
    if of_concept:
        number = read_whole(edit["concept"], _CONCEPTS, f"{at}: concept")
        layer = None if edit["layer"] is None else read_layer(lens, edit["layer"])
        return switch_concept(lens, number, layer, level=level, strength=strength, place=brush)
    layer = read_layer(lens, edit["layer"])
    sent = read_items(edit["units"], len(lens.run[layer]), f"{at}: units")
    units = tuple(read_unit(lens, layer, unit) for unit in sent)
    if len(set(units)) != len(units):
        raise UsageError(f"{at}: a unit stands there twice")
    return [Switch(layer, units, level, strength, brush)]


@dataclass(frozen=True, eq=False)
class SessionRequest:
    """What goes into a saved session; `edits` and `state` are kept as they were sent."""

    pictures: list[str]
    layers: list[str]
    target: int | None
    edits: list[Any]
    switches: list[Switch]
    cards: list[tuple[str, int]]
    compared: tuple[int, int] | None
    state: Any


def read_session(lens: Lens, text: bytes) -> SessionRequest:
    """The request for a session. Raises `UsageError` for anything else, or too much state."""
    keys = ("pictures", "layers", "class", "edits", "cards", "compare", "state")
    sent = read_request(text, *keys)
    pictures = read_items(sent["pictures"], MOST_PICTURES, "pictures")
    if not pictures or not all(isinstance(name, str) for name in pictures):
        raise UsageError("pictures must be a list of the ids of one or more")
    layers = [read_layer(lens, layer) for layer in read_items(sent["layers"], len(lens.layers), "layers")]
    cards = []
    for card in read_items(sent["cards"], MOST_CARDS, "cards"):
        about = read_members(card, ("layer", "unit"), "a card")
        layer = read_layer(lens, about["layer"])
        cards.append((layer, read_unit(lens, layer, about["unit"])))
    compared = None
    if sent["compare"] is not None:
        ends = read_items(sent["compare"], 2, "compare")
        if len(ends) != 2:
            raise UsageError("compare must be null, or the places of two pictures")
        first, second = (read_whole(end, len(pictures) - 1, "a place of compare") for end in ends)
        compared = first, second
    try:
        state = plain(sent["state"])
        size = len(json.dumps(state))
    except RecursionError:
        raise UsageError("state is nested too deep") from None
    if size > MOST_STATE:
        raise UsageError(f"state has {size} bytes; wanted {MOST_STATE} at most")
    target, switches = read_target(lens, sent["class"]), read_switches(lens, sent["edits"])
    return SessionRequest(
        pictures, list(dict.fromkeys(layers)), target, sent["edits"], switches, cards, compared, state
    )
