"""Pascal-Part: objects of VOC's 20 classes and their parts, as MATLAB files."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from unitscope.axes import Planes
from unitscope.concepts.formats.annotated import Labels
from unitscope.concepts.formats.text_lists import split_names
from unitscope.concepts.formats.voc.classes import VOC
from unitscope.concepts.formats.voc.mat_files import read_variable
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

FOLDER = "Annotations_Part"
OBJECTS = (*VOC[1:11], "table", *VOC[12:])
"""The classes as these files spell them."""

_PARTS = split_names(
    """
    body body, stern stern, lwing left wing, rwing right wing, tail tail, engine engine, wheel wheel, fwheel
    front wheel, bwheel back wheel, saddle saddle, handlebar handlebar, chainwheel chain wheel, headlight
    headlight, head head, leye left eye, reye right eye, beak beak, torso torso, neck neck, lleg left leg,
    rleg right leg, lfoot left foot, rfoot right foot, cap cap, frontside front side, leftside left side,
    rightside right side, backside back side, roofside roof side, leftmirror left mirror, rightmirror right
    mirror, fliplate front license plate, bliplate back license plate, door door, window window, lear left
    ear, rear right ear, nose nose, muzzle muzzle, lhorn left horn, rhorn right horn, lfleg left front leg,
    rfleg right front leg, lbleg left back leg, rbleg right back leg, lfpa left front paw, rfpa right front
    paw, lbpa left back paw, rbpa right back paw, lfuleg left front upper leg, lflleg left front lower leg,
    rfuleg right front upper leg, rflleg right front lower leg, lbuleg left back upper leg, lblleg left back
    lower leg, rbuleg right back upper leg, rblleg right back lower leg, lfho left front hoof, rfho right
    front hoof, lbho left back hoof, rbho right back hoof, lebrow left eyebrow, rebrow right eyebrow, mouth
    mouth, hair hair, llarm left lower arm, luarm left upper arm, rlarm right lower arm, ruarm right upper
    arm, lhand left hand, rhand right hand, llleg left lower leg, luleg left upper leg, rlleg right lower leg,
    ruleg right upper leg, pot pot, plant plant, hfrontside head front side, hleftside head left side,
    hrightside head right side, hbackside head back side, hroofside head roof side, coach coach, cfrontside
    coach front side, cleftside coach left side, crightside coach right side, cbackside coach back side,
    croofside coach roof side, screen screen
    """
)
PARTS = dict(part.split(" ", 1) for part in _PARTS)
"""What the codes of parts mean; several of a kind have numbers, as in `wheel_2`."""

_IDS = {name: number for number, name in enumerate((*OBJECTS, *dict.fromkeys(PARTS.values())), start=1)}
VOCABULARY = Vocabulary(
    tuple(
        Concept(number, name, "object" if number <= len(OBJECTS) else "part") for name, number in _IDS.items()
    )
)


@dataclass(frozen=True, eq=False)
class PartFiles:
    """Objects and parts in MATLAB files: `names` has, by key, the path below `root` of each."""

    root: Path
    names: Mapping[str, str]

    def read(self, key: str) -> Labels | None:
        """As many planes as parts and objects lie over each other. Raises `SourceError` naming the file."""
        name = self.names.get(key)
        return None if name is None else Labels(stack_masks(read_parts(self.root / name)))

    def list_files(self) -> Iterator[Path]:
        """One file a picture."""
        return (self.root / name for name in self.names.values())


def read_parts(path: Path) -> dict[int, Bool[np.ndarray, "y x"]]:
    """Where each concept lies, by its id in `VOCABULARY`.

    Raises `SourceError` naming the file where it is none of Pascal-Part, or names another class or part.
    """
    found: dict[int, np.ndarray] = {}
    try:
        [annotation] = _list(read_variable(path, "anno"))
        for one in _list(annotation["objects"]):
            _add(found, _find_id(one["class"], path), one["mask"])
            for part in _list(one["parts"]):
                _add(found, _find_id(part["part_name"], path), part["mask"])
    except (KeyError, ValueError) as error:
        reason = f"without {error}" if isinstance(error, KeyError) else str(error)
        raise SourceError(f"{path}: is no annotation of Pascal-Part ({reason}); replace the file") from None
    if not found:
        raise SourceError(f"{path}: names no object; take its picture out of the list")
    return found


def stack_masks(masks: Mapping[int, Bool[np.ndarray, "y x"]]) -> Planes:
    """The masks on as few planes as a simple rule finds: each on the first where it covers no other."""
    planes: list[np.ndarray] = []
    for number, mask in sorted(masks.items(), key=lambda pair: -int(pair[1].sum())):
        free = next((plane for plane in planes if not plane[mask].any()), None)
        if free is None:
            free = np.zeros(mask.shape, np.uint16)
            planes.append(free)
        free[mask] = number
    return np.stack(planes)


def _add(found: dict[int, np.ndarray], number: int, mask: Any) -> None:
    shape = mask.shape if isinstance(mask, np.ndarray) else ()
    if len(shape) != 2 or not mask.size or any(other.shape != shape for other in found.values()):
        raise ValueError(f"a mask of shape {shape}")
    covered = mask > 0
    found[number] = found.get(number, False) | covered


def _find_id(name: Any, path: Path) -> int:
    """The id of a class or of a part's code."""
    if not isinstance(name, str):
        raise ValueError("a name that is no text")
    spelled = PARTS.get(re.sub(r"_\d+$", "", name), name)
    number = _IDS.get(spelled)
    if number is None:
        raise SourceError(
            f"{path}: names {name[:60]!r}, which is no class or part of Pascal-Part; replace it"
        )
    return number


def _list(value: Any) -> list[dict[str, Any]]:
    """The structures of a value; none where it is an empty array."""
    if isinstance(value, np.ndarray) and not value.size:
        return []
    if not isinstance(value, list):
        raise ValueError("a structure is missing")
    return value
