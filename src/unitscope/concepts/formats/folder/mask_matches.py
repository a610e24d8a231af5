"""Which mask belongs to which picture: the one of its name; and all files that fit nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unitscope.concepts.formats.file_names import cut_suffix, find_suffix, is_picture
from unitscope.concepts.formats.listings import Listing
from unitscope.concepts.formats.stored.bands import ARRAY_SUFFIX
from unitscope.concepts.formats.stored.masks import MASK_SUFFIXES
from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES
from unitscope.errors import SourceError

NO_PICTURE = "neither a picture nor a mask"
UNLABELLED = "without a label"
OUTSIDE = "a picture outside of the folders that are read"
UNMATCHED = "a mask without a picture of its name"
DOUBLED = "pictures that share a mask's name"
SHARED = "a mask of several pictures"
SECOND = "several masks for one picture"
LOSSY = "a mask in a format that keeps no exact numbers"
WRONG = (UNMATCHED, DOUBLED, SHARED, SECOND, LOSSY)
"""Reasons that are problems of a data set."""

_PICTURES, _MASKS = 8, 200
"""So many names are compared."""


@dataclass(frozen=True)
class Matches:
    """Pictures with their masks, one map a folder of masks, and pairs of reason and file of all others.

    Names of pictures and masks begin below their folders, those that are left out below the root. Every file
    of the listing is a picture, a mask, left out, or among those that were set aside.
    """

    images: list[str]
    masks: list[dict[str, str]]
    left_out: list[tuple[str, str]]


def match_masks(listing: Listing, images: str, folders: Sequence[str], aside: Iterable[str]) -> Matches:
    """The pictures below the folder `images`, with the masks of the same stems below each of the `folders`.

    A picture is left out where another one has its stem, since a mask belongs to one; so are all masks of a
    stem of which there are several. Files `aside` are none of it.

    Raises `SourceError` where there is no picture.
    """
    below = {folder: choose_below(listing, folder) for folder in folders}
    within = {f"{folder}/{name}" for folder, names in below.items() for name in names}
    stem_of = {name: cut_suffix(name) for name in choose_images(listing, images, within)}
    stems = Counter(stem_of.values())
    single = {stem: name for name, stem in stem_of.items() if not folders or stems[stem] == 1}
    kept = [name for name in stem_of if not folders or stems[stem_of[name]] == 1]
    used = {f"{images}/{name}" for name in kept} | {*aside}
    reasons = {f"{images}/{name}": DOUBLED for name, stem in stem_of.items() if folders and stems[stem] > 1}
    masks: dict[str, dict[str, str]] = {}
    for folder, names in below.items():
        own = masks[folder] = {}
        found = {name: cut_suffix(name) for name in names if find_suffix(name) in MASK_SUFFIXES}
        counts = Counter(found.values())
        for name, stem in found.items():
            if counts[stem] == 1 and stem in single:
                own[single[stem]] = name
                used.add(f"{folder}/{name}")
            else:
                several = SECOND if counts[stem] > 1 else SHARED
                reasons[f"{folder}/{name}"] = several if stems[stem] else UNMATCHED
        lossy = (name for name in names if name not in found and is_picture(name))
        reasons |= {f"{folder}/{name}": LOSSY for name in lossy}
    rest = (name for name in listing.names if name not in used)
    left_out = [(reasons.get(name) or (OUTSIDE if is_picture(name) else NO_PICTURE), name) for name in rest]
    return Matches(kept, [masks[folder] for folder in folders], left_out)


def explain_lack(root: Path, images: str, folders: Sequence[str], listing: Listing) -> SourceError:
    """Why no picture has a mask, with names that should have been alike."""
    pictures = choose_images(listing, images, set())
    stems = Counter(map(cut_suffix, pictures))
    twins = [name for name in pictures if stems[cut_suffix(name)] > 1][:2]
    place = root / folders[0]
    names = choose_below(listing, folders[0])
    if twins:
        return SourceError(
            f"{root / images}: {' and '.join(twins)} share one mask; keep one picture of each name"
        )
    if not names:
        return SourceError(f"{place} holds no masks; put one there for each picture, or open {images}/ alone")
    exact = [name for name in names if find_suffix(name) in MASK_SUFFIXES]
    if not exact:
        return SourceError(
            f"{place}: {names[0]} is no mask: its format keeps no exact numbers; store masks as PNG"
        )
    counts = Counter(map(cut_suffix, exact))
    second = [name for name in exact if counts[cut_suffix(name)] > 1][:2]
    if second and all(stems[cut_suffix(name)] for name in second):
        return SourceError(f"{place}: {' and '.join(second)} are masks of one picture; keep one of each name")
    if found := _find_difference(pictures, exact):
        mask, picture, spelled = found
        new = f"{cut_suffix(picture)}.{mask.rpartition('.')[2]}"
        return SourceError(
            f"{place}: the names of masks {spelled}, those of the pictures in {images}/ do not; "
            f"rename {mask} to {new}, the mask of {picture}, and so on"
        )
    pair = f"{pictures[0]} and {exact[0]}, for example"
    return SourceError(
        f"{root}: no mask in {folders[0]}/ has the name of a picture in {images}/ ({pair}); rename them"
    )


def _find_difference(pictures: Sequence[str], masks: Sequence[str]) -> tuple[str, str, str] | None:
    """A mask, its picture, and how the names of all masks begin or end otherwise; None where it is not so."""
    stems, tried = {cut_suffix(name): name for name in pictures}, set[tuple[str, str, bool]]()
    for picture in map(cut_suffix, pictures[:_PICTURES]):
        for mask in map(cut_suffix, masks[:_MASKS]):
            for back in (False, True):
                one, other = (picture[::-1], mask[::-1]) if back else (picture, mask)
                same = _count_same(one, other)
                wanted, found = one[same:], other[same:]
                if not same or not found or (wanted, found, back) in tried:
                    continue
                tried.add((wanted, found, back))
                twin = _exchange(masks, stems, wanted, found, back)
                if twin is not None:
                    said = f"begin with {found[::-1]}" if back else f"end in {found}"
                    return masks[0], twin, said
    return None


def _count_same(one: str, other: str) -> int:
    """How many letters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((number for number, (a, b) in pairs if a != b), min(len(one), len(other)))


