"""Trains a network of the zoo: deterministic, logged, and resumed where it was stopped."""

import csv
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import deterministic

from unitscope.errors import RunError, UsageError, writing
from unitscope.files import whole_file
from unitscope.lab.zoo.contrasting import TowersTrainer
from unitscope.lab.zoo.game import GeneratorTrainer
from unitscope.lab.zoo.pictures import Pictures, paint_pictures
from unitscope.lab.zoo.recipes import Recipe
from unitscope.lab.zoo.training_steps import (
    ClassifierTrainer,
    SegmenterTrainer,
    Trainer,
    TransformerTrainer,
)
from unitscope.lab.zoo.weights_files import find_recipe, save_weights
from unitscope.networks.memory import hold_memory
from unitscope.networks.weights import one_line
from unitscope.progress import follow, silence

CURVE = "curve.csv"
CHECKPOINT = "checkpoint.pt"
_WARM_UP = 200

TRAINERS: dict[str, Callable[[Recipe, Pictures, int], Trainer]] = {
    "classifier": ClassifierTrainer,
    "transformer": TransformerTrainer,
    "segmenter": SegmenterTrainer,
    "generator": GeneratorTrainer,
    "towers": TowersTrainer,
}


@dataclass(frozen=True)
class Trained:
    """A finished training: the network and the folder with its curve."""

    network: nn.Module
    folder: Path


@dataclass(frozen=True)
class TrainedFile:
    """The file with the weights of a network that was trained, and its SHA-256."""

    file: Path
    sha256: str

    def __str__(self) -> str:
        return f"weights: {self.file}  sha256 {self.sha256}"


