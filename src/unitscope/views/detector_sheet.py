"""A unit as a detector, drawn: its peaks, and images in which it is right, silent, or high without cause."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unitscope.concepts.frames import show_bands
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.interventions.detection import Detection
from unitscope.interventions.detectors import Answers, Sample
from unitscope.tables import clean
from unitscope.views.contact_sheet import outline
from unitscope.views.drawing import INK, PAPER, save_picture
from unitscope.views.figures import draw_jitter

SIDE, GAP, CAPTION = 96, 4, 20
_OUTLINE = (255, 221, 0)


def write_detection(found: Detection, out: Path) -> Path:
    """Writes jitter.svg and answers.png of the first unit shown into a folder; the path of the second.

    Raises `UsageError` where matplotlib is missing, `RunError` where a file cannot be written.
    """
    path, answers = (out / name for name in found.pictures)
    unit, detectors, sample = found.units[0], found.detectors, found.sample
    values, truth = found.peaks[~sample.fitting, unit], sample.present[~sample.fitting]  # it is measured on
    label = f" ({found.label(unit)})" if found.label(unit) else ""
    name, called = clean(sample.name), found.name_unit(unit)
    draw_jitter(
        path,
        title=f"unit {called}{label} detects {name}: balanced accuracy {detectors.balanced[unit]:.1%}",
        x=f"peak activation of unit {called} of {found.layer}",
        present=(f"{name}\n{int(truth.sum())} images", values[truth].tolist()),
        absent=(f"no {name}\n{int((~truth).sum())} images", values[~truth].tolist()),
        threshold=float(detectors.threshold[unit]),
    )
    return draw_answers(found.answers, sample, found.source, answers, called=called)


def draw_answers(
    answers: Answers, sample: Sample, source: ConceptSource, out: Path, *, count: int = 8, called: str = ""
) -> Path:
    """A PNG of three rows of at most `count` images; its path. `called` is its name, if no number.

    Images with the concept in which the unit is high, the highest first; with it and the unit silent, the
    lowest first (paper B, fig. 3g); without it and the unit high. The concept is outlined where it labels
    pixels.

    Raises `RunError` where the file cannot be written.
    """
    unit, name = called or answers.unit, sample.name if len(sample.name) <= 40 else f"{sample.name[:39]}…"
    having = len(answers.hits) + len(answers.silent)
    lacking = len(answers.alarms) + len(answers.quiet)
    rows = (
        (f"{name}, unit {unit} is high: {len(answers.hits)} of {having}", answers.hits),
        (f"{name}, unit {unit} is silent: {len(answers.silent)} of {having}", answers.silent),
        (f"no {name}, unit {unit} is high: {len(answers.alarms)} of {lacking}", answers.alarms),
    )
    height = SIDE + CAPTION + 2 * GAP
    sheet = Image.new("RGB", (count * (SIDE + GAP) + GAP, len(rows) * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for row, (caption, images) in enumerate(rows):
        top = row * height + GAP
        draw.text((GAP, top), caption, INK, font)
        for place, index in enumerate(images[:count].tolist()):
            example = source[index]
            seen = Image.fromarray(show_bands(example.image))
            drawn = np.array(seen.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
            for concept in sample.concepts:
                there = (example.planes == concept.id).any(0).astype(np.uint8)
                mask = np.asarray(Image.fromarray(there).resize((SIDE, SIDE), Image.Resampling.NEAREST))
                drawn[outline(mask > 0)] = _OUTLINE
            sheet.paste(Image.fromarray(drawn), (GAP + place * (SIDE + GAP), top + CAPTION))
    save_picture(sheet, out)
    return out
