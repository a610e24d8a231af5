"""The files of the full ADE20K: which picture has which masks, and what is coded in them.

::

    street/ADE_train_00016869.jpg
    street/ADE_train_00016869_seg.png        red // 10 * 256 + green: the class; blue: the instance
    street/ADE_train_00016869_parts_1.png    the same for parts, and _parts_2.png for parts of these
    street/ADE_train_00016869.json           or _atr.txt: what is in it
    street/ADE_train_00016869/               the masks of single instances, which are not read
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unitscope.concepts.formats.ade20k.scene_parsing import INSTANCE, INSTANCES, UNMATCHED
from unitscope.concepts.formats.annotated import AnnotatedSource, Layer, PictureFiles
from unitscope.concepts.formats.listings import list_folder
from unitscope.concepts.formats.roots import note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.whole.images import NO_PICTURE, UNLABELLED
from unitscope.concepts.left_out import OTHER_SPLIT, LeftOut, count_left_out, name_some, note_bare
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

SPLITS = ("training", "validation")
MAX_CODE = 255 // 10 * 256 + 255
NO_SCENE = frozenset({"misc", "outliers", "unclassified"})
"""What stands in a scene's place where a picture has none."""

_FILE = re.compile(
    r"(?P<stem>.+?)(_seg\.png|_parts_(?P<level>[0-9]{1,2})\.png|\.json|_atr\.txt|\.jpe?g)", re.IGNORECASE
)
_FOLDER = r"ADE_[a-z]+_\d+"


@dataclass(frozen=True)
class Masks:
    """Of one picture: its objects, its parts by level, and the text about it; "" where there is none."""

    objects: str
    parts: Mapping[int, str]
    text: str

    def find(self, level: int) -> str:
        """The mask of a level, 0 for objects; "" where there is none."""
        return self.parts.get(level, "") if level else self.objects


@dataclass(frozen=True)
class FullFiles:
    """The pictures with their masks, by name below `root`, and what is left out."""

    root: Path
    pictures: Mapping[str, Masks]
    left_out: tuple[LeftOut, ...]
    wrong: tuple[tuple[str, str], ...]

    def choose(self, split: str | None) -> list[str]:
        """The pictures of a split, all for None. Raises `UsageError` for one that there is not, and
        `SourceError` for one without masks."""
        found: dict[str, list[str]] = {}
        for name in self.pictures:
            part = next((part for part in name.split("/")[:3] if part in SPLITS), "")
            found.setdefault(part, []).append(name)
        check_split(self.root, split, sorted(filter(None, found)))
        if split is None:
            return list(self.pictures)
        if not any(self.pictures[name].objects for name in found[split]):
            raise SourceError(f"{self.root}: no picture of {split} has a mask; take another split")
        return found[split]

    @property
    def levels(self) -> range:
        """The levels of parts, 1 and more."""
        return range(1, max((max(one.parts, default=0) for one in self.pictures.values()), default=0) + 1)


def list_full(root: Path, bare: bool = False) -> FullFiles:
    """The files of a full set; with `bare` also pictures that nothing is said of.

    Raises `SourceError` where no picture has a mask.
    """
    listing = list_folder(root, _FOLDER, INSTANCES)
    files: dict[str, dict[str, str]] = {}
    for name in listing.names:
        if found := _FILE.fullmatch(name):
            files.setdefault(found["stem"], {})[name[len(found["stem"]) :].lower()] = name
    pictures, used = {}, set[str]()
    for suffixes in files.values():
        picture = suffixes.get(".jpg") or suffixes.get(".jpeg")
        if picture is not None and ("_seg.png" in suffixes or (bare and len(suffixes) == 1)):
            parts = {
                level: suffixes[key] for level in range(1, 100) if (key := f"_parts_{level}.png") in suffixes
            }
            text = suffixes.get(".json") or suffixes.get("_atr.txt") or ""
            pictures[picture] = Masks(suffixes.get("_seg.png", ""), parts, text)
            used |= {picture, pictures[picture].objects, *parts.values(), text}
    left_out = [
        *listing.left_out,
        *((_find_reason(name), name) for name in listing.names if name not in used),
    ]
    if not any(one.objects for one in pictures.values()):
        told = "; ".join(map(str, count_left_out(left_out)))
        raise SourceError(
            f"{root}: no picture (.jpg) with a mask (_seg.png) was found{told and f' ({told})'}"
        )
    wrong = [(name, why) for why, name in left_out if why == UNMATCHED]
    wrong += [
        (name, "no .json or _atr.txt beside it")
        for name, one in pictures.items()
        if one.objects and not one.text
    ]
    return FullFiles(root, pictures, count_left_out(left_out), tuple(wrong))


