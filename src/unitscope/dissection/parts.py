"""A run made by several jobs that know nothing of each other: each scans a part, the last names the units."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention
from unitscope.dissection.dissect import Options, prepare, settle_convention
from unitscope.dissection.naming import name_run
from unitscope.dissection.outline import Outline
from unitscope.dissection.recipe import Recipe
from unitscope.dissection.result import Dissection
from unitscope.dissection.run_cells import score_run
from unitscope.dissection.run_files import read_json
from unitscope.dissection.storage import SPACE, Workspace, join_workspace, lock_workspace
from unitscope.dissection.workers import find_naming_device, scan_missing
from unitscope.errors import RunError, UsageError, writing
from unitscope.networks.network import Network
from unitscope.statistics.quantiles import SparseThreshold
from unitscope.statistics.scan import Machine
from unitscope.statistics.shards import Origin, shard_path
from unitscope.statistics.store import Store
from unitscope.statistics.threads import open_threads

_POLL = 0.5
_DAMAGES = (AttributeError, LookupError, OSError, TypeError, ValueError)


@dataclass(frozen=True)
class Part:
    """One of `count` parts of a run, by `number` from 1: shards `number - 1`, `number - 1 + count`, ...

    Raises `UsageError` for a part that is none.

    >>> list(Part(3, 16).choose(range(40)))
    [2, 18, 34]
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            wanted = f"parts are 1/{self.count} to {self.count}/{self.count}"
            raise UsageError(f"there is no part {self}; {wanted if self.count else 'give one such as 3/16'}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def choose(self, shards: Sequence[int]) -> Sequence[int]:
        """Those of all shards that belong to the part."""
        return shards[self.number - 1 :: self.count]


def read_part(text: str, environment: Mapping[str, str] = os.environ) -> Part:
    """The part that a text names, such as 3/16; `auto` is what torchrun or a Slurm array says.

    Raises `UsageError` for anything else.

    >>> read_part("3/16"), read_part("auto", {"RANK": "2", "WORLD_SIZE": "16"})
    (Part(number=3, count=16), Part(number=3, count=16))
    """
    if text == "auto":
        if (part := find_rank(environment)) is not None:
            return part
        try:
            number, first = (int(environment[f"SLURM_ARRAY_TASK_{name}"]) for name in ("ID", "MIN"))
            count, step = int(environment["SLURM_ARRAY_TASK_COUNT"]), environment.get("SLURM_ARRAY_TASK_STEP")
        except (KeyError, ValueError):
            seen = "no RANK and WORLD_SIZE of torchrun, no SLURM_ARRAY_TASK_ID and _COUNT"
            raise UsageError(f"nothing says which part this is: {seen}; give one such as 3/16") from None
        return Part((number - first) // int(step or 1) + 1, count)
    match = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} is no part of a run; give one such as 3/16, counted from 1, or auto")
    return Part(int(match[1]), int(match[2]))


def find_rank(environment: Mapping[str, str] = os.environ) -> Part | None:
    """The part of a process of torchrun, where this is one of several. Raises `UsageError` for odd ranks."""
    rank, size = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal() and int(size) > 1):
        return None
    return Part(int(rank) + 1, int(size))


def dissect_part(
    network: Network,
    source: ConceptSource,
    layers: Sequence[str],
    part: Part | str,
    *,
    out: str | Path,
    convention: str | Convention = "netdissect",
    quantile: float | None = None,
    sparse_threshold: SparseThreshold | None = None,
    **options: Any,
) -> tuple[int, ...]:
    """Scans one part of a run, into its folder, and stops; `merge_run` names the units once all are there.

    Every part is given the same network, images and options, which are those of `dissect`; any may be the
    first, and several may be at work. What is there already is not done again. The numbers of its shards,
    which come back, are all in the folder then.

    Raises what `dissect` raises, and `RunError` where the folder holds another run.
    """
    part = read_part(part) if isinstance(part, str) else part
    asked = Options(out=out, **{**options, "resume": True})
    rules = settle_convention(convention, quantile, sparse_threshold)
    outline, recipe = prepare(network, source, layers, rules, asked, parts=part.count)
    workspace = join_workspace(Path(out), recipe, asked.mix_machines)
    try:
        workspace.keep_outline(outline.record())
        with writing(workspace.shards, SPACE):
            (workspace.shards / f"parts-{part.count}").touch()
        origin = Origin(recipe.digest, recipe.machine)
        store = Store(workspace.shards, outline.plan, origin, SPACE, asked.machine.memory, asked.mix_machines)
        chosen = part.choose(outline.plan.shards)
        scan_missing(network, source, recipe, store, asked, chosen)
    except RunError:
        if not (workspace.folder / "run.json").exists():
            raise
        # All was there before this part had seen so, and another job has finished the run.
    return tuple(chosen)


