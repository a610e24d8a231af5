"""Sets of pictures with one mask each: which mask belongs to which picture, and what is left over."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from unitscope.concepts.formats.folder.mask_matches import DOUBLED, NO_PICTURE, SECOND, UNLABELLED, UNMATCHED
from unitscope.concepts.formats.listings import Listing
from unitscope.concepts.left_out import LeftOut, count_left_out, note_bare

OTHER_FORM = "labels in a form that is not read"
MISSING = "named by a list, but missing"


@dataclass(frozen=True)
class Pairs:
    """The mask of every picture, by the picture's name, in order; names are paths below the set's folder.

    `left_out` are pairs of reason and name of all that have no partner, `wrong` pairs of name and remark.
    `pictures` are those with a mask, and those that are taken in without one.
    """

    masks: dict[str, str]
    left_out: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    pictures: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """A line about the pictures without a mask, where there are any."""
        return note_bare([name for name in self.pictures if name not in self.masks])


def pair_masks(
    pictures: Iterable[tuple[str, str]], masks: Iterable[tuple[str, str]], bare: bool = False
) -> Pairs:
    """Pictures and masks joined by key; both are pairs of key and name.

    A key that several pictures or several masks have joins none of them. A mask whose picture is missing is
    wrong, unless no picture at all lies in the part of the set that the key begins with (`train/...`): then
    that part was not unpacked. With `bare` pictures without a mask are taken in, but not those of a part of
    which no picture has one: its labels are not there.

    >>> pairs = pair_masks([("1", "a/1.jpg"), ("2", "a/2.jpg")], [("1", "b/1.png"), ("3", "b/3.png")])
    >>> pairs.masks, pairs.left_out[0]
    ({'a/1.jpg': 'b/1.png'}, ('without a label', 'a/2.jpg'))
    >>> pairs.wrong
    [('b/3.png', 'a mask without a picture of its name')]
    """
    by_key, doubled = _index(pictures)
    mask_by_key, second = _index(masks)
    joined = {name: mask_by_key[key] for key, name in by_key.items() if key in mask_by_key}
    again = {key for key, _ in doubled}
    left_out = [(DOUBLED, name) for _, name in doubled]
    left_out += [(SECOND, name) for _, name in second]
    wrong = [(name, why) for why, name in left_out]
    several = {key for key, _ in second}
    lone = {key: name for key, name in by_key.items() if key not in mask_by_key and key not in several}
    labelled = {_find_part(key) for key, name in by_key.items() if bare and name in joined}
    alone = {key: name for key, name in lone.items() if _find_part(key) in labelled}
    left_out += [(UNLABELLED, name) for key, name in lone.items() if key not in alone]
    left_out += [(SECOND, name) for key, name in by_key.items() if key in several]
    parts = {_find_part(key) for key in (*by_key, *again)}
    for key, name in mask_by_key.items():
        if key in again:
            left_out.append((DOUBLED, name))
        elif key not in by_key:
            left_out.append((UNMATCHED, name))
            if _find_part(key) in parts:
                wrong.append((name, UNMATCHED))
    taken = (name for key, name in by_key.items() if name in joined or key in alone)
    return Pairs(joined, left_out, wrong, tuple(taken))


def _find_part(key: str) -> str:
    """The part of the set that a key begins with, "" where it begins with none."""
    return key.partition("/")[0] if "/" in key else ""


def _index(found: Iterable[tuple[str, str]]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Names by key, and the pairs whose key is not the only one of its kind."""
    names: dict[str, str] = {}
    doubled: list[tuple[str, str]] = []
    for key, name in found:
        if names.setdefault(key, name) != name:
            doubled.append((key, name))
    first = [(key, names.pop(key)) for key in dict.fromkeys(key for key, _ in doubled)]
    return names, first + doubled


def count_rest(
    listing: Listing,
    pairs: Pairs,
    texts: Iterable[Path] = (),
    say: Callable[[str], str] = lambda name: NO_PICTURE,
) -> tuple[LeftOut, ...]:
    """All files below a folder that are neither in `pairs` nor one of `texts`, by reason; `say` has it."""
    taken = {*pairs.pictures, *pairs.masks.values(), *(name for _, name in pairs.left_out)}
    taken |= {
        path.relative_to(listing.root).as_posix() for path in texts if path.is_relative_to(listing.root)
    }
    rest = [(say(name), name) for name in listing.names if name not in taken]
    return count_left_out([*listing.left_out, *pairs.left_out, *rest])
