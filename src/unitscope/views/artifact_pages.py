"""The page of artifact units: what excites each, where it fires there, and what its removal does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch.nn import functional

from unitscope.experiments.artifact_removal import WORDS, ArtifactRemoval, ArtifactStudy
from unitscope.experiments.artifacts import SHOWN, Artifacts, make_pictures
from unitscope.progress import follow_each
from unitscope.views.contact_sheet import outline
from unitscope.views.figures import INKS, MUTED, TEXT, load_matplotlib, open_figure
from unitscope.views.generator_pages import draw_pairs, save_sheet
from unitscope.views.pages import page_environment, write_page

UNITS = 40
"""So many units are shown, and can be marked."""
_SIDE = 96
_FIRES = (255, 221, 0)


def write_artifact_page(study: ArtifactStudy, out: Path, *, units: int = UNITS) -> Path:
    """Writes `index.html` with figure and pictures into a folder; the path of the page.

    The `units` first of both orders in turn, each with the pictures that excite it most; `unitscope mark`
    shows the same pictures. Raises `UsageError` where matplotlib is missing, `RunError` where the folder
    cannot be written.
    """
    load_matplotlib()
    found = study.artifacts
    chosen = found.choose(units)
    draw_removal(study.removal, out / "figures" / "removal.svg")
    write_strips(found, chosen, out)
    places = {
        by: {unit: rank for rank, unit in enumerate(found.order(by), 1)} for by in ("frechet", "unknown")
    }
    parts = [{"unit": unit, "picture": f"pictures/{name_strip(unit)}", "rank": places["frechet"][unit],
              "rank_unknown": places["unknown"][unit]} for unit in chosen]  # fmt: skip
    page = page_environment().get_template("artifacts.html")
    return write_page(page.render(study=study, found=found, parts=parts, words=WORDS), out)


def name_strip(unit: int) -> str:
    """The file of a unit's pictures.

    >>> name_strip(7)
    'unit-0007.jpg'
    """
    return f"unit-{unit:04d}.jpg"


def write_strips(found: Artifacts, units: Sequence[int], out: Path) -> None:
    """Writes for each unit the pictures that excite it most, the cells where it fires outlined."""
    for unit in follow_each(units, "pictures of units", "units"):
        save_sheet(draw_strip(found, unit), out / "pictures" / name_strip(unit))


def draw_strip(found: Artifacts, unit: int) -> Image.Image:
    """The pictures that excite a unit most in a row; under them the same with the cells where it fires."""
    plain, marked = [], []
    for number in found.excite[unit, :SHOWN].tolist():
        [(pictures, maps)] = make_pictures(found.generator, found.layer, range(number, number + 1))
        fires = (maps[:, [unit]] > float(found.threshold[unit])).float()
        large = _enlarge(pictures[0])
        mask = functional.interpolate(fires, large.shape[:2], mode="nearest-exact")[0, 0].numpy() > 0
        plain.append(large)
        marked.append(_mark(large, mask))
    return draw_pairs([plain, marked], side=_SIDE)


def _enlarge(picture: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    return np.asarray(Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))


def _mark(picture: UInt8[np.ndarray, "y x 3"], mask: np.ndarray) -> UInt8[np.ndarray, "y x 3"]:
    """A picture darkened outside a mask, whose edge is drawn."""
    marked = np.where(mask[..., None], picture, picture // 3)
    marked[outline(mask)] = _FIRES
    return marked.astype(np.uint8)


def draw_removal(removal: ArtifactRemoval, out: Path) -> Path:
    """The Fréchet distance against the number of units removed; the band is the range of random draws."""
    with open_figure(out, 520.0, 360.0) as (figure, axis):
        counts = [0, *removal.drawn]
        kinds = list(dict.fromkeys(by for by, _ in removal.after))
        for ink, by in zip(INKS, kinds, strict=False):
            steps = [count for kind, count in removal.after if kind == by]
            values = [removal.before, *(removal.after[by, count] for count in steps)]
            axis.plot([0, *steps], values, color=ink, lw=2, marker="o", ms=4, label=WORDS[by])
        lots = [removal.random(count) for count in removal.drawn]
        axis.plot(counts, [removal.before, *(lot.value for lot in lots)], color=MUTED, lw=2, label="random")
        low, high = ([removal.before, *(getattr(lot, end) for lot in lots)] for end in ("low", "high"))
        axis.fill_between(counts, low, high, color=MUTED, alpha=0.2, lw=0)
        axis.axhline(removal.before, color=TEXT, lw=0.8, ls=(0, (4, 3)))
        axis.set_xlabel("units removed")
        axis.set_title("Fréchet distance of all pictures")
        figure.legend(loc="outside lower left", ncols=3, handlelength=1.2)
    return out