def merge_run(
    folder: str | Path,
    *,
    machine: Machine = Machine(),  # noqa: B008 - frozen
    mix_machines: bool = False,
    wait: bool = False,
) -> Dissection:
    """Names the units of a run whose shards are all there, without its network and images, and saves it.

    With `wait`, shards that are not there yet are waited for. Of `machine` threads and memory count.

    Raises `RunError` where the folder holds no run, where shards are missing (which are named, and the parts
    they belong to), or are of another run, or of another machine and that is not allowed by `mix_machines`.
    """
    workspace = Workspace(Path(folder))
    recipe, outline = _read_outline(workspace)
    while wait and _find_missing(workspace, outline):
        time.sleep(_POLL)
    if missing := _find_missing(workspace, outline):
        raise RunError(_say_missing(workspace, outline, missing))
    with lock_workspace(workspace):
        started = time.perf_counter()
        origin = Origin(recipe.digest, recipe.machine)
        store = Store(workspace.shards, outline.plan, origin, SPACE, machine.memory, mix_machines)
        with open_threads(machine.threads) as threads:
            store.find(threads)
        if store.machines != (recipe.machine,):
            recipe = replace(recipe, machines=store.machines)
        device = find_naming_device(machine)
        scan = store.collect()
        run = name_run(scan, outline, recipe, machine.threads, {}, device)
        run = score_run(run, scan, outline.plan, machine)
        run = replace(run, times={"relate": time.perf_counter() - started})
        workspace.finish(run)
    return run


def _read_outline(workspace: Workspace) -> tuple[Recipe, Outline]:
    folder = workspace.folder
    if (folder / "run.json").exists():
        raise RunError(f"{folder} holds a finished run: nothing is left to merge")
    try:
        recipe = Recipe.parse(read_json(workspace.recipe))
        if recipe.quality is not None:
            raise RunError(
                f"the thresholds in {folder} were chosen pair by pair; go on with dissect --resume"
            )
        return recipe, _parse_outline(workspace, recipe)
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "give the folder that unitscope dissect --shards was given as --out"
        raise RunError(f"{folder} holds no run in the making; {hint}") from error
    except _DAMAGES as error:
        raise RunError(f"the run in {folder} is damaged: {error}; dissect again") from error


def _parse_outline(workspace: Workspace, recipe: Recipe) -> Outline:
    try:
        return Outline.parse(workspace.read_outline(), recipe)
    except FileNotFoundError as error:
        seen = f"{workspace.outline} is missing"
        raise RunError(f"{seen}; run any part again, which writes it") from error
    except _DAMAGES as error:
        raise RunError(
            f"{workspace.outline} is damaged: {error}; run any part again, which mends it"
        ) from error


def _find_missing(workspace: Workspace, outline: Outline) -> list[int]:
    return [number for number in outline.plan.shards if not shard_path(workspace.shards, number).exists()]


def _say_missing(workspace: Workspace, outline: Outline, missing: Sequence[int]) -> str:
    named = ", ".join(map(str, missing[:8])) + (", ..." if missing[8:] else "")
    seen = f"{len(missing)} of {len(outline.plan.shards)} shards are missing in {workspace.folder} ({named})"
    counts = [path.name.removeprefix("parts-") for path in workspace.shards.glob("parts-*")]
    if len(counts) != 1 or not counts[0].isdecimal():
        return f"{seen}; go on with unitscope dissect --resume"
    parts = sorted({number % int(counts[0]) + 1 for number in missing})
    some = ", ".join(f"{part}/{counts[0]}" for part in parts[:8]) + (", ..." if parts[8:] else "")
    return f"{seen}: they belong to --shards {some}; run these again with unitscope dissect"
