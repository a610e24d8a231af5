"""The networks of the studies: small, of one scale, trained by a course and kept for the next study."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn

from unitscope.errors import NetworkError, UsageError
from unitscope.files import write_whole
from unitscope.lab.world.names import SCENES
from unitscope.lab.world.source import EDITION
from unitscope.lab.zoo import self_supervised, tasks
from unitscope.lab.zoo.augmentation import vary
from unitscope.lab.zoo.pictures import Pictures, paint_pictures
from unitscope.lab.zoo.processes import open_processes
from unitscope.lab.zoo.recipes import Course
from unitscope.lab.zoo.styles import STYLES, UNITS, Make
from unitscope.lab.zoo.tasks import Figures, Task
from unitscope.lab.zoo.training import CHECKPOINT, run_trainer
from unitscope.lab.zoo.training_steps import Batch, NetworkTrainer, draw_batch, half_precision
from unitscope.lab.zoo.weights_files import INPUT, save_weights
from unitscope.networks.network import Network
from unitscope.networks.weights import random_weights
from unitscope.progress import follow_each

LAYERS = ("layer1", "layer2", "layer3", "layer4", "layer5")
LAST = LAYERS[-1]

TRAINING_EDITION = 1
"""Goes up whenever the same course gives other weights, so that kept ones are not taken for them."""

TASKS: dict[str, Callable[[], Task]] = {
    "scenes": tasks.Scenes,
    "objects": tasks.Objects,
    "both": tasks.Both,
    "captions": tasks.Captions,
    "jigsaw": self_supervised.Jigsaw,
    "rotation": self_supervised.Turns,
    "colorization": self_supervised.Colorize,
    "cross-channel": self_supervised.CrossChannel,
    "autoencoding": self_supervised.Autoencode,
    "contrastive": self_supervised.Contrast,
    "frame order": self_supervised.FrameOrder,
    "egomotion": self_supervised.Egomotion,
}
"""What a network may be trained to do."""


class Student(nn.Module):
    """Five stages, `layer1` to `layer5`, and a head over the maps of the last."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module
    layer5: nn.Module

    def __init__(self, preprocess: nn.Module, stages: Sequence[nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        for name, stage in zip(LAYERS, stages, strict=True):
            self.add_module(name, stage)
        self.head = head

    def features(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n unit cell_y cell_x"]:
        """The maps of the last stage."""
        maps = self.preprocess(images).contiguous(memory_format=torch.channels_last)
        for name in LAYERS:
            maps = getattr(self, name)(maps)
        return cast("Tensor", maps)

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Tensor:
        return cast("Tensor", self.head(self.features(images)))


class _Pair(nn.Module):
    """Two stages side by side, each with its half of the channels."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, maps: Float[Tensor, "n c y x"]) -> Float[Tensor, "n k v u"]:
        one, other = maps.chunk(2, 1)
        return torch.cat([self.first(one), self.second(other)], 1)


def build_student(course: Course) -> Student:
    """The network of a course, untrained: its weights are those that torch's random numbers give it.

    Raises `UsageError` for an unknown style or task.

    >>> build_student(COURSE)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 24])
    """
    for kind, name, known in (("style", course.style, STYLES), ("task", course.task, TASKS)):
        if name not in known:
            raise UsageError(f"there is no {kind} {name!r}; there are {', '.join(known)}")
    task, units = TASKS[course.task](), round(UNITS * course.width)
    style = STYLES[course.style]
    if task.split:
        make = Make(units // 2, course.norm)
        stages: list[nn.Module] = [_Pair(a, b) for a, b in zip(style(make), style(make), strict=True)]
    else:
        stages = style(Make(units, course.norm))
    return Student(task.preprocess(), stages, task.head(units, course.dropout))


class StudentTrainer(NetworkTrainer):
    """A network of a course in training, by its task."""

    def __init__(self, course: Course, pictures: Pictures, seed: int, start: Path | None = None) -> None:
        self.course, self.pictures, self.seed = course, pictures, seed
        self.task = TASKS[course.task]()
        self.count = max(2, round(course.batch * self.task.pictures))
        self.student = build_student(course)
        if start is not None:
            _take_stages(self.student, start)
        super().__init__(self.student, course.rate, course.decay)

    def find_loss(self, step: int) -> tuple[Tensor, Figures]:
        """The loss of the task over a batch, and its figures."""
        batch = draw_batch(self.pictures, self.count, self.seed, step)
        rng = np.random.default_rng((self.seed, step, 1))
        if self.course.augment:
            batch = Batch(vary(rng, batch.images), batch.kinds, batch.labels)
        with half_precision():
            return self.task.find_loss(self.student, batch, rng)


def _take_stages(network: Student, path: Path) -> None:
    """Gives a network the stages of another one, not its head."""
    state = {name: value for name, value in load_file(path).items() if not name.startswith("head.")}
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(not name.startswith("head.") for name in missing):
        raise NetworkError(f"{path} has other stages than the network that is to start from it")


@dataclass(frozen=True)
class StudyModel:
    """One network of a study: a course, and the seed of the first weights and of the pictures' order."""

    course: Course
    seed: int

    @property
    def key(self) -> str:
        """A name for the folder of its weights, made from all that they depend on."""
        torched = torch.__version__.split("+")[0]
        settings = f"{self.course} seed={self.seed} edition={EDITION}.{TRAINING_EDITION} torch={torched}"
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        return f"{self.course.name.replace(' ', '-')}-{self.seed}-{digest}"

    @property
    def start(self) -> "StudyModel | None":
        """The model that this one starts from."""
        return None if self.course.start is None else StudyModel(self.course.start, self.seed)


def train_models(models: Sequence[StudyModel], folder: Path, *, jobs: int = 1) -> dict[StudyModel, Path]:
    """The weights of every model, trained into `folder` unless they are there already.

    `jobs` are trained at a time, each on a core of its own. A training that was stopped is resumed.
    """
    wanted = list(dict.fromkeys(models))
    starts = list(dict.fromkeys(start for one in wanted if (start := one.start)))
    for some in (starts, wanted):
        left = [one for one in some if not _weights(one, folder).is_file()]
        if not left:
            continue
        for pictures in dict.fromkeys(one.course.picture_set for one in left):
            paint_pictures(pictures, folder / "pictures")
        if jobs == 1 or len(left) == 1:
            for one in left:
                train_model(one, folder)
        else:
            _train_together(left, folder, jobs)
    return {one: _weights(one, folder) for one in wanted}


def _train_together(models: Sequence[StudyModel], folder: Path, jobs: int) -> None:
    with open_processes(jobs) as pool:
        waiting = [pool.submit(train_model, one, folder, quiet=True) for one in models]
        for done in follow_each(as_completed(waiting), "training", "networks", len(waiting)):
            done.result()


def train_model(model: StudyModel, folder: Path, *, quiet: bool = False) -> Path:
    """Trains one model in a folder of its own, which keeps its weights and how long it took; their path."""
    course, target = model.course, _weights(model, folder)
    start = None if model.start is None else _weights(model.start, folder)
    begun = time.perf_counter()
    pictures = paint_pictures(course.picture_set, folder / "pictures")
    done = run_trainer(
        course,
        lambda: StudentTrainer(course, pictures, model.seed, start),
        target.parent,
        seed=model.seed,
        keep=course.keep,
        data="students",
        quiet=quiet,
    )
    record = {"course": course.name, "seed": model.seed, "seconds": round(time.perf_counter() - begun, 1)}
    text = json.dumps({**record, "recipe": asdict(course)}, indent=1) + "\n"
    write_whole(target.with_name("taught.json"), text)
    save_weights(done.network, target)
    (target.parent / CHECKPOINT).unlink(missing_ok=True)
    return target


def _weights(model: StudyModel, folder: Path) -> Path:
    return folder / model.key / "weights.safetensors"


def seconds_of(model: StudyModel, folder: Path) -> float:
    """How long the training of a model took; 0 for a model that was never trained."""
    path = _weights(model, folder).with_name("taught.json")
    return float(json.loads(path.read_text(encoding="utf-8"))["seconds"]) if path.is_file() else 0.0


def open_student(model: StudyModel, folder: Path | None, step: int | None = None) -> Network:
    """A trained model as a network, or as it was after `step`; with folder None, its random weights.

    Raises `NetworkError` where the file is missing.
    """
    with random_weights(model.seed):
        module = build_student(model.course)
    name = f"{model.course.name} {model.seed}"
    if folder is not None:
        path = _weights(model, folder)
        path = path if step is None else path.with_name(f"step-{step}.safetensors")
        if not path.is_file():
            raise NetworkError(f"there are no weights at {path}; run the study again")
        module.load_state_dict(load_file(path))
    classes = SCENES if model.course.task == "scenes" else ()
    return Network(module.eval(), INPUT, classes, name)


STEPS = 1024
COURSE = Course(
    *("baseline", "student", SCENES, 16_000, STEPS, 64, 2e-3),
    dropout=0.3,
    keep=tuple(2**power for power in range(11)),
)
"""What all studies start from: VGG-style, trained on scenes, its weights kept at powers of two."""
