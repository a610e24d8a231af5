"""The page of the architecture table, docs/architectures.md, from the rows of a run."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from families import EXCEPTIONS, list_names

PAGE = Path(__file__).parent.parent / "docs" / "architectures.md"
Row = dict[str, str]

HEAD = """\
# Where the layers of architectures look

Before a run, and in `unitscope layers`, every layer is probed: do its cells answer where they are drawn?
This table has the answers of one small member of each family of timm and of vision models of transformers,
with random weights. *In place*: cells answer to what lies under them. *Mixed*: everywhere alike; read with
a warning. *Whole*: one cell. *Silent*: no answer. *Refused*: cells answer elsewhere, since the array is no
picture (heads, windows, tokens in an order of their own); `--trust-layout` reads it all the same. *No
maps*: what gives no array with one entry an image, or never runs.

Probing is not believed either. Every layer in place is looked at again by brute force
(`benchmarks/brute_force.py`): eight small patches of a picture are changed one at a time, and the layer
must answer most at the patch, or the centers of its answers must follow the patches. What is wrong by less
than about an eighth of the side is not seen by that.
"""
REASONS = (
    (r"attn|attention|@heads|q_norm|k_norm", "inside attention: heads or windows"),
    (r"\[\d+ x \d+ x \d+\]", "sequences that are no rows of patches"),
    (r"", "arrays whose axes are no rows and columns"),
)
UNREAD = (
    ("never runs", "never run"),
    ("first axis", "another first axis than the images"),
    ("not real numbers", "no real numbers"),
    ("not a tensor", "no tensor"),
    ("tokens", "no grid of tokens"),
    ("array of shape", "arrays of other shapes"),
    ("", "other reasons"),
)


def write_page(rows: Sequence[Row]) -> None:
    """Writes the page."""
    judged = [row for row in rows if not row["note"]]
    totals = {
        name: sum(int(row[name]) for row in judged) for name in ("in_place", "mixed", "refused", "checked")
    }
    against = [f"`{row['family']}` {size(row)}: {row['against']}" for row in judged if row["against"]]
    count = sum(len(row["against"].split("; ")) for row in judged if row["against"])
    families = {
        library: {row["family"] for row in judged if row["library"] == library} for library in LIBRARIES
    }
    dates = sorted({row["date"] for row in rows})
    seen = " and ".join(f"{len(families[library])} families of {library}" for library in LIBRARIES)
    text = [
        HEAD,
        f"{seen} were judged: {totals['in_place']:,} layers in place, {totals['mixed']:,} mixed, "
        f"{totals['refused']:,} refused. Brute force told {totals['checked']:,} of those in place, and found "
        f"{count or 'none'} elsewhere{'.' if not against else ':'}\n",
        *[f"- {line}" for line in against],
        f"\nSeed 0; {'; '.join(sorted({row['versions'] for row in rows}))}; "
        f"{', '.join(dates[:1] + dates[1:][-1:])}. "
        "Made by `python benchmarks/architectures.py`, then `--page`; two halves may run at once "
        "(`--part 1/2`, `--part 2/2`).\n",
    ]
    for library in LIBRARIES:
        text += [f"## {library}\n", *table([row for row in judged if row["library"] == library]), ""]
    text += ["## Not judged\n", "| family | member | input | why |", "|---|---|---|---|"]
    text += [
        f"| {row['family']} | {row['member']} | {size(row)} | {clean(row['note'])} |"
        for row in rows
        if row["note"]
    ]
    there = {(row["library"], row["family"]) for row in rows}
    for library in LIBRARIES:
        missing = [name for name in list_names(library) if (library, name) not in there]
        text += [f"| {name} | | | not reached in this run ({library}) |" for name in missing]
    text += ["\n## How members are chosen\n", "Of every family the member with the fewest parameters.\n"]
    text += ["| | |", "|---|---|", *[f"| {what} | {why} |" for what, why in EXCEPTIONS.items()], ""]
    PAGE.write_text("\n".join(text), "utf-8")


LIBRARIES = ("timm", "transformers")


def table(rows: Sequence[Row]) -> list[str]:
    """A row a family and input."""
    lines = [
        "| family | member | input | in place | mixed | whole | silent | refused | no maps "
        "| why refused; why no maps |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in sorted(rows, key=lambda row: row["family"]):
        numbers = [row[name] for name in ("in_place", "mixed", "whole", "silent", "refused", "unread")]
        cells = [row["family"], row["member"], size(row), *numbers, explain(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def explain(row: Row) -> str:
    """Why layers are refused, and why others have no maps, in a few words."""
    refused: Counter[str] = Counter()
    for one in filter(None, row["refused_layers"].split("; ")):
        refused[next(why for pattern, why in REASONS if re.search(pattern, one))] += count_of(one)
    unread: Counter[str] = Counter()
    # Reasons may hold semicolons themselves: a kind ends with its number.
    for one in re.findall(r".+?\(\d+\)(?=; |$)", row["unread_layers"]):
        unread[next(why for pattern, why in UNREAD if pattern in one)] += count_of(one)
    parts = [
        ", ".join(f"{why} ({count})" for why, count in kinds.most_common(3)) for kinds in (refused, unread)
    ]
    return "; ".join(filter(None, parts))


def count_of(text: str) -> int:
    """The number at the end of a kind of layers, in parentheses."""
    return int(text.rpartition("(")[2].rstrip(")"))


def size(row: Row) -> str:
    """The input of a row."""
    return f"{row['height']}×{row['width']}"


def clean(note: str) -> str:
    """A reason without what ends a cell of a table."""
    return note.replace("|", "/").replace("<", "&lt;").replace("; try another size", "")
