"""The pages of units taken out of a generator, and put in (paper B, fig. 4): figures, pictures, tables."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from unitscope.errors import writing
from unitscope.experiments.erasure_result import WORDS, By, Erasure, Target
from unitscope.experiments.placement import Placement, name_context
from unitscope.interventions.edits import Edit, set_units
from unitscope.interventions.generator_run import Studio
from unitscope.interventions.insertion import Cell, choose_grid, draw_cells, find_context, find_pixels, set_at
from unitscope.interventions.repainting import repaint_pixels
from unitscope.views.figures import INKS, MUTED, TEXT, load_matplotlib, open_figure
from unitscope.views.pages import page_environment, write_page

SHOWN = 8
"""So many pictures of a concept are shown before and after."""
ENOUGH = 0.05
"""They are the first ones with so many of their pixels the concept."""
SEARCHED = 400
_QUALITY = 88
KIND_INKS: dict[By, str] = {"iou": INKS[0], "effect": INKS[1], "random": MUTED}
COLUMNS = 4
_WIDE, _HIGH = 190.0, 180.0
_NAME_LETTERS = 20

Pictures = list[UInt8[np.ndarray, "y x 3"]]


def find_pictures(studio: Studio, concept: int, numbers: range, count: int = SHOWN) -> list[int]:
    """The first images of these that show enough of a concept; where too few do, those with most of it."""
    shares: dict[int, float] = {}
    enough: list[int] = []
    for place in range(0, min(len(numbers), SEARCHED), 16):
        block = numbers[place : place + 16]
        planes = studio.segmenter(studio.generator.generate(block.start, len(block)))
        found = (planes == concept).any(1).mean((1, 2))
        shares |= dict(zip(block, found.tolist(), strict=True))
        enough = [number for number, share in shares.items() if share >= ENOUGH]
        if len(enough) >= count:
            return enough[:count]
    return sorted(sorted(shares, key=lambda number: -shares[number])[:count])


def paint_pairs(
    studio: Studio, layer: str, numbers: Sequence[int], plan: Callable[[int], Edit]
) -> tuple[Pictures, Pictures]:
    """Pictures of these numbers before and after an edit of a layer."""
    painted = repaint_pixels(
        studio.generator, layer, lambda number, _: plan(number), numbers, title="painting pictures"
    )
    pairs = [versions for _, versions in painted]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def paint_removal(study: Erasure, target: Target, by: By = "iou") -> tuple[Pictures, Pictures]:
    """Pictures that show the target, before and after the most units are removed."""
    units = study.rankings[by][target.concept.id][: study.many]
    edit = set_units(target.layer, units, study.layers[target.layer].units)
    numbers = find_pictures(study.studio, target.concept.id, study.numbers)
    return paint_pairs(study.studio, target.layer, numbers, lambda _: edit)


def write_erasure_page(study: Erasure, out: Path) -> Path:
    """Writes `index.html` with its figures and pictures into the folder `out`; the path of the page.

    Raises `UsageError` where matplotlib is missing, `RunError` where the folder cannot be written.
    """
    load_matplotlib()
    draw_erasure(study, out / "figures" / "erasure.svg")
    draw_others(study, out / "figures" / "others.svg")
    parts = []
    for place, target in enumerate(study.targets):
        file = f"pictures/{place}.jpg"
        save_sheet(draw_pairs(paint_removal(study, target)), out / file)
        parts.append(
            {
                "target": target,
                "picture": file,
                "cover": study.cover(target),
                "removed": {by: study.removed(target, by, study.many) for by in study.kinds},
                "aside": study.aside(target, "iou", study.many),
                "aside_random": study.aside(target, "random", study.many),
                "others": study.others(target, "iou", study.many)[:4],
                "units": study.rankings["iou"][target.concept.id][: study.many],
            }
        )
    return write_page(_render("erasure.html", study=study, parts=parts, words=WORDS), out)


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Writes a picture as JPEG. Raises `RunError` where it cannot be written."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, quality=_QUALITY)


def _render(template: str, **shown: Any) -> str:
    environment = page_environment()
    environment.filters["share"] = lambda share: share.spell(times=100.0)
    return environment.get_template(template).render(**shown)


def paint_insertion(study: Placement, target: Target, by: By = "iou") -> tuple[Pictures, Pictures]:
    """The first pictures without the target, with a place marked, and the same with its units set there.

    Places are those tried in the study that lie where the effect is largest by context, in the next pictures
    that have such a context at one of their places.
    """
    studio, concept = study.studio, target.concept.id
    cells = studio.layer(target.layer).map_size
    grid = choose_grid(cells, study.across)
    rows = study.contexts(target) or study.contexts(target, 1)
    contexts = [one for one, _ in rows if one != target.concept] or [target.concept]
    wanted = {one.id if one else 0 for one in contexts[: max(1, len(contexts) // 2)]}
    every = len(studio.layer(target.layer))
    value, strength = study.levels[target.layer].value(concept, range(every), study.rule), torch.zeros(every)
    strength[list(study.rankings[by][concept])] = 1
    chosen: dict[int, tuple[Edit, Cell]] = {}
    for number in study.numbers[:SEARCHED]:
        planes = studio.segmenter(studio.generator.generate(number, 1))[0]
        for cell in draw_cells(grid, study.places, number, study.seed):
            if find_context(planes, cell, grid) in wanted:
                chosen[number] = (set_at(target.layer, strength, value, [cell], grid, cells), cell)
                break
        if len(chosen) == SHOWN:
            break
    before, after = paint_pairs(studio, target.layer, list(chosen), lambda number: chosen[number][0])
    marked = [
        mark_place(image, find_pixels(cell, grid, image.shape[:2]))
        for image, (_, cell) in zip(before, chosen.values(), strict=True)
    ]
    return marked, after


def write_placement_page(study: Placement, out: Path) -> Path:
    """Writes `index.html` with its figures and pictures into the folder `out`; the path of the page.

    Raises `UsageError` where matplotlib is missing, `RunError` where the folder cannot be written.
    """
    load_matplotlib()
    parts = []
    for place, target in enumerate(study.targets):
        figure, picture = f"figures/{place}.svg", f"pictures/{place}.jpg"
        draw_placement(study, target, out / figure)
        save_sheet(draw_pairs(paint_insertion(study, target)), out / picture)
        rows = [(name_context(one), kinds) for one, kinds in study.contexts(target)]
        parts.append(
            {
                "target": target,
                "figure": figure,
                "picture": picture,
                "rows": [("everywhere", study.together(target)), *rows],
                "units": study.rankings["iou"][target.concept.id],
            }
        )
    return write_page(_render("placement.html", study=study, parts=parts, words=WORDS), out)


def draw_erasure(study: Erasure, out: Path) -> Path:
    """The share of each concept removed against the number of units, a plot a concept (fig. 4a)."""
    columns = min(COLUMNS, len(study.targets))
    rows = -(-len(study.targets) // columns)
    lowest = min(
        (float(np.nan_to_num(study.removed(target, by, count).value)) for target in study.targets
         for by in study.kinds for count in study.counts), default=0.0
    )  # fmt: skip
    with open_figure(out, max(_WIDE * columns, 320.0), _HIGH * rows + 50, columns, rows) as (figure, axes):
        plots = np.ravel(axes)
        for axis, target in zip(plots, study.targets, strict=False):
            for by in reversed(study.kinds):
                shares = [study.removed(target, by, count) for count in study.counts]
                xs, ink = [0, *study.counts], KIND_INKS[by]
                name = f"units {WORDS[by]}" if by != "random" else "random units"
                values = [0.0, *(s.value for s in shares)]
                axis.plot(xs, values, color=ink, lw=2, marker="o", ms=3.5, label=name)
                low, high = [0.0, *(s.low for s in shares)], [0.0, *(s.high for s in shares)]
                axis.fill_between(xs, low, high, color=ink, alpha=0.18, lw=0)
            axis.axhline(0, color=TEXT, lw=0.8)
            axis.set_title(f"{target.concept.label[:_NAME_LETTERS]}, {target.layer[-_NAME_LETTERS:]}")
            axis.set_xlabel("units removed")
            axis.set_ylim(min(-0.1, max(lowest - 0.05, -1.0)), 1.05)
        for axis in plots[len(study.targets) :]:
            axis.set_visible(False)
        handles, labels = plots[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=1.2)
    return out


def draw_others(study: Erasure, out: Path) -> Path:
    """What removing each concept's units does to every concept: a row a target, a column a concept."""
    many, concepts = study.many, [target.concept for target in study.targets]
    for target in study.targets:
        concepts += [one for one, _ in study.others(target, "iou", many) if one not in concepts]
    shares = np.array(
        [[study.removed(target, "iou", many, one).value for one in concepts] for target in study.targets]
    )
    wide, high = 130 + 46 * len(concepts), 110 + 26 * len(study.targets)
    with open_figure(out, float(max(wide, 320)), float(high)) as (_, axis):
        axis.imshow(-np.nan_to_num(shares), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            if not np.isnan(share):
                ink = "white" if abs(share) > 0.6 else "#1b1b18"
                axis.text(column, row, f"{-100 * share:+.0f}".replace("-", "−"), ha="center", va="center",
                          color=ink, fontsize=10)  # fmt: skip
        named = [one.label[:_NAME_LETTERS] for one in concepts]
        axis.set_xticks(range(len(concepts)), named, rotation=40, ha="right", color=TEXT)
        rows = [f"without {target.concept.label[:_NAME_LETTERS]}" for target in study.targets]
        axis.set_yticks(range(len(study.targets)), rows, color=TEXT)
        axis.set_title(f"Change of a concept's pixels in percent, {many} units removed")
        axis.grid(visible=False)
        axis.tick_params(length=0)
    return out


def draw_pairs(
    rows: Sequence[Sequence[UInt8[np.ndarray, "y x 3"]]], *, side: int = 128, group: int = 2, gap: int = 2
) -> Image.Image:
    """Pictures in rows, each `side` pixels; every `group` rows belong together and keep some distance."""
    columns, apart = max(len(row) for row in rows), 5 * gap
    height = len(rows) * (side + gap) + (-(-len(rows) // group) - 1) * apart
    sheet = Image.new("RGB", (columns * (side + gap) - gap, height - gap), (255, 255, 255))
    for line, row in enumerate(rows):
        top = line * (side + gap) + line // group * apart
        for place, image in enumerate(row):
            cell = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
            sheet.paste(cell, (place * (side + gap), top))
    return sheet


def draw_placement(study: Placement, target: Target, out: Path) -> Path:
    """The effect of inserting a concept by what stood at the place, the largest on top (fig. 4d)."""
    rows = study.contexts(target)
    with open_figure(out, 460.0, 110.0 + 30 * max(len(rows), 1)) as (figure, axis):
        for place, by in enumerate(study.kinds):
            shares = [trials[by].effect for _, trials in rows]
            values = np.array([100 * share.value for share in shares])
            errors = np.array([100 * (share.high - share.value) for share in shares])
            places = np.arange(len(rows)) + 0.26 * (place - (len(study.kinds) - 1) / 2)
            name = "random units" if by == "random" else f"units {WORDS[by]}"
            axis.barh(places, values, 0.24, color=KIND_INKS[by], label=name)
            axis.errorbar(values, places, xerr=np.nan_to_num(errors), fmt="none", ecolor=TEXT, lw=1.2)
        named = [f"{name_context(one)[:_NAME_LETTERS]}, {len(kinds['iou']):,}" for one, kinds in rows]
        axis.set_yticks(range(len(rows)), named, color=TEXT)
        axis.invert_yaxis()
        axis.axvline(0, color=TEXT, lw=0.8)
        axis.set_title(f"{target.concept.label[:_NAME_LETTERS]}: change in percent of its pixels")
        axis.grid(axis="y", visible=False)
        figure.legend(loc="outside lower left", ncols=3, handlelength=1.2)
    return out


def mark_place(image: UInt8[np.ndarray, "y x 3"], spans: tuple[slice, slice]) -> UInt8[np.ndarray, "y x 3"]:
    """A picture with a frame around some of its pixels, white outside, black inside."""
    rows, columns = spans
    marked = image.copy()
    for grow, ink in ((1, 255), (0, 0)):
        top, left = max(rows.start - grow, 0), max(columns.start - grow, 0)
        bottom, right = rows.stop - 1 + grow, columns.stop - 1 + grow
        for line in (top, min(bottom, len(image) - 1)):
            marked[line, left : right + 1] = ink
        for line in (left, min(right, image.shape[1] - 1)):
            marked[top : bottom + 1, line] = ink
    return marked
