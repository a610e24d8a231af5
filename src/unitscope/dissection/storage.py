"""A run on disk: run.json, units.csv, one safetensors file a layer; shards while it is in the making."""

import csv
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.conventions import Convention
from unitscope.dissection.result import Confidence, Dissection, Exemplars, LayerDissection, Pairs, Unit
from unitscope.errors import RunError, UnitscopeError
from unitscope.statistics.scan import Scan, ScanPlan
from unitscope.statistics.shards import read_shard, write_shard

FORMAT = 1
"""The version of the files of a run; it rises when a reader of the old ones would go wrong."""

COLUMNS = (
    "layer", "unit", "concept", "category", "iou", "iou_low", "iou_high", "p_value", "q_value", "detector",
    "threshold", "active_pixels", "concept_pixels", "intersection", "runner_up", "runner_up_iou",
    "heldout_iou",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_CONFIDENCE = ("p_value", "q_value", "low", "high", "heldout")
_COUNTS = ("thresholds", "active", "active_in", "pixels_in", "concept_pixels", "intersections")
_DAMAGES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OSError, SafetensorError, TypeError,
    UnitscopeError, ValueError,
)  # fmt: skip
_PAIRS = ("thresholds", "quality", "active", "intersections")
_EXEMPLARS = ("images", "peaks", "offsets", "runs")


@dataclass(frozen=True)
class Workspace:
    """The folder of a run in the making: what is done is kept in shards until the run is whole."""

    folder: Path

    @property
    def shards(self) -> Path:
        """Where the statistics of finished parts are kept."""
        return self.folder / "shards"

    @property
    def scratch(self) -> Path:
        """Where packed tails go that exceed the memory budget."""
        path = self.folder / "shards" / "spilled"
        path.mkdir(exist_ok=True)
        return path

    def read_shard(self, number: int, plan: ScanPlan) -> Scan | None:
        """One part, where it is done."""
        return read_shard(self.shards, number, plan)

    def write_shard(self, number: int, shard: Scan) -> None:
        """Keep one more part."""
        write_shard(self.shards, number, shard)

    def finish(self, run: Dissection) -> None:
        """Save the whole run and drop its parts."""
        save(run, self.folder)
        shutil.rmtree(self.shards, ignore_errors=True)