def _find_reason(name: str) -> str:
    base = name.rpartition("/")[2].lower()
    if base.startswith("instance_"):
        return INSTANCE
    if base.endswith((".jpg", ".jpeg")):
        return UNLABELLED
    return UNMATCHED if re.search(r"_(seg|parts_\d+)\.png$", base) else NO_PICTURE


@dataclass(frozen=True)
class Named:
    """What the texts of a full set say: the names of objects and parts, the scene of every picture, or "".

    `levels` has those of which every text names something; `notes` are lines for people.
    """

    objects: Vocabulary
    parts: Vocabulary
    scenes: Mapping[str, str]
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    levels: Mapping[str, Sequence[int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def make_source(
    files: FullFiles, place: str, options: Mapping[str, str], named: Named, layers: tuple[Layer, ...]
) -> AnnotatedSource:
    """The source of a full set."""
    keys = files.choose(options.get("split"))
    words = [*named.objects, *(named.parts if options.get("parts") != "no" else ())]
    start = max((one.id for one in words), default=0) + 1
    scenes = {
        name: number for number, name in enumerate(sorted({*named.scenes.values()} - {""}), start=start)
    }
    void = options.get("unlabelled") == "void"
    lost = _list_lost(files, keys, named.levels) if options.get("parts") != "no" else {}
    return AnnotatedSource(
        "ade20k",
        place,
        files.root,
        PictureFiles(files.root, tuple(keys)),
        Vocabulary((*words, *(Concept(number, name, "scene") for name, number in scenes.items()))),
        labels=tuple((scenes[name],) if (name := named.scenes.get(key)) else () for key in keys),
        layers=layers,
        options=tuple(options.items()),
        left_out=(*files.left_out, *count_left_out(_list_others(files, keys))),
        wrong=(*files.wrong, *lost.items()),
        notes=(
            *note_root(place, files.root),
            *note_bare([key for key in keys if not files.pictures[key].objects]),
            f"{'void' if void else 'unlabelled, not void'}: the code 0, which no object has",
            *named.notes,
            *_note_lost([*lost]),
        ),
        families=named.families,
    )


def _list_others(files: FullFiles, keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The files of pictures that are of another split."""
    taken = {*keys}
    for key, one in files.pictures.items():
        held = (key, one.objects, *one.parts.values(), one.text) if key not in taken else ()
        yield from ((OTHER_SPLIT, name) for name in held if name)


def list_texts(files: FullFiles) -> Iterable[str]:
    """The names of all texts about pictures."""
    return (one.text for one in files.pictures.values() if one.text)


def _list_lost(files: FullFiles, keys: Iterable[str], levels: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The masks of parts that are not there though a text names such parts, and what is the matter."""
    lost = {}
    for one in (files.pictures[key] for key in keys):
        for level in sorted(levels.get(one.text, ())):
            if level and level not in one.parts:
                name = f"{one.objects[: -len('_seg.png')]}_parts_{level}.png"
                lost[name] = f"missing, and {one.text.rpartition('/')[2]} names parts of level {level}"
    return lost


def _note_lost(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    told = f"{len(names)} {'mask' if len(names) == 1 else 'masks'} of parts missing, which texts name"
    return (f"{told}: {name_some(names)}",)
