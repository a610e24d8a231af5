"""A dissection as a folder of static pages: opens from `file://`, asks the network for nothing."""

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.counts import best_by_concept, count_concepts, count_layer
from unitscope.dissection.formula_names import FormulaNames
from unitscope.dissection.reopening import reopen_source
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import writing
from unitscope.views.formulas import write_formulas
from unitscope.views.pages import page_environment
from unitscope.views.palette import color_categories
from unitscope.views.report.charts import draw_concepts, draw_layers
from unitscope.views.report.data import write_data
from unitscope.views.report.pictures import save_pictures, tile_aspect
from unitscope.views.summary import collect_warnings, spell_convention, spell_recipe
from unitscope.views.terminal import figure

STYLES = ("look.css", "report.css", "units.css")
SCRIPTS = ("report.js", "masks.js", "gallery.js", "concepts.js", "detail.js")
DOWNLOADS = ("units.csv", "run.json")


def write_report(
    dissection: Dissection,
    source: ConceptSource,
    out: str | Path,
    *,
    frame: Frame | None = None,
    run: str | Path | None = None,
    ranks: int | None = 9,
    formulas: FormulaNames | None = None,
) -> Path:
    """Writes the report of a dissection into the folder `out`; the path of its `index.html`.

    `source` and `frame` (by default the frame of the run) are those the dissection was made with:
    they give the pictures, each saved once. `run` is the folder of the saved run, whose `units.csv`
    and `run.json` are copied so that the report stands alone; by default the parent of `out` where
    it holds them. At most `ranks` pictures a unit are shown, None for all. Names by `formulas` get a page
    of their own in it. Any browser opens the folder straight from disk.

    Raises `RunError` where the folder cannot be written, `SourceError` where an image has gone.
    """
    folder = Path(out)
    with writing(f"the report to {folder}"):
        (folder / "assets").mkdir(parents=True, exist_ok=True)
        pictures = save_pictures(dissection, source, frame or dissection.frame, ranks, folder / "pictures")
        data = write_data(dissection, pictures, ranks, folder / "data")
        for name in (*STYLES, *SCRIPTS):
            asset = files("unitscope.views.report") / name
            (folder / "assets" / name).write_bytes(asset.read_bytes())
        saved = folder.parent if run is None else Path(run)
        downloads = [name for name in DOWNLOADS if (saved / name).is_file()]
        for name in downloads:
            if (saved / name).resolve() != (folder / name).resolve():
                shutil.copyfile(saved / name, folder / name)
        if formulas is not None:
            write_formulas(formulas, folder / "formulas", source)
        page = render_page(dissection, data, downloads, tile_aspect(pictures), formulas)
        (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def draw_report(
    dissection: Dissection, folder: Path, source: ConceptSource | str | None = None, **options: Any
) -> Path:
    """`write_report`, as `Dissection.page` calls it: without a source over the one that the run names.

    Raises what `reopen_source` and `write_report` raise.
    """
    return write_report(dissection, reopen_source(dissection, source), folder, **options)


def render_page(
    dissection: Dissection,
    data: list[str],
    downloads: list[str],
    aspect: float,
    formulas: FormulaNames | None = None,
) -> str:
    """The text of `index.html`."""
    counted = [count_layer(layer) for layer in dissection.layers.values()]
    template = page_environment("report").get_template("page.html")
    return template.render(
        title=dissection.recipe.network.name,
        source=dissection.source,
        images=dissection.images,
        recipe=spell_recipe(dissection),
        convention=spell_convention(dissection.convention),
        cutoff=dissection.convention.iou_cutoff,
        warnings=collect_warnings(dissection.layers.values()),
        categories=color_categories(dissection.vocabulary.categories),
        counted=counted,
        concepts=[count_concepts(layer) for layer in dissection.layers.values()],
        charts=[draw_concepts(layer) for layer in dissection.layers.values()],
        layers_chart=draw_layers(counted) if len(counted) > 1 else None,
        confident=any(one.confident for one in counted),
        latents=[list_latents(layer) if layer.sparse else None for layer in dissection.layers.values()],
        aspect=aspect,
        styles=STYLES,
        scripts=SCRIPTS,
        data=data,
        downloads=downloads,
        formulas=formulas,
    )


def list_latents(layer: LayerDissection) -> dict[str, Any]:
    """What is shown of a layer of latents first: of every concept the best, as `rows`, and their `mean` IoU.

    A row has concept, name, address on the page, IoU, and where the latent is named so held-out IoU and q.
    """
    sure, named = layer.confidence, layer.labels.best
    rows = []
    for concept, unit, iou in best_by_concept(layer):
        judged = (float("nan"),) * 2
        if sure is not None and named[unit] == concept.id:
            judged = float(sure.heldout[unit]), float(sure.q_value[unit])
        address = f"#unit/{quote(layer.layer, safe='')}/{unit}"
        rows.append((concept, layer.name_unit(unit), address, iou, *map(figure, judged)))
    mean = float(np.mean([row[3] for row in rows])) if rows else 0.0
    return {"rows": rows, "mean": mean, "dead": layer.never_fired}
