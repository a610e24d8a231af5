"""Commands for sources of concepts."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import unitscope as us
from unitscope.cli.interruption import offer
from unitscope.cli.words import Flag, Json, print_json


def check(source: Annotated[Positional[str], arg(metavar="SOURCE")], json: Json = False) -> int:
    """Look through all images and labels of a source for anything wrong, and count its concepts.

    Args:
        source: the source to check.
    """
    from unitscope.concepts.inspection import check_source

    found = check_source(us.open_source(source))
    if json:
        print_json(found.json())
    else:
        print(found)
    return 1 if found.problems else 0


def preview(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    out: Path = Path("preview.png"),
    count: int = 24,
    seed: int = 0,
) -> None:
    """Draw a contact sheet of a source: images beside their labels.

    Args:
        source: the source to look at.
        out: the PNG to write.
        count: how many images.
        seed: which ones.
    """
    from unitscope.views.contact_sheet import preview_source

    preview_source(us.open_source(source), out, count=count, seed=seed)
    print(out)


def unite(
    sources: Annotated[Positional[list[str]], arg(metavar="SOURCE [SOURCE ...]")],
    out: Path,
    size: int = 224,
    keep_size: Flag = False,
    min_images: int = 10,
    min_coverage: float = 0.5,
    synonyms: Path | None = None,
) -> None:
    """Unite sources into one densely labelled set in Broden's format.

    Args:
        sources: what is united; the order decides between equal names.
        out: folder to write; it must be empty or new.
        size: side of the images in pixels; masks have half of it.
        keep_size: copy the images as they are stored instead.
        min_images: labels on fewer images are left out.
        min_coverage: and labels that cover less than this many whole images.
        synonyms: a JSON object, {name: [other names]}, on top of the usual ones.
    """
    from unitscope.concepts.derived import find_left_out

    opened = [us.open_source(spec) for spec in sources]
    for spec, source in zip(sources, opened, strict=True):
        for line in map(str, find_left_out(source)):
            print(f"{spec}: {line}", file=sys.stderr)
    summary = us.unite_sources(
        opened,
        out,
        size=None if keep_size else size,
        min_images=min_images,
        min_coverage=min_coverage,
        synonyms=synonyms,
    )
    print(summary)


def fetch(
    name: Annotated[Positional[str], arg(metavar="NAME", help="broden, or broden1_227, broden1_384")],
    out: Path = Path("."),
    url: str | None = None,
    sha256: str | None = None,
) -> None:
    """Download a published data set, verify it and unpack it safely; goes on where it stopped.

    Args:
        name: the data set.
        out: folder to unpack into.
        url: where to take it from instead.
        sha256: the digest that it must have.
    """
    from unitscope.concepts.formats.broden.fetching import fetch_dataset

    offer(lambda words: words)
    print(fetch_dataset(name, out, url=url, sha256=sha256))
