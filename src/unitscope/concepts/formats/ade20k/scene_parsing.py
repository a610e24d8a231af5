"""SceneParse150: ADE20K's 150 commonest objects, as for the challenge of 2016.

::

    DIR/images/training/ADE_train_00000001.jpg       or validation/ADE_val_...
    DIR/annotations/training/ADE_train_00000001.png  1 to 150, 0 for all else
    DIR/objectInfo150.txt                            Idx, Ratio, Train, Val, perhaps Stuff, Name
    DIR/sceneCategories.txt                          "ADE_train_00000001 airport_terminal"

An object is called by its first name. Pictures whose scene is `misc` have none.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from unitscope.concepts.formats.ade20k.synonyms import name_apart
from unitscope.concepts.formats.annotated import AnnotatedSource, MaskFiles, PictureFiles
from unitscope.concepts.formats.file_names import is_picture
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.mask_values import name_values
from unitscope.concepts.formats.roots import note_root
from unitscope.concepts.formats.splits import check_split
from unitscope.concepts.formats.text_lists import read_lines
from unitscope.concepts.formats.whole.images import NO_PICTURE, UNLABELLED, split_stem
from unitscope.concepts.left_out import OTHER_SPLIT, count_left_out, name_some, note_bare, takes_bare
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError

OBJECTS, SCENES = "objectInfo150.txt", "sceneCategories.txt"
INSTANCE, INSTANCES = "the mask of an instance", "a folder of masks of instances"
UNMATCHED = "a mask without a picture of its name"

_TITLES = ("Idx", "Ratio", "Train", "Val", "Name")
_CELLS = {"idx": r"(?P<idx>[0-9]{1,5})", "name": r"(?P<name>\S[^\t]*)"}
_NUMBER = r"[\d.eE+-]+"


def open_scene_parsing(root: Path, place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The set in `root`, which has `objectInfo150.txt`; options `split`, `unlabelled=void`, `bare=in`.

    Raises `UsageError` for an unknown split, `SourceError` where there is no picture or a list is wrong.
    """
    listing = list_folder(root, "annotations_instance", INSTANCES)
    masks = _match(listing, takes_bare(options))
    check_split(root, options.get("split"), sorted({name.split("/")[1] for name in masks}))
    start = f"images/{options['split']}/" if "split" in options else ""
    keys = tuple(name for name in masks if name.startswith(start))
    if not any(masks[key] for key in keys):
        raise SourceError(
            f"{root}: no picture of images/ has a mask of its name in annotations/; restore them"
        )

    void = options.get("unlabelled") == "void"
    classes = {number: (name, "object") for number, name in _read_objects(root / OBJECTS).items()}
    values, objects = name_values(classes, [0] if void else [], [0], OBJECTS)
    shown = _read_scenes(root / SCENES)
    names = sorted({*shown.values()} - {""})
    scenes = {name: number for number, name in enumerate(names, start=objects.size)}
    whole = {stem: (scenes[name],) for stem, name in shown.items() if name}
    left_out = _find_left_out(listing, masks)
    others = [name for name in masks if not name.startswith(start)]
    left_out += [(OTHER_SPLIT, one) for name in others for one in (name, masks[name]) if one]
    return AnnotatedSource(
        "ade20k",
        place,
        root,
        PictureFiles(root, keys),
        Vocabulary((*objects, *(Concept(number, name, "scene") for name, number in scenes.items()))),
        labels=tuple(whole.get(split_stem(key), ()) for key in keys),
        layers=(MaskFiles(root, {key: masks[key] for key in keys if masks[key]}, values),),
        options=tuple(options.items()),
        texts=(root / OBJECTS, root / SCENES),
        left_out=count_left_out(left_out),
        wrong=tuple((name, why) for why, name in left_out if why == UNMATCHED),
        notes=(
            *note_root(place, root),
            *note_bare([key for key in keys if not masks[key]]),
            f"{'void' if void else 'unlabelled, not void'}: the value 0, what is none of the 150 objects",
            *_note_scenes(root / SCENES, [key for key in keys if split_stem(key) not in shown]),
        ),
    )


def _match(listing: Listing, bare: bool) -> dict[str, str]:
    """The mask of every picture in a split that has one; with `bare` also "" for the others of a split."""
    masks = {name[: name.rfind(".")] for name in listing.choose("annotations") if name.endswith(".png")}
    pictures = [name for name in listing.choose("images") if is_picture(name) and name.count("/") > 1]
    pairs = ((name, "annotations/" + name[len("images/") : name.rfind(".")]) for name in pictures)
    splits = {mask.split("/")[1] for mask in masks} if bare else ()
    return {
        name: f"{mask}.png" if mask in masks else ""
        for name, mask in pairs
        if mask in masks or mask.split("/")[1] in splits
    }


def _find_left_out(listing: Listing, masks: Mapping[str, str]) -> list[tuple[str, str]]:
    used = {OBJECTS, SCENES, *masks, *masks.values()}
    found = list(listing.left_out)
    for name in listing.names:
        if name in used:
            continue
        if name.startswith("annotations/") and name.endswith(".png"):
            found.append((UNMATCHED, name))
        else:
            found.append((UNLABELLED if is_picture(name) else NO_PICTURE, name))
    return found


def _read_objects(path: Path) -> dict[int, str]:
    """The names of the objects by number; the titles in the first line say which columns these are."""
    lines = read_lines(path)
    titles = lines[0].casefold().split() if lines else []
    titled = {"idx", "name"} <= {*titles}
    row = _compile_row(titles if titled else [title.casefold() for title in _TITLES])
    names = {}
    for number, line in enumerate(lines, start=1):
        found = None if titled and number == 1 else row.fullmatch(line)
        if found is not None and 0 < int(found["idx"]) < 256 and int(found["idx"]) not in names:
            names[int(found["idx"])] = found["name"]
        elif line and number > titled:
            wanted = f"Idx, from 1 to 255 and once each, {', '.join(_TITLES[1:-1])} and Name"
            raise SourceError(f"{path}, line {number}: {line[:60]!r}; wanted {wanted}")
    if not names:
        raise SourceError(f"{path}: names no object; restore it")
    return name_apart(names, lambda number, text: text.strip())


def _compile_row(titles: Sequence[str]) -> re.Pattern[str]:
    """What a line looks like; only names, which stand last or between tabs, hold spaces."""
    between = r"\s+" if titles[-1] == "name" else r"\s*\t\s*"
    return re.compile(between.join(_CELLS.get(title, _NUMBER) for title in titles))


def _read_scenes(path: Path) -> dict[str, str]:
    """The scene of every picture by its name without ending, "" for none; nothing where there is no list."""
    scenes = {}
    for number, line in enumerate(read_lines(path) if path.is_file() else (), start=1):
        stem, _, scene = line.partition(" ")
        if line and not scene.strip():
            raise SourceError(f"{path}, line {number}: {line[:60]!r}; wanted a picture and its scene")
        if line:
            scenes[stem] = "" if scene.strip() == "misc" else scene.strip()
    return scenes


def _note_scenes(path: Path, unlisted: Sequence[str]) -> tuple[str, ...]:
    """A line on pictures without a line in the list of scenes."""
    if not path.is_file():
        return (f"without a scene: all {len(unlisted)} pictures, since there is no {path.name}",)
    if not unlisted:
        return ()
    return (f"without a scene: {len(unlisted)} without a line in {path.name}, {name_some(unlisted)}",)
