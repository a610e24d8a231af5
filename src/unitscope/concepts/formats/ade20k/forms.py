"""ADE20K (Zhou et al., IJCV 2019) in each of the three forms that are published.

- SceneParse150, `ADEChallengeData2016`, told by `objectInfo150.txt` (`scene_parsing`);
- the full set of 2021, told by a `.json` beside each picture (`ade20k_json`);
- the full set of 2016, told by an `_atr.txt` beside each (`ade20k_lines`).

Concepts are objects, parts of objects (not in SceneParse150) and scenes, of the whole picture. Pixels that
the masks leave at 0 are unlabelled: another thing than the classes of the set, or nothing; `unlabelled=void`
takes them for unknown, as the benchmark does.
"""

from collections.abc import Mapping
from pathlib import Path

from unitscope.concepts.formats.ade20k.attribute_lines import open_lines
from unitscope.concepts.formats.ade20k.files import SPLITS, list_full
from unitscope.concepts.formats.ade20k.json_objects import open_json
from unitscope.concepts.formats.ade20k.scene_parsing import OBJECTS, open_scene_parsing
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.roots import find_root
from unitscope.concepts.left_out import takes_bare
from unitscope.errors import SourceError, UsageError

IMAGES = "images"
_ABOVE = 6
"""As deep as the masks of instances lie: images/ADE/training/urban/street/ADE_train_00016869."""
_CHOICES = {"unlabelled": ("void",), "parts": ("yes", "no")}


def open_ade20k(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """ADE20K; options `split` (`training`, `validation`), `unlabelled=void`, `parts=no`, and `bare=in`.

    The last takes pictures without a mask in; in a full set those that have no text either, which would say
    what they show.

    A folder below the root opens the whole set; one of pictures with their masks, without images/ above,
    is a set of its own.

    Raises `UsageError` for an unknown split or value, or where several sets lie in the folder, `SourceError`
    naming the file where one is missing or wrong.
    """
    for option, known in _CHOICES.items():
        if options.get(option, known[0]) not in known:
            raise UsageError(f"{option}={options[option]!r}: wanted {' or '.join(known)}")
    bare = takes_bare(options)
    top = Path(place)
    wanted = f"{OBJECTS}, {IMAGES}/ or pictures with their *_seg.png"
    has_images = (top / IMAGES).is_dir()
    root = find_root(place, lambda path: _holds(path) or (has_images and path == top), wanted, _ABOVE)
    if (root / OBJECTS).is_file():
        return open_scene_parsing(root, place, options)
    if (root / "annotations").is_dir():
        raise SourceError(f"{root / OBJECTS}: the file is missing, which names the 150 objects; restore it")
    files = list_full(root, bare)
    if any(one.text.endswith(".json") for one in files.pictures.values()):
        return open_json(files, place, options)
    if any(one.text for one in files.pictures.values()):
        return open_lines(files, place, options)
    lack = "no picture has a .json or an _atr.txt beside it, which names its objects"
    raise SourceError(f"{root}: {lack}; restore them")


def _holds(path: Path) -> bool:
    """Whether a folder is a set: its root, or one of pictures with their masks that lie in no such root."""
    if _is_root(path):
        return True
    if next(path.glob("ADE_*_seg.png"), None) is None:
        return False
    whole = path.resolve()
    return not any(
        _is_root(above) and whole.relative_to(above).parts[0] == IMAGES for above in whole.parents[:_ABOVE]
    )


def _is_root(path: Path) -> bool:
    return (path / OBJECTS).is_file() or any((path / IMAGES / name).is_dir() for name in ("ADE", *SPLITS))
