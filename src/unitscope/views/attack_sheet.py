"""Attacks drawn: images, their changes and the units that moved most; how far groups of units moved."""

from pathlib import Path
from textwrap import fill

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate

from unitscope.errors import writing
from unitscope.experiments.movement import GROUP_NAMES, GROUPS, MOST, AttackStudy
from unitscope.interventions.attacks import Pixels
from unitscope.networks.network import number_images
from unitscope.networks.trace import tap
from unitscope.networks.unit_maps import read_units
from unitscope.views.drawing import FAINT, INK, PAPER, SILENT, find_edge, fit, open_font, write_label
from unitscope.views.figures import INKS, MUTED, open_figure

FELL, ROSE = (213, 94, 0), (0, 114, 178)
TILE, GAP, EDGE, HEAD, CAPTION = 132, 10, 18, 30, 64
FACTORS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SIDE_UNITS = 3
_BREAK = 18
BARS = {"source": INKS[1], "target": INKS[0], "rest": "#999999", "random": "#c9c9c4"}
_WIDE, _HIGH = 110.0, 280.0
_BAR = 0.2

Maps = Float32[Tensor, "unit cell_y cell_x"]
Tile = UInt8[np.ndarray, "row column 3"]


def write_attacks(study: AttackStudy, out: Path) -> Path:
    """Writes pictures.png and, where an attack succeeded, movement.svg into a folder; the path of the first.

    Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
    """
    picture, figure = out / "pictures.png", out / "movement.svg"
    if study.movements:
        draw_movements(study, figure)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if not study.movements:
            figure.unlink(missing_ok=True)  # one of an earlier run
        draw_attacks(study).save(picture)
    return picture


def draw_attacks(study: AttackStudy, *, rows: int = 4) -> Image.Image:
    """A row an attacked image, successes first and every target in turn, with the units that moved most.

    The change is magnified around gray, by the factor that stands under it. A unit that fell is drawn on the
    original, one that rose on the attacked image; what is not dimmed is the region where it changed by more
    than half of its largest change. Below it stand its label, the change of its peak and, where it is among
    the `MOST` important ones of one of the two classes, that class.
    """
    chosen = _choose(study, rows)
    factor = choose_factor([study.attacked[place].image - study.attacked[place].original for place in chosen])
    columns = 3 + 2 * SIDE_UNITS
    wide = 2 * EDGE + columns * (TILE + GAP) - GAP + 2 * _BREAK
    high = 2 * EDGE + len(chosen) * (HEAD + TILE + CAPTION)
    sheet = Image.new("RGB", (wide, high), PAPER)
    with tap(study.network, [study.layer]) as read:
        for row, place in enumerate(chosen):
            one = study.attacked[place]
            maps = []
            for image in (one.original, one.image):
                seen = study.network.preprocessing.normalize(image[None].to(study.network.device))
                number_images(seen, [study.aims[place].number])
                raw = read(seen)[study.layer]
                maps.append(read_units(raw, study.network.layout(seen), study.layer)[0].cpu())
            _draw_row(sheet, EDGE + row * (HEAD + TILE + CAPTION), study, place, maps, factor)
    return sheet


def choose_factor(changes: list[Pixels]) -> int:
    """How often changes can be magnified, in round numbers, until one pixel in a hundred is out of scale.

    >>> choose_factor([torch.full((3, 2, 2), 0.02)])
    20
    """
    large = max((float(change.abs().quantile(0.99)) for change in changes), default=0.0)
    return max((factor for factor in FACTORS if factor * large <= 0.5), default=1)


def _choose(study: AttackStudy, rows: int) -> list[int]:
    """The attacks shown: successes before failures, every target in turn, other images where there are."""
    left, chosen = set(range(len(study.attacked))), list[int]()

    def rank(place: int) -> tuple[bool, int, bool, int]:
        one, shown = study.attacked[place], [study.attacked[k] for k in chosen]
        turns = sum(other.target == one.target for other in shown)
        return not one.success, turns, any(other.key == one.key for other in shown), place

    while left and len(chosen) < rows:
        chosen.append(min(left, key=rank))
        left.remove(chosen[-1])
    return chosen