def _exchange(
    masks: Sequence[str], stems: Mapping[str, str], wanted: str, found: str, back: bool
) -> str | None:
    """The picture of the first mask, where `wanted` for `found` makes every mask's name that of a picture."""
    pictures = []
    for stem in map(cut_suffix, masks):
        turned = stem[::-1] if back else stem
        if not turned.endswith(found):
            return None
        new = turned.removesuffix(found) + wanted
        picture = stems.get(new[::-1] if back else new)
        if picture is None:
            return None
        pictures.append(picture)
    return pictures[0]


def choose_images(listing: Listing, folder: str, masks: set[str]) -> list[str]:
    """The pictures below a folder that lie in no folder of `masks`; where there are none, the arrays.

    Raises `SourceError` where there are none of either.
    """
    start = f"{folder}/" if folder else ""
    names = [name for name in choose_below(listing, folder) if f"{start}{name}" not in masks]
    found = [name for name in names if find_suffix(name) in IMAGE_SUFFIXES]
    found = found or [name for name in names if find_suffix(name) == ARRAY_SUFFIX]
    if not found:
        kinds = ".jpg, .png, .webp, .gif, .bmp, .tif, .ppm, .npy"
        raise SourceError(f"{listing.root / folder}: no images ({kinds}) were found in it")
    return found


def choose_below(listing: Listing, folder: str) -> list[str]:
    """The names below a folder of a listing, without it."""
    start = len(folder) + 1 if folder else 0
    return [name[start:] for name in listing.choose(folder)]
