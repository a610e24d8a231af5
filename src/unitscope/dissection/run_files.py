"""The files of a run, replaced whole: run.json, tables, one safetensors file a layer (docs/files.md)."""

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from unitscope.errors import RunError
from unitscope.tables import spell_csv

FORMAT = 1
"""The version of the files of a run; it rises when a reader of the old ones would go wrong."""


MAY_BE = ("cells.csv", "cell_summary.csv")
"""Tables that not every run has."""

_LONGEST = 150
"""Letters of a layer's name in that of its file: file systems take 255, and directions may name a path."""


def write_run(
    folder: Path,
    about: Mapping[str, Any],
    layers: Mapping[str, Mapping[str, np.ndarray]],
    tables: Mapping[str, Iterable[Sequence[str]]],
) -> None:
    """Writes `about` as run.json, the rows of tables and the arrays of layers by the names of their files.

    A run that the folder holds is replaced: see `Dissection.save`. Raises `RunError` where that fails.
    """
    new = folder / ".part"
    text = spell_json(about)
    with writing_run(folder):
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir(parents=True)
            for name, arrays in layers.items():
                save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, new / name)
            for name, rows in tables.items():
                (new / name).write_text(spell_csv(rows), encoding="utf-8", newline="")
            (new / "run.json").write_text(text + "\n", encoding="utf-8")
            _replace_run(folder, new, [*layers, *tables, "run.json"])
        finally:
            shutil.rmtree(new, ignore_errors=True)


def _replace_run(folder: Path, new: Path, names: list[str]) -> None:
    try:
        kept = [str(entry["file"]) for entry in read_json(folder / "run.json")["layers"]]
    except (OSError, LookupError, TypeError, ValueError):
        kept = []  # there is no run that can be read
    layers = [name for name in kept if name == Path(name).name and name.endswith(".safetensors")]
    # The old run.json goes first and the new one comes last: no folder passes for a run with parts of two.
    old = [*layers, *MAY_BE] if kept else layers
    for name in ["run.json", *(name for name in old if name not in names)]:
        (folder / name).unlink(missing_ok=True)
    for name in names:
        os.replace(new / name, folder / name)


def read_json(path: Path) -> Any:
    """The value in a JSON file of a run. Raises `OSError`, `ValueError`."""
    # Infinite thresholds were once written as a bare Infinity, which is not JSON; now they are that text.
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=str)


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with a sum over it, by which damage is seen.

    >>> unseal(seal({"units": 12}))
    {'units': 12}
    >>> unseal({**seal({"units": 12}), "units": 11})
    Traceback (most recent call last):
    ValueError: it is not what was written
    """
    return {**record, "sum": zlib.crc32(json.dumps(record, sort_keys=True).encode())}


def unseal(sealed: Any) -> dict[str, Any]:
    """The record that was sealed. Raises `TypeError` or `ValueError` where it is another one."""
    record = {name: value for name, value in {**sealed}.items() if name != "sum"}
    if seal(record) != sealed:
        raise ValueError("it is not what was written")
    return record


def spell_json(value: object) -> str:
    """The value as JSON. Raises `RunError` for a number that JSON does not know."""
    try:
        return json.dumps(value, indent=1, allow_nan=False)
    except ValueError as error:
        raise RunError(
            f"the run holds a number that JSON does not know ({error}); give finite ones"
        ) from error


def name_files(layers: Iterable[str]) -> list[str]:
    """A file name for every layer, safe on any file system and unique in the run.

    >>> name_files(["layer1.conv", "a/b", "a-b", "fc+sae:runs/sae.pt?k=32"])
    ['layer1.conv.safetensors', 'a-b.safetensors', 'a-b-2.safetensors', 'fc-sae-runs-sae.pt-k-32.safetensors']
    """
    names: list[str] = []
    for layer in layers:
        stem = re.sub(r"[^A-Za-z0-9._-]", "-", layer).strip(".")[:_LONGEST] or "layer"
        taken = {name.lower() for name in names}
        number, name = 1, f"{stem}.safetensors"
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}.safetensors"
        names.append(name)
    return names


@contextmanager
def writing_run(folder: Path) -> Iterator[None]:
    """Tells a folder that cannot be written as a `RunError`."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise RunError(f"cannot write to {folder}: {error}; free some space or name another --out") from error