def _draw_row(
    sheet: Image.Image, top: int, study: AttackStudy, place: int, maps: list[Maps], factor: int
) -> None:
    one, names = study.attacked[place], study.network.classes
    pen, small = ImageDraw.Draw(sheet), open_font(11)
    failed = "" if one.success else "  failed: this is the best try"
    pen.text((EDGE, top), f"{names[one.source]} to {names[one.target]}{failed}", INK, open_font(16))
    pen.text((_left(3), top + 3), "fell most, on the original", FAINT, open_font(13))
    pen.text((_left(3 + SIDE_UNITS), top + 3), "rose most, on the attacked image", FAINT, open_font(13))
    panels = (
        (one.original, "original", one.key),
        (0.5 + factor * (one.image - one.original), f"change, {factor} times", f"L2 {one.l2:.2g}"),
        (one.image, "attacked", f"at most {one.linf:.2g} a pixel"),
    )
    for column, (pixels, name, caption) in enumerate(panels):
        corner = (_left(column), top + HEAD)
        sheet.paste(Image.fromarray(_enlarge(pixels)), corner)
        pen.text((corner[0], corner[1] + TILE + 5), name, INK, open_font(13))
        pen.text((corner[0], corner[1] + TILE + 22), fit(pen, caption, TILE, small), FAINT, small)
    moved = study.after[place] - study.before[place]
    order = np.argsort(moved, kind="stable")
    fell, rose = order[:SIDE_UNITS], order[::-1][:SIDE_UNITS]
    for column, unit in enumerate([*fell.tolist(), *rose.tolist()], 3):
        down = column < 3 + SIDE_UNITS
        region = find_region(maps[1][unit] - maps[0][unit], down=down)
        image = _enlarge(one.original if down else one.image)
        shown = np.where(region[..., None], image, image * SILENT).astype(np.uint8)
        edge = find_edge(region)
        shown[edge | find_edge(region | edge) & ~region] = FELL if down else ROSE
        corner = (_left(column), top + HEAD)
        sheet.paste(Image.fromarray(shown), corner)
        _write_unit(pen, (corner[0], top + HEAD + TILE + 5), study, place, unit)


def _left(column: int) -> int:
    return EDGE + column * (TILE + GAP) + _BREAK * ((column >= 3) + (column >= 3 + SIDE_UNITS))


def find_region(change: Float32[Tensor, "cell_y cell_x"], *, down: bool) -> Bool[np.ndarray, "row column"]:
    """Where a unit changed by more than half of its largest change in that direction, at tile size."""
    signed = (-change if down else change).clamp_min(0)
    wide = interpolate(signed[None, None], (TILE, TILE), mode="bilinear", align_corners=False)[0, 0]
    return np.asarray((wide > float(signed.max()) / 2).numpy())


def _enlarge(pixels: Pixels) -> Tile:
    small = (pixels[:3].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return np.asarray(Image.fromarray(small).resize((TILE, TILE), Image.Resampling.LANCZOS))


def _write_unit(
    pen: ImageDraw.ImageDraw, corner: tuple[int, int], study: AttackStudy, place: int, unit: int
) -> None:
    (x, y), one = corner, study.attacked[place]
    before, after = study.before[place, unit], study.after[place, unit]
    write_label(pen, corner, TILE, study.name_unit(unit), study.labels.get(unit), 13)
    moved, small = f"{after - before:+.2f}", open_font(11)
    pen.text((x, y + 16), moved, FELL if after < before else ROSE, open_font(13))
    pen.text((x + TILE, y + 17), f"{before:.2f} to {after:.2f}", FAINT, small, anchor="ra")
    needed = [c for c in (one.source, one.target) if unit in study.order[c, :MOST]]
    if needed:
        names = " and ".join(study.network.classes[c] for c in needed)
        pen.text((x, y + 32), fit(pen, f"matters to {names}", TILE, small), FAINT, small)


def draw_movements(study: AttackStudy, out: Path) -> Path:
    """Change of peak, and its absolute value, as bars with 99 % intervals; the path of the SVG written.

    Raises `UsageError` where matplotlib is missing, `RunError` where the file cannot be written.
    """
    pooled = [row for row in study.movements if row.source is None]
    targets = list(dict.fromkeys(row.target for row in pooled))
    names = [
        "all targets" if one is None else fill(f"to {study.network.classes[one]}", 14) for one in targets
    ]
    with open_figure(out, max(420.0, 2 * _WIDE * len(targets)), _HIGH, 2) as (figure, axes):
        for axis, what in zip(axes, ("change", "size"), strict=True):
            for place, group in enumerate(GROUPS):
                rows = [row for row in pooled if row.group == group]
                estimates = [getattr(row, what) for row in rows]
                means = [one.value for one in estimates]
                halves = [(one.high - one.low) / 2 for one in estimates]
                x = [number + (place - 1.5) * _BAR for number in range(len(rows))]
                axis.bar(x, means, 0.9 * _BAR, color=BARS[group], label=GROUP_NAMES[group])
                axis.errorbar(x, means, halves, fmt="none", ecolor=MUTED, elinewidth=1.2, capsize=2.5)
            axis.axhline(0, color=MUTED, lw=1)
            axis.set_xticks(range(len(targets)), names)
            axis.grid(visible=False, axis="x")
            axis.spines["bottom"].set_visible(False)
        axes[0].set_title(f"change of peak, {study.layer}")
        axes[1].set_title("absolute change of peak")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return out