def check_folder(folder: Path, resume: bool) -> None:
    """Raises `RunError` where no run can begin, or with `resume` go on, in a folder; nothing is written."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder with --out")
    if (folder / "run.json").exists():
        raise RunError(f"{folder} holds a finished run; name another folder with --out, or delete it")
    if (Workspace(folder).shards / "recipe.json").exists():
        if not resume:
            raise RunError(f"{folder} holds an unfinished run; go on with --resume, or delete it")
    elif folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no run; name another folder with --out")


def open_workspace(folder: Path, recipe: Mapping[str, object], resume: bool) -> Workspace:
    """The folder of a new or a resumed run.

    Raises `RunError` where the folder holds something else, a finished run, or the beginnings of a
    run with another recipe.
    """
    workspace = Workspace(folder)
    plan_file = workspace.shards / "recipe.json"
    text = _spell_json(recipe)
    check_folder(folder, resume)
    if plan_file.exists():
        differing = _differing(_read_recipe(plan_file), json.loads(text))
        if differing:
            raise RunError(
                f"{folder} was begun with another {', '.join(differing)}; give the same, or another --out"
            )
    with _writing(folder):
        shutil.rmtree(workspace.shards / "spilled", ignore_errors=True)
        workspace.shards.mkdir(parents=True, exist_ok=True)
        if not plan_file.exists():
            _write_text(plan_file, text)
    return workspace


def _read_recipe(path: Path) -> dict[str, object]:
    try:
        return dict(_read_json(path))
    except (OSError, TypeError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}; delete {path.parent} and begin again") from error


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def save(run: Dissection, folder: str | Path) -> None:
    """Write a run: `run.json`, `units.csv` and one `.safetensors` a layer. See docs/files.md.

    A run that the folder holds is replaced whole, its layers' files too; until all of the new one is written
    the old one stays. A report beside it is left alone: write it again.

    Raises `RunError` where it cannot be written.
    """
    path = Path(folder)
    new = path / ".part"
    about = _spell_json(_about(run))
    with _writing(path):
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            names = _file_names(list(run.layers))
            for name, layer in zip(names, run.layers.values(), strict=True):
                _save_layer(layer, new / name)
            _write_units(run, new / "units.csv")
            (new / "run.json").write_text(about + "\n", encoding="utf-8")
            _replace_run(path, new, [*names, "units.csv", "run.json"])
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _replace_run(folder: Path, new: Path, names: list[str]) -> None:
    # The old run.json goes first and the new one comes last: no folder passes for a run with parts of two.
    stale = [name for name in _list_layer_files(folder) if name not in names]
    (folder / "run.json").unlink(missing_ok=True)
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    for name in names:
        os.replace(new / name, folder / name)


def _list_layer_files(folder: Path) -> list[str]:
    """The files that the run in a folder keeps its layers in; none where there is no run that can be read."""
    try:
        about = _read_json(folder / "run.json")
        names = [str(entry["file"]) for entry in about["layers"]]
    except (OSError, LookupError, TypeError, ValueError):
        return []
    return [name for name in names if name == Path(name).name and name.endswith(".safetensors")]


def _read_json(path: Path) -> Any:
    # Infinite thresholds were once written as a bare Infinity, which is not JSON; now they are that text.
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=str)


def _spell_json(value: object) -> str:
    try:
        return json.dumps(value, indent=1, allow_nan=False)
    except ValueError as error:
        raise RunError(
            f"the run holds a number that JSON does not know ({error}); give finite ones"
        ) from error


def load(folder: str | Path) -> Dissection:
    """Read a run that `save` wrote. Raises `RunError` where the folder holds none, or a broken one.

    An unfinished run has no run.json; go on with it with `unitscope dissect ... --resume`.
    """
    path = Path(folder)
    try:
        about = _read_json(path / "run.json")
    except FileNotFoundError as error:
        hint = "an unfinished run; go on with --resume" if (path / "shards").exists() else "no run.json"
        raise RunError(f"{path} holds {hint}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path / 'run.json'}: {error}") from error
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise RunError(f"{path} has format {found}, this version reads {FORMAT}; dissect again")
    try:
        vocabulary = Vocabulary(tuple(Concept(*entry) for entry in about["vocabulary"]))
        convention = Convention(**about["recipe"]["convention"])
        layers = {
            entry["layer"]: _load_layer(entry, path / entry["file"], vocabulary, convention)
            for entry in about["layers"]
        }
        keys = {int(image): key for image, key in about["keys"].items()}
        run = Dissection(layers, vocabulary, convention, about["recipe"], keys, dict(about["times"]))
        _ = layers[about["recipe"]["layers"][0]], run.source, run.frame
    except _DAMAGES as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"the run in {path} is damaged: {reason}; dissect again") from error
    return run


def _about(run: Dissection) -> dict[str, object]:
    summaries = []
    for name, layer in zip(_file_names(list(run.layers)), run.layers.values(), strict=True):
        sure = layer.confidence
        summaries.append(
            {
                "layer": layer.layer,
                "file": name,
                "units": len(layer),
                "map_size": layer.map_size,
                "mask_size": layer.mask_size,
                "images": layer.images,
                "detectors": layer.detectors,
                "unique": layer.unique,
                "shifts": sure.shifts if sure else 0,
                "chance_detectors": sure.chance_detectors if sure else None,
                "chance_discoveries": sure.chance_discoveries if sure else None,
                "warnings": layer.warnings,
            }
        )
    return {
        "format": FORMAT,
        "recipe": run.recipe,
        "layers": summaries,
        "times": run.times,
        "vocabulary": [[concept.id, concept.name, concept.category] for concept in run.vocabulary],
        "keys": run.keys,
    }


def _save_layer(layer: LayerDissection, path: Path) -> None:
    arrays: dict[str, Any] = {name: getattr(layer, name) for name in _COUNTS}
    arrays |= {f"exemplar_{name}": getattr(layer.exemplars, name) for name in _EXEMPLARS}
    if layer.confidence is not None:
        arrays |= {name: getattr(layer.confidence, name) for name in _CONFIDENCE}
    if layer.pairs is not None:
        arrays |= {f"pair_{name}": getattr(layer.pairs, name) for name in _PAIRS}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def _load_layer(
    entry: Mapping[str, Any], path: Path, vocabulary: Vocabulary, convention: Convention
) -> LayerDissection:
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    _check_shapes(arrays, entry["units"], vocabulary)
    confidence = None
    if entry["shifts"]:
        controls = {name: entry[name] for name in ("shifts", "chance_detectors", "chance_discoveries")}
        confidence = Confidence(**{name: arrays[name] for name in _CONFIDENCE}, **controls)
    return LayerDissection(
        layer=entry["layer"],
        map_size=tuple(entry["map_size"]),
        mask_size=tuple(entry["mask_size"]),
        images=entry["images"],
        vocabulary=vocabulary,
        convention=convention,
        **{name: arrays[name] for name in _COUNTS},
        exemplars=Exemplars(*(arrays[f"exemplar_{name}"] for name in _EXEMPLARS)),
        confidence=confidence,
        pairs=Pairs(*(arrays[f"pair_{name}"] for name in _PAIRS)) if "pair_quality" in arrays else None,
        warnings=tuple(entry["warnings"]),
    )


def _check_shapes(arrays: Mapping[str, np.ndarray], units: int, vocabulary: Vocabulary) -> None:
    """Raise `ValueError` for arrays of another run, network or vocabulary."""
    categories, ranks = len(vocabulary.categories), arrays["exemplar_images"].shape[1]
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("thresholds", "active", *_CONFIDENCE), (units,)),
        "active_in": (units, categories),
        "pixels_in": (categories,),
        "concept_pixels": (vocabulary.size,),
        "intersections": (units, vocabulary.size),
        **{f"pair_{name}": (units, vocabulary.size) for name in _PAIRS},
        "exemplar_images": (units, ranks),
        "exemplar_peaks": (units, ranks),
        "exemplar_offsets": (units * ranks + 1,),
        "exemplar_runs": (arrays["exemplar_offsets"][-1], 3),
    }
    for name, array in arrays.items():
        if array.shape != shapes.get(name, array.shape):
            raise ValueError(f"{name} has shape {array.shape} instead of {shapes[name]}")


def unit_row(unit: Unit) -> list[str]:
    """One row of units.csv: numbers with nine significant digits, names safe in a spreadsheet."""
    figures = {
        **{name: f"{getattr(unit, name):.9g}" for name in COLUMNS if name.startswith(("iou", "p_", "q_"))},
        "layer": guard_cell(unit.layer),
        "unit": str(unit.unit),
        "concept": guard_cell(unit.concept.name if unit.concept else ""),
        "category": guard_cell(unit.concept.category if unit.concept else ""),
        "detector": str(int(unit.detector)),
        "threshold": f"{unit.threshold:.9g}",
        "active_pixels": str(unit.active_pixels),
        "concept_pixels": str(unit.concept_pixels),
        "intersection": str(unit.intersection),
        "runner_up": guard_cell(unit.runner_up.name if unit.runner_up else ""),
        "runner_up_iou": f"{unit.runner_up_iou:.9g}",
        "heldout_iou": f"{unit.heldout_iou:.9g}",
    }
    return [figures[name] for name in COLUMNS]


def guard_cell(text: str) -> str:
    """The text with an apostrophe in front where a spreadsheet would take it for a formula.

    >>> guard_cell("=1+1"), guard_cell("cat")
    ("'=1+1", 'cat')
    """
    return "'" + text if text.startswith(_FORMULA) else text


def read_thresholds(path: str | Path) -> dict[str, np.ndarray]:
    """Thresholds by layer, float32[unit], from a CSV with columns layer, unit, threshold.

    Another run's `units.csv` serves. Raises `RunError` naming the line that is wrong.
    """
    found: dict[str, dict[int, float]] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = {"layer", "unit", "threshold"} - set(rows.fieldnames or ())
            if missing:
                raise RunError(f"{path} has no column {min(missing)}; layer, unit, threshold are needed")
            for row in rows:
                try:
                    layer, unit = row["layer"].removeprefix("'"), int(row["unit"])
                    if unit in found.setdefault(layer, {}):
                        raise ValueError(f"unit {unit} of layer {layer} stands here a second time")
                    found[layer][unit] = _number(row["threshold"])
                except (ValueError, TypeError, AttributeError) as error:
                    raise RunError(f"{path} line {rows.line_num}: {error}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"cannot read {path}: {error}") from error
    if not found:
        raise RunError(f"{path} has no rows; one for every unit is needed")
    for layer, units in found.items():
        if sorted(units) != list(range(len(units))):
            raise RunError(f"{path}: the units of layer {layer} are not 0 to {len(units) - 1}")
    return {
        layer: np.array([units[unit] for unit in range(len(units))], np.float32)
        for layer, units in found.items()
    }


def _number(text: str) -> float:
    number = float(text)
    if np.isnan(number):
        raise ValueError("a threshold must be a number, not nan")
    return number


def _write_units(run: Dissection, path: Path) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for layer in run.layers.values():
            writer.writerows(unit_row(unit) for unit in layer)


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def _file_names(layers: list[str]) -> list[str]:
    """A file name for every layer, safe on any file system and unique in the run."""
    names: list[str] = []
    for layer in layers:
        stem = re.sub(r"[^A-Za-z0-9._-]", "-", layer).strip(".") or "layer"
        taken = {name.lower() for name in names}
        number, name = 1, f"{stem}.safetensors"
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}.safetensors"
        names.append(name)
    return names


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write to {folder}: {error}; free some space or name another --out") from error
