"""The folder of a fit in the making, from which it goes on after a kill; gone once its file is whole."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from unitscope.errors import RunError, UsageError, writing
from unitscope.files import create_whole, write_whole

_KEY = "unitscope.fit"
_STATE, _RECIPE = "state.safetensors", "recipe.json"


@dataclass(frozen=True)
class Unfinished:
    """Where a fit in the making keeps its cells, in `folder`, and how far it is; nowhere without a folder."""

    folder: Path | None

    def save(self, tensors: Mapping[str, Tensor], done: int) -> None:
        """Keeps how far the work is. Raises `RunError` where that cannot be written."""
        if self.folder is not None:
            whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            write_whole(self.folder / _STATE, save(whole, {_KEY: json.dumps({"done": done})}))

    def load(self) -> tuple[dict[str, Tensor], int]:
        """What `save` kept, and how much was done; nothing and 0 where there is none.

        Raises `RunError` where it is damaged.
        """
        if self.folder is None or not (self.folder / _STATE).is_file():
            return {}, 0
        path = self.folder / _STATE
        try:
            with safe_open(path, "pt") as file:
                done = int(json.loads(file.metadata()[_KEY])["done"])
                return {name: file.get_tensor(name) for name in file.keys()}, done  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}); delete it to begin again") from error


NOWHERE = Unfinished(None)
"""Of a fit that keeps nothing until its end."""


def name_folder(out: Path) -> Path:
    """The folder of the fit whose file will be `out`.

    >>> name_folder(Path("saes/sae.safetensors")).as_posix()
    'saes/sae.safetensors.unfinished'
    """
    return out.with_name(f"{out.name}.unfinished")


def check_out(out: Path, resume: bool) -> None:
    """Raises `UsageError` or `RunError` where a fit cannot write its file, or begin; nothing is written."""
    if out.suffix != ".safetensors":
        raise UsageError(f"directions are written as FILE.safetensors, not {out}; name it so with --out")
    if out.exists():
        raise RunError(f"{out} is there already; name another file with --out, or delete it")
    folder = name_folder(out)
    if (folder / _RECIPE).exists() and not resume:
        raise RunError(f"{folder} holds an unfinished fit; go on with --resume, or delete it")


@contextmanager
def open_unfinished(out: Path | None, recipe: Mapping[str, Any], resume: bool) -> Iterator[Unfinished]:
    """The folder of a new or a resumed fit, for this process alone; removed if nothing goes wrong.

    Raises what `check_out` raises, and `RunError` where it was begun with another recipe, naming what
    differs, or another process is at work in it.
    """
    if out is None:
        yield NOWHERE
        return
    folder = name_folder(out)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            check_out(out, resume)
            _begin(folder / _RECIPE, recipe)
            try:
                yield Unfinished(folder)
            except UsageError:  # it will not go on: what was asked for cannot be
                shutil.rmtree(folder, ignore_errors=True)
                raise
    except Timeout as error:
        raise RunError(f"another process is at work in {folder}; wait, or name another --out") from error
    shutil.rmtree(folder, ignore_errors=True)


def _begin(path: Path, recipe: Mapping[str, Any]) -> None:
    wanted = json.loads(json.dumps(recipe))
    if create_whole(path, json.dumps(wanted, indent=1, sort_keys=True) + "\n"):
        return
    try:
        begun = json.loads(path.read_text("utf-8"))
        differing = sorted(key for key in {*begun, *wanted} if begun.get(key) != wanted.get(key))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}); delete {path.parent} to begin again") from error
    if differing:
        key = differing[0]
        seen = f"{path.parent} was begun with {key} {begun.get(key)!r}, not {wanted.get(key)!r}"
        raise RunError(f"{seen}; ask for the same again, or delete it")
