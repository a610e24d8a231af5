"""The networks of the studies: every style and task trains, the same again, and from where another ended."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from unitscope.errors import NetworkError, UsageError
from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo import training
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures
from unitscope.lab.zoo.styles import STYLES, UNITS
from unitscope.lab.zoo.trained_models import (
    COURSE,
    LAYERS,
    TASKS,
    StudentTrainer,
    StudyModel,
    build_student,
    open_student,
    seconds_of,
    train_models,
)
from unitscope.lab.zoo.training import CHECKPOINT, find_rate, run_trainer
from unitscope.networks.trace import list_layers

SMALL = replace(COURSE, pictures=12, steps=4, batch=4, keep=(1, 4))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("students")


@pytest.fixture
def pictures(folder):
    return paint_pictures(PictureSet(SCENES, 12, 1000), folder / "pictures")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("width", [0.5, 2.0])
def test_every_style_ends_in_so_many_units_of_8_by_8_cells(style, width):
    student = build_student(replace(COURSE, style=style, width=width)).eval()
    assert student(torch.zeros(2, 3, 64, 64)).shape == (2, len(SCENES))
    shapes = {row.name: row.shape for row in list_layers(student, (64, 64))}
    assert shapes["layer5"] == (UNITS * width, 8, 8)
    assert set(LAYERS) <= set(shapes)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_moves_every_stage_and_says_its_loss(task, pictures):
    torch.manual_seed(0)
    trainer = StudentTrainer(replace(SMALL, task=task), pictures, 0)
    before = {name: value.clone() for name, value in trainer.network.named_parameters()}
    figures = [trainer.learn(step, 1e-3) for step in range(2)]
    assert all(np.isfinite(list(one.values())).all() for one in figures)
    moved = {
        name.split(".")[0]
        for name, value in trainer.network.named_parameters()
        if (value != before[name]).any()
    }
    assert moved == {*LAYERS, "head"}


def test_without_normalization_there_is_none():
    assert not [
        m for m in build_student(replace(COURSE, norm=False)).modules() if isinstance(m, torch.nn.BatchNorm2d)
    ]


def test_half_networks_see_only_their_half():
    student = build_student(replace(COURSE, task="cross-channel")).eval()
    image = torch.rand(1, 3, 64, 64)
    gray = image.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.no_grad():
        colored, bare = student.features(image), student.features(gray)
    half = UNITS // 2
    assert torch.allclose(colored[:, :half], bare[:, :half], atol=1e-5)
    assert not torch.allclose(colored[:, half:], bare[:, half:], atol=1e-3)


def test_a_model_is_trained_once_and_always_the_same(folder, tmp_path):
    model = StudyModel(SMALL, 3)
    first = train_models([model, model], folder)[model]
    written = first.stat().st_mtime_ns
    assert train_models([model], folder)[model].stat().st_mtime_ns == written
    again = train_models([model], tmp_path)[model]
    assert again.read_bytes() == first.read_bytes()
    assert seconds_of(model, folder) > 0
    assert seconds_of(StudyModel(SMALL, 4), folder) == 0
    assert StudyModel(replace(SMALL, dropout=0.5), 3).key != model.key != StudyModel(SMALL, 4).key


def test_a_student_with_dropout_goes_on_after_a_stop_as_if_undisturbed(pictures, tmp_path, monkeypatch):
    assert SMALL.dropout > 0

    def learn(name):
        begin = partial(StudentTrainer, SMALL, pictures, 3)
        found = run_trainer(SMALL, begin, tmp_path / name, seed=3, every=2, quiet=True).network
        return {key: value.clone() for key, value in found.state_dict().items()}

    def stop(recipe, step):
        if step == 3:
            raise KeyboardInterrupt
        return find_rate(recipe, step)

    whole = learn("whole")
    for name in ("cut", "old"):
        with monkeypatch.context() as patch:
            patch.setattr(training, "find_rate", stop)
            with pytest.raises(KeyboardInterrupt):
                learn(name)
    cut = learn("cut")
    assert all(torch.equal(value, cut[key]) for key, value in whole.items())

    state = torch.load(tmp_path / "old" / CHECKPOINT, weights_only=True)
    del state["rng"]
    torch.save(state, tmp_path / "old" / CHECKPOINT)
    assert learn("old").keys() == whole.keys()


def test_checkpoints_open_and_the_last_is_the_whole(folder):
    model = StudyModel(SMALL, 3)
    train_models([model], folder)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        random, early, last, whole = (
            network.module(image)
            for network in (
                open_student(model, None),
                open_student(model, folder, 1),
                open_student(model, folder, 4),
                open_student(model, folder),
            )
        )
    assert torch.equal(last, whole)
    assert not torch.equal(random, early)
    assert not torch.equal(early, last)
    with pytest.raises(NetworkError, match="run the study again"):
        open_student(model, folder, 2)


def test_a_model_goes_on_from_the_stages_of_another(folder):
    further = StudyModel(
        replace(SMALL, name="on", task="objects", start=SMALL, steps=1, rate=0.0, keep=()), 3
    )
    paths = train_models([further], folder)
    start, end = (
        load_file(train_models([StudyModel(SMALL, 3)], folder)[StudyModel(SMALL, 3)]),
        load_file(paths[further]),
    )
    stages = [
        name for name in start if name.startswith("layer") and "running" not in name and "batches" not in name
    ]
    assert stages
    # A rate of nothing leaves what it started from, but for the decay of a step and the rounding to halves.
    assert all(torch.allclose(start[name].float(), end[name].float(), atol=2e-3) for name in stages)
    assert end["head.3.weight"].shape != start["head.3.weight"].shape


def test_unknown_styles_and_tasks_are_told():
    with pytest.raises(UsageError, match="there is no style 'lenet'; there are alexnet"):
        build_student(replace(COURSE, style="lenet"))
    with pytest.raises(UsageError, match="there is no task 'chess'; there are scenes"):
        build_student(replace(COURSE, task="chess"))
