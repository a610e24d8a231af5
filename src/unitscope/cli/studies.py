"""Commands that run experiments."""

from dataclasses import asdict
from pathlib import Path

from unitscope.cli.words import Flag, print_json
from unitscope.parsing import Command


def grade(
    out: Path = Path("runs/study/grade"),
    images: int = 300,
    seeds: int = 3,
    quick: Flag = False,
    json: Flag = False,
) -> None:
    """Grade dissection itself: plant units of known meaning, and see what every convention calls them.

    Writes planted.csv, nulls.csv and figure.svg.

    Args:
        out: folder of the results.
        images: how many drawn scenes.
        seeds: how often everything is repeated, with other noise.
        quick: a small version for a first look: 60 images, one seed.
        json: print JSON instead of tables.
    """
    from unitscope.studies.grade import average, grade_conventions, make_source, spell_grades, write_grades
    from unitscope.studies.planting import DEGRADATIONS
    from unitscope.views.figures import Panel, draw_panels

    images, seeds = (60, 1) if quick else (images, seeds)
    grades = grade_conventions(make_source(images), range(seeds), null_units=60 if quick else 200)
    write_grades(grades, out)
    means = average(grades.planted)
    panels = []
    for kind in DEGRADATIONS:
        lines: dict[str, list[tuple[float, float, float]]] = {}
        for mean, spread in means:
            if mean.kind == kind:
                lines.setdefault(mean.convention, []).append((mean.strength, mean.right, spread / 2))
        panels.append(Panel(kind, "strength", lines))
    figure = draw_panels(panels, out / "figure.svg", y="named right")
    if json:
        print_json(
            {"planted": [asdict(row) for row in grades.planted], "nulls": [asdict(n) for n in grades.nulls]}
        )
    else:
        print("A quick look, not a result.\n" if quick else "", end="")
        print(f"{spell_grades(grades)}\n\nfigure: {figure}")


STUDIES: dict[str, Command] = {"grade": grade}