def find_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step: a short rise, then level, then down along half a cosine to a hundredth.

    The generator's game wants a level rate for long; the other networks fall from the start.
    """
    level = 0.55 if recipe.lesson == "generator" else 0.0
    share = max(0.0, (step / recipe.steps - level) / (1 - level))
    warm_up = min(_WARM_UP, max(1, recipe.steps // 10))
    return recipe.rate * min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def train_zoo(
    name: str,
    out: str | Path = "runs/zoo",
    *,
    seed: int = 0,
    steps: int | None = None,
    pictures: int | None = None,
    keep: tuple[int, ...] = (),
) -> TrainedFile:
    """Trains a network of the zoo in the folder NAME-SEED of `out`; what was stopped there is resumed.

    `steps` and `pictures` are those of its recipe if not given. The file opens with `load_zoo`.

    Raises `UsageError` for an unknown name, and what `train` raises.
    """
    recipe = find_recipe(name)
    steps, pictures = steps or recipe.steps, pictures or recipe.pictures
    recipe = replace(recipe, steps=steps, pictures=pictures)
    done = train(recipe, Path(out) / f"{name}-{seed}", seed=seed, keep=keep)
    file = done.folder / f"{name}.safetensors"
    return TrainedFile(file, save_weights(done.network, file))


def train(
    recipe: Recipe, out: Path, *, seed: int = 0, every: int = 250, keep: tuple[int, ...] = ()
) -> Trained:
    """Trains `recipe` from `seed` in the folder `out`, going on from its last checkpoint.

    Writes `curve.csv` (losses every 25 steps), `checkpoint.pt` every `every` steps, and the weights
    after each of the steps in `keep` as `step-N.safetensors`. The same recipe, seed and torch on the same
    kind of processor give the same weights, stopped in between or not.

    Raises `UsageError` for fewer pictures than a batch has, `RunError` where `out` cannot be written, holds
    another training, or a damaged checkpoint.
    """
    if recipe.pictures < recipe.batch or recipe.steps < 1:
        raise UsageError(
            f"{recipe.steps} steps over {recipe.pictures} pictures; wanted 1 step and a batch of "
            f"{recipe.batch} pictures, or more"
        )
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    pictures = paint_pictures(recipe.picture_set, out.parent / "pictures")
    begin = partial(TRAINERS[recipe.lesson], recipe, pictures, seed)
    return run_trainer(recipe, begin, out, seed=seed, every=every, keep=keep)


def run_trainer(
    recipe: Recipe,
    begin: Callable[[], Trainer],
    out: Path,
    *,
    seed: int = 0,
    every: int = 250,
    keep: tuple[int, ...] = (),
    data: str = "",
    quiet: bool = False,
) -> Trained:
    """Trains with the trainer that `begin` returns, in the way of `train`.

    `data` distinguishes trainings on other data than the recipe's; with `quiet` no progress is shown.

    Raises `RunError` where `out` cannot be written, holds another training or a damaged checkpoint, or where
    the losses are no longer finite.
    """
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    identity = f"{recipe} seed={seed}" + (f" data={data}" if data else "")
    with _repeatable(recipe.threads), torch.random.fork_rng(devices=[]), hold_memory():
        torch.manual_seed(seed)
        trainer = begin()
        start = _resume(trainer, out, identity)
        with (
            silence() if quiet else nullcontext(),
            follow(recipe.steps, recipe.name, "steps", start) as work,
        ):
            for step in range(start, recipe.steps):
                losses = trainer.learn(step, find_rate(recipe, step))
                if step % 25 == 0:
                    work.note = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
                    _log(out / CURVE, step, losses)
                if not all(math.isfinite(value) for value in losses.values()):
                    raise RunError(f"{recipe.name}: the losses at step {step} are {losses}; lower the rate")
                if (step + 1) % every == 0 or step + 1 == recipe.steps:
                    _save(trainer, out / CHECKPOINT, identity, step + 1)
                if step + 1 in keep:
                    save_weights(trainer.result(), out / f"step-{step + 1}.safetensors")
                work.update()
    return Trained(trainer.result(), out)


@contextmanager
def _repeatable(threads: int) -> Iterator[None]:
    """Torch computes with `threads` threads, the same every time; its settings are restored afterwards."""
    before = torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled()
    warning = torch.is_deterministic_algorithms_warn_only_enabled()
    filling = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    # Torch does not say whether it takes the smallest numbers for 0; multiplying one shows it.
    flushing = float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) == 0
    try:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        # Filling fresh memory takes a seventh of the time, and nothing here reads what it has not written.
        deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.set_flush_denormal(True)
        yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(strict, warn_only=warning)
        deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]
        torch.set_flush_denormal(flushing)


def _save(trainer: Trainer, path: Path, identity: str, step: int) -> None:
    state: dict[str, Any] = {"recipe": identity, "step": step, "rng": torch.get_rng_state()}
    state["modules"] = {name: module.state_dict() for name, module in trainer.modules.items()}
    state["optimizers"] = {name: one.state_dict() for name, one in trainer.optimizers.items()}
    with whole_file(path) as unfinished:
        torch.save(state, unfinished)


def _resume(trainer: Trainer, out: Path, identity: str) -> int:
    path = out / CHECKPOINT
    if not path.is_file():
        (out / CURVE).unlink(missing_ok=True)
        return 0
    try:
        state = torch.load(path, weights_only=True)
        held = state["recipe"]
        step = _restore(trainer, state) if held == identity else 0
    except Exception as error:  # torch.load raises whatever its readers raise
        raise RunError(
            f"{path} is damaged and cannot be resumed ({one_line(error)}); delete it to begin again"
        ) from error
    if held != identity:
        raise RunError(f"{out} holds another training ({held}); choose another folder")
    _cut_log(out / CURVE, step)
    return step


def _restore(trainer: Trainer, state: dict[str, Any]) -> int:
    """Puts a trainer, and torch's random numbers, where a checkpoint was written; the step to go on with."""
    for name, module in trainer.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, one in trainer.optimizers.items():
        one.load_state_dict(state["optimizers"][name])
    if "rng" in state:  # older checkpoints were written without
        torch.set_rng_state(state["rng"])
    return int(state["step"])


def _log(path: Path, step: int, losses: dict[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *losses])
        writer.writerow([step, *(f"{value:.6g}" for value in losses.values())])


def _cut_log(path: Path, step: int) -> None:
    """Drops what was logged after the checkpoint from which the training is resumed."""
    if path.is_file():
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if int(row.partition(",")[0]) < step]
        path.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
