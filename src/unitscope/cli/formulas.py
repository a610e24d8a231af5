"""The command that names the units of a finished run by formulas over concepts."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import UseAppendAction, arg

import unitscope as us
from unitscope.cli.words import Flag, Json, Run, check_out, print_json
from unitscope.errors import UsageError


def formulas(
    run: Run,
    layer: str | None = None,
    length: int = 3,
    search: Literal["exact", "beam"] = "exact",
    beam: int = 5,
    without: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="CATEGORY")] = (),
    units: Annotated[str | None, arg(metavar="UNITS")] = None,
    ranges: Flag = False,
    draws: int = 400,
    seed: int = 0,
    nodes: int = 10_000,
    threads: int | None = None,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Name the units of a run by formulas, such as (sky OR sea) AND NOT boat, where they earn their length.

    Neither network nor images are needed. Of every unit the formula with the largest IoU is found, tried on
    images that it was not made from, and held against the same search over labels of other images. The unit
    keeps its best single concept unless a formula fits other images better.

    Args:
        run: a run with the table of label sets, which `unitscope dissect` keeps.
        layer: only this layer.
        length: how many concepts a formula has at most, 1 to 10.
        search: try all formulas, of more than 3 concepts as far as --nodes lead, or those of a beam.
        beam: how many formulas a beam keeps of every length.
        without: a category whose concepts are left out, such as color; can be given again.
        units: only these units, such as 3,5-9.
        ranges: a name for every range of activation, of a run with --ranges.
        draws: null draws a unit at most; 0 leaves the p-values out.
        seed: seed of the null draws.
        nodes: so many formulas of a unit are gone on from at most, beyond 3 concepts.
        threads: threads to use, all cores by default.
        out: folder for formulas.csv, a row for every unit, and a page with maps.
    """
    from unitscope.views.formulas import color_formulas

    if out is not None:
        check_out(out)
    found = us.find_formulas(
        run,
        layer,
        length=length,
        search=search,
        beam=beam,
        without=without,
        units=None if units is None else read_units(units),
        ranges=ranges,
        draws=draws,
        seed=seed,
        threads=threads,
        nodes=nodes,
    )
    if json:
        print_json(found.describe())
    else:
        colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        print(color_formulas(found) if colored else found)
    if out is not None:
        found.save(out)
        lines = [*(str(out / name) for name in found.files), f"page: {found.page(out)}"]
        print("\n".join(lines), file=sys.stderr if json else sys.stdout)


def read_units(text: str) -> list[int]:
    """Numbers of units as an option has them: single ones and ranges with both ends.

    Raises `UsageError` for anything else.

    >>> read_units("3,5-9")
    [3, 5, 6, 7, 8, 9]
    """
    units: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip(), re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise UsageError(f"--units is {text!r}; give numbers and ranges, such as 3,5-9")
        if int(match[2] or match[1]) >= 1 << 24:
            raise UsageError(f"--units is {text!r}; there are not so many units")
        units += range(int(match[1]), int(match[2] or match[1]) + 1)
    return units
