"""An explanation as a picture: the image, and the units that speak for its class, each with its region."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from unitscope.axes import Picture
from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import Concept
from unitscope.interventions.deletion import KIND_NAMES, DeletionTest
from unitscope.interventions.explained_images import ExplainedImage, Explanations, signed
from unitscope.interventions.explanation import Explanation
from unitscope.statistics.intervals import Interval
from unitscope.views.drawing import FAINT, INK, PAPER, SILENT, find_edge, open_font, save_picture, write_label
from unitscope.views.figures import Panel, draw_panels
from unitscope.views.palette import category_color

RULE = (230, 230, 225)
TILE, GAP, EDGE, HEAD, CAPTION = 168, 14, 18, 58, 50
COLUMNS = 3
_LEFT, _LINE = 236, 22


def write_sheets(found: Explanations, out: Path) -> Path:
    """Writes a picture of every image, and deletion.svg after a deletion test; the path of the first.

    Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
    """
    files = [out / name for name in found.pictures]
    for image, file in zip(found.images, files, strict=False):
        save_picture(draw_explanation(image), file)
    if found.deletion is not None:
        write_deletion(found.deletion, out)
    return files[0]


def write_deletion(test: DeletionTest, out: Path) -> Path:
    """Draws deletion.svg into a folder; its path.

    Raises `UsageError` where matplotlib is missing, `RunError` where it cannot be written.
    """
    panels = []
    for name in ("logit", "probability"):
        lines: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KIND_NAMES.values()}
        for row in test.means:
            drop: Interval = getattr(row, name)
            half = (drop.high - drop.low) / 2
            lines[KIND_NAMES[row.kind]].append((float(row.count), (drop.low + drop.high) / 2, half))
        panels.append(Panel(name, "units removed", lines))
    return draw_panels(panels, out / "deletion.svg", y="falls by", shared=False)


def draw_explanation(explained: ExplainedImage) -> Image.Image:
    """The image with its class, and the top contributors.

    Every unit is shown by its region in the image: outside it is dimmed, its edge is a white line. Below
    stand its label, its number, and its contribution, with a bar on one scale for all.
    """
    explanation, image, shown = explained.explanation, explained.image, explained.shown
    rows = max(1, -(-len(shown) // COLUMNS))
    tile_high = _tile_size(image)[0]
    wide = 2 * EDGE + _LEFT + GAP + COLUMNS * (TILE + GAP)
    picture_high = round(_LEFT * image.shape[0] / image.shape[1])
    sums = [(name, signed(value)) for name, value in explained.sums]
    sums.append((f"logit of {explanation.name(explanation.target)}", f"{explanation.logit:.2f}"))
    high = max(rows * (tile_high + CAPTION), picture_high + 16 + len(sums) * _LINE) + HEAD + EDGE
    sheet = Image.new("RGB", (wide, high), PAPER)
    pen = ImageDraw.Draw(sheet)
    _write_head(pen, explanation, explained.truth)
    sheet.paste(_enlarge(image, (_LEFT, picture_high)), (EDGE, HEAD))
    for place, (name, figure) in enumerate(sums):
        y, last = HEAD + picture_high + 16 + place * _LINE, place == len(sums) - 1
        if last:
            pen.line((EDGE, y - 1, EDGE + _LEFT, y - 1), RULE)
            y += 4
        pen.text((EDGE, y), name, INK if last else FAINT, open_font(14))
        pen.text((EDGE + _LEFT, y), figure, INK, open_font(14), anchor="ra")
    most = max((abs(float(explanation.contributions[unit])) for unit in shown), default=0.0) or 1.0
    for place, unit in enumerate(shown):
        x = EDGE + _LEFT + 2 * GAP + place % COLUMNS * (TILE + GAP)
        y = HEAD + place // COLUMNS * (tile_high + CAPTION)
        sheet.paste(draw_region(image, explanation.region(unit, _tile_size(image))), (x, y))
        _write_unit(pen, (x, y + tile_high + 5), explanation, unit, explained.labels.get(unit), most)
    return sheet


def draw_region(image: Picture, region: Bool[np.ndarray, "row column"]) -> Image.Image:
    """An image at the region's size, dimmed outside of the region, whose edge is a white line.

    >>> draw_region(np.zeros((8, 8, 3), np.uint8), np.ones((20, 30), bool)).size
    (30, 20)
    """
    high, wide = region.shape
    pixels = np.asarray(_enlarge(image, (wide, high)), np.float32)
    shown = np.where(region[..., None], pixels, pixels * SILENT).astype(np.uint8)
    shown[find_edge(region)] = 255
    return Image.fromarray(shown)


def _tile_size(image: Picture) -> tuple[int, int]:
    scale = TILE / max(image.shape[:2])
    return max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))


def _enlarge(image: Picture, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(show_bands(image)).resize(size, Image.Resampling.LANCZOS)


def _write_head(pen: ImageDraw.ImageDraw, explanation: Explanation, truth: int | None) -> None:
    target, chances = explanation.target, explanation.probabilities
    pen.text((EDGE, 12), f"{explanation.name(target)}  {chances[target]:.0%}", INK, open_font(22))
    parts = []
    if target != explanation.predicted:
        named = explanation.predicted
        parts.append(f"predicted is {explanation.name(named)}, {chances[named]:.0%}")
    if truth is not None:
        right = truth == explanation.predicted
        wrong = f"wrong: the label is {explanation.name(truth)}, {chances[truth]:.0%}"
        parts.append("right" if right else wrong)
    second = explanation.runner_up
    if second is not None and second not in (truth, target) and chances[second] >= 0.005:
        parts.append(f"then {explanation.name(second)}, {chances[second]:.0%}")
    if explanation.method != "exact":
        how = (
            "the sum is not exact"
            if explanation.method == "inexact"
            else f"an approximation: {explanation.method}"
        )
        parts.append(how)
    if not explanation.changes:
        parts.append("no unit changes this logit")
    left = EDGE + _LEFT + 2 * GAP
    pen.text((left, 20), "  ·  ".join(parts), FAINT, open_font(14))


def _write_unit(
    pen: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    explanation: Explanation,
    unit: int,
    label: Concept | None,
    most: float,
) -> None:
    (x, y), value = corner, float(explanation.contributions[unit])
    color = category_color(label.category if label else "")
    write_label(pen, corner, TILE, explanation.name_unit(unit), label, 14)
    room = TILE - 44
    long = max(2, round(room * abs(value) / most))
    pen.rectangle((x, y + 24, x + long, y + 29), color if value > 0 else FAINT)
    pen.text((x + TILE, y + 18), signed(value), INK, open_font(13), anchor="ra")
