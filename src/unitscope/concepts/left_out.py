"""The files below a source's folder that it does not use, counted by reason, and those without labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unitscope.options import read_choice

EXAMPLES = 5
OTHER_SPLIT = "of another split"
_LONG = 100


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many files are left out for one reason, and the first few of them, relative to the folder."""

    reason: str
    files: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.files > len(self.examples) else ""
        noun = "file" if self.files == 1 else "files"
        return f"{self.files} {noun} left out, {self.reason}: {', '.join(map(cut_name, self.examples))}{more}"


def count_left_out(found: Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """What is left out of pairs of reason and file, in the order in which the reasons come.

    >>> [str(one) for one in count_left_out([("hidden", ".a"), ("not a picture", "b.txt"), ("hidden", ".c")])]
    ['2 files left out, hidden: .a, .c', '1 file left out, not a picture: b.txt']
    """
    counts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    for reason, name in found:
        counts[reason] = counts.get(reason, 0) + 1
        shown = examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(name)
    return tuple(LeftOut(reason, files, tuple(examples[reason])) for reason, files in counts.items())


def takes_bare(options: Mapping[str, str], default: str = "out") -> bool:
    """Whether pictures without any label are taken in, as the option `bare` says.

    Raises `UsageError` where it is neither "out" nor "in".

    >>> takes_bare({"bare": "in"}), takes_bare({})
    (True, False)
    """
    return read_choice("bare", options.get("bare", default), ("out", "in")) == "in"


def note_bare(names: Sequence[str]) -> tuple[str, ...]:
    """A line about pictures that are taken in without any label; nothing where there are none.

    >>> note_bare(["b.jpg"])
    ('1 picture without a label taken in: b.jpg',)
    """
    noun = "picture" if len(names) == 1 else "pictures"
    return (f"{len(names):,} {noun} without a label taken in: {name_some(names)}",) if names else ()


def name_some(names: Sequence[str]) -> str:
    """The first few of some names, for a line.

    >>> name_some([f"{number}.jpg" for number in range(9)])
    '0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...'
    """
    return ", ".join([*map(cut_name, names[:EXAMPLES]), *(["..."] if len(names) > EXAMPLES else [])])


def cut_name(name: str) -> str:
    """A name for people; of one that is longer than any that they read, the end.

    >>> cut_name("a" * 300)[:8]
    '...aaaaa'
    """
    return name if len(name) <= _LONG else f"...{name[-_LONG:]}"
