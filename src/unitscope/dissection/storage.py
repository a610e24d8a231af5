"""A run on disk: run.json, units.csv, one safetensors file a layer; shards while it is in the making."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.dissection.recipe import MACHINE, Recipe
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.dissection.run_files import FORMAT, read_json, seal, spell_json, unseal, writing_run
from unitscope.errors import RunError, UnitscopeError
from unitscope.files import create_whole, write_whole

_DAMAGES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, OSError, SafetensorError, TypeError,
    UnitscopeError, ValueError,
)  # fmt: skip

SPACE = "free some space and go on with --resume"
"""What to do where there is no room."""


@dataclass(frozen=True)
class Workspace:
    """The folder of a run in the making: what is done is kept in shards until the run is whole."""

    folder: Path

    @property
    def shards(self) -> Path:
        """Where the statistics of finished parts are kept."""
        return self.folder / "shards"

    @property
    def recipe(self) -> Path:
        """The file that says what the parts are made by."""
        return self.shards / "recipe.json"

    @property
    def outline(self) -> Path:
        """The file that says what units are named by, besides the recipe: `Outline`."""
        return self.shards / "outline.json"

    def keep_outline(self, record: Mapping[str, Any]) -> None:
        """Keeps what units will be named by, unless that is there whole already.

        Raises `RunError` where it cannot be written.
        """
        text = spell_json(seal(record)) + "\n"
        if create_whole(self.outline, text, SPACE):
            return
        try:
            unseal(read_json(self.outline))
        except _DAMAGES:
            write_whole(self.outline, text)

    def read_outline(self) -> Mapping[str, Any]:
        """What `keep_outline` kept. Raises `OSError`, `TypeError` or `ValueError` where that is not whole."""
        return unseal(read_json(self.outline))

    def finish(self, run: Dissection) -> None:
        """Save the whole run and drop its parts."""
        run.save(self.folder)
        shutil.rmtree(self.shards, ignore_errors=True)


def check_folder(folder: Path, resume: bool) -> None:
    """Raises `RunError` where no run can begin, or with `resume` go on, in a folder; nothing is written."""
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; name a folder with --out")
    if (folder / "run.json").exists():
        raise RunError(f"{folder} holds a finished run; name another folder with --out, or delete it")
    if Workspace(folder).recipe.exists():
        if not resume:
            raise RunError(f"{folder} holds an unfinished run; go on with --resume, or delete it")
    elif folder.exists() and not _is_free(folder) and not Workspace(folder).recipe.exists():
        raise RunError(f"{folder} is not empty and holds no run; name another folder with --out")


def find_begun(folder: Path) -> Recipe | None:
    """The recipe of the run that was begun in a folder, None where that cannot be told."""
    try:
        return Recipe.parse(read_json(Workspace(folder).recipe))
    except _DAMAGES:
        return None


def _is_free(folder: Path) -> bool:
    """Whether there is nothing in a folder, or what a process leaves that is killed as it begins."""
    begun = Workspace(folder).shards
    names = {path.name for path in begun.iterdir()} if begun.is_dir() else set()
    return {*folder.iterdir()} <= {begun} and all(name == "lock" or name.endswith(".part") for name in names)


@contextmanager
def open_workspace(folder: Path, recipe: Recipe, resume: bool, mixed: bool = False) -> Iterator[Workspace]:
    """The folder of a new or a resumed run, for this process alone as long as the block lasts.

    `mixed` allows parts that other machines made. Raises `RunError` where the folder holds something else, a
    finished run, or the beginnings of a run with another recipe, or where another process is at work in it.
    """
    check_folder(folder, resume)
    workspace = _make_workspace(folder)
    with lock_workspace(workspace):
        check_folder(folder, resume)  # again: the other process may have begun or finished meanwhile
        _begin(workspace, recipe, mixed)
        yield workspace


@contextmanager
def lock_workspace(workspace: Workspace) -> Iterator[None]:
    """Keeps others from naming the units of a run, or from going on with all of it, as long as it lasts.

    Parts (`join_workspace`) may still come in: they only add files. Raises `RunError` where another process
    is at work.
    """
    with ExitStack() as stack:
        with writing_run(workspace.folder):
            try:
                # It ends with the process that holds it, however that ends.
                stack.enter_context(FileLock(workspace.shards / "lock", timeout=0))
            except Timeout as error:
                advice = "wait until it has ended, or name another --out"
                raise RunError(f"another process is at work in {workspace.folder}; {advice}") from error
        yield


def join_workspace(folder: Path, recipe: Recipe, mixed: bool = False) -> Workspace:
    """The folder of a run that others may be at work in too, with the same recipe; the first begins it.

    Raises as `open_workspace`, but for others at work.
    """
    check_folder(folder, resume=True)
    workspace = _make_workspace(folder)
    _begin(workspace, recipe, mixed)
    return workspace


def _make_workspace(folder: Path) -> Workspace:
    workspace = Workspace(folder)
    with writing_run(folder):
        workspace.shards.mkdir(parents=True, exist_ok=True)
    return workspace


def _begin(workspace: Workspace, recipe: Recipe, mixed: bool) -> None:
    if not create_whole(workspace.recipe, spell_json(recipe.record()) + "\n", SPACE):
        compare_recipes(workspace, recipe, mixed)


def compare_recipes(workspace: Workspace, recipe: Recipe, mixed: bool) -> None:
    """Raises `RunError` where the run was begun with another recipe, or, unless `mixed`, machine."""
    new: dict[str, Any] = json.loads(spell_json(recipe.record()))
    try:
        old = dict(read_json(workspace.recipe))
    except (OSError, TypeError, ValueError) as error:
        hint = f"delete {workspace.shards} and begin again"
        raise RunError(f"cannot read {workspace.recipe}: {error}; {hint}") from error
    for one in (old, new):
        one["device"] = str(one.get("device")).partition(":")[0]  # of several alike any may be taken
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if "version" in differing or "processor" not in old:
        raise RunError(
            f"{workspace.folder} was begun by another version of unitscope; "
            f"delete {workspace.shards} and begin again"
        )
    if others := [name for name in differing if name not in MACHINE]:
        named = ", ".join(_spell_change(name, old.get(name), new.get(name)) for name in others)
        raise RunError(f"{workspace.folder} was begun with another {named}; give the same, or another --out")
    told = [f"{name} {old[name]}, now {new.get(name)}" for name in differing if name in old]
    if told and not mixed:
        raise RunError(
            f"{workspace.folder} was begun with {'; '.join(told)}: activations may differ in their last "
            "digits; go on as it was begun, or give --mix-machines"
        )


def _spell_change(name: str, old: object, new: object) -> str:
    """What is another one, with both where they are short."""
    if name == "directions":
        return "file of directions"
    short = all(isinstance(value, str | int | float | None) for value in (old, new))
    return f"{name} ({old}, now {new})" if short else name


def load(folder: str | Path) -> Dissection:
    """The run that `Dissection.save` wrote into a folder.

    Raises `RunError` where the folder holds none, or a damaged one. An unfinished run has no run.json; go on
    with it with `unitscope dissect ... --resume`.
    """
    path = Path(folder)
    try:
        about = read_json(path / "run.json")
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
        recipe = Recipe.parse(about["recipe"])
        layers = {
            entry["layer"]: LayerDissection.restore(
                entry, _read_arrays(path / entry["file"]), vocabulary, recipe
            )
            for entry in about["layers"]
        }
        keys = {int(image): key for image, key in about["keys"].items()}
        run = Dissection(layers, vocabulary, recipe.convention, recipe, keys, dict(about["times"]))
        _ = layers[recipe.layers[0]]
    except _DAMAGES as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"the run in {path} is damaged: {reason}; dissect again") from error
    return run


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with safe_open(path, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


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
                    threshold = float(row["threshold"])
                    if np.isnan(threshold):
                        raise ValueError("a threshold must be a number, not nan")
                    if unit in found.setdefault(layer, {}):
                        raise ValueError(f"unit {unit} of layer {layer} stands here a second time")
                    found[layer][unit] = threshold
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
        layer: np.array([units[unit] for unit in sorted(units)], np.float32) for layer, units in found.items()
    }
