"""What the page's scripts read: plain JSON in script files, since `file://` allows no fetch."""

import json
from pathlib import Path

import numpy as np

from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.progress import follow_each
from unitscope.views.palette import color_categories
from unitscope.views.report.pictures import Picture

UNITS_PER_CHUNK = 64


def write_data(
    dissection: Dissection, pictures: dict[int, Picture], ranks: int | None, folder: Path
) -> list[str]:
    """Write `run.js`, a file per layer and the masks in chunks; the names to load with the page."""
    folder.mkdir(parents=True, exist_ok=True)
    run = describe_run(dissection, pictures)
    (folder / "run.js").write_text(f"unitscope.run = {encode(run)};\n", encoding="utf-8")
    names = ["run.js"]
    for place, layer in enumerate(follow_each(dissection.layers.values(), "writing pages", "layers")):
        names.append(f"layer-{place}.js")
        text = f"unitscope.layers[{place}] = {encode(describe_layer(layer, ranks))};\n"
        (folder / names[-1]).write_text(text, encoding="utf-8")
        shown = layer.exemplars.images[:, :ranks].shape[1]
        for chunk, first in enumerate(range(0, len(layer), UNITS_PER_CHUNK)):
            masks = [  # by unit and rank the runs, flat: row, start, stop, row, ...
                [layer.exemplars.mask_runs(unit, rank).ravel().tolist() for rank in range(shown)]
                for unit in range(len(layer))[first : first + UNITS_PER_CHUNK]
            ]
            text = f"unitscope.addMasks({place}, {chunk}, {encode(masks)});\n"
            (folder / f"masks-{place}-{chunk}.js").write_text(text, encoding="utf-8")
    return names


def encode(value: object) -> str:
    """JSON that is safe inside a script: ASCII only, no angle bracket."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def describe_run(dissection: Dissection, pictures: dict[int, Picture]) -> dict[str, object]:
    """The vocabulary, the categories and the pictures."""
    words = dissection.vocabulary
    places = {category: place for place, category in enumerate(words.categories)}
    return {
        "categories": color_categories(words.categories),
        "concepts": {
            concept.id: [concept.label, concept.name, places[concept.category]] for concept in words
        },
        "pictures": pictures,
        "cutoff": dissection.convention.iou_cutoff,
        "chunk": UNITS_PER_CHUNK,
    }


def describe_layer(layer: LayerDissection, ranks: int | None) -> dict[str, object]:
    """The units of a layer, a list per column."""
    labels, sure, units = layer.labels, layer.confidence, np.arange(len(layer))
    confidence = None
    if sure is not None:
        columns = ("p_value", "q_value", "low", "high", "heldout")
        confidence = {name: rounded(getattr(sure, name)) for name in columns}
    return {
        "name": layer.layer,
        "mask": list(layer.mask_size),
        "concept": labels.best.tolist(),
        "iou": rounded(labels.best_iou),
        "detector": labels.detector.astype(int).tolist(),
        "threshold": rounded(layer.thresholds),
        "active": layer.active.tolist(),
        "truth": layer.concept_pixels[labels.best].tolist(),
        "shared": layer.intersections[units, labels.best].tolist(),
        "runner": labels.runner_up.tolist(),
        "runnerIou": rounded(labels.runner_up_iou),
        "bestIn": labels.best_in.tolist(),
        "bestIouIn": [rounded(row) for row in labels.best_iou_in],
        "confidence": confidence,
        "images": layer.exemplars.images[:, :ranks].tolist(),
        "peaks": [rounded(row) for row in layer.exemplars.peaks[:, :ranks]],
        **({"heads": layer.heads} if layer.heads else {}),
        **({"probes": list(layer.probes)} if layer.probes else {}),
    }


def rounded(values: np.ndarray) -> list[float | None]:
    """Numbers to six significant digits, None for what is not finite."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values.tolist()]
