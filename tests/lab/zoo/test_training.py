"""Trainings of the zoo: the same again, and the same after a stop."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import deterministic

from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.lab.zoo import game, training, training_steps
from unitscope.lab.zoo.pictures import PictureSet, paint_one, paint_pictures
from unitscope.lab.zoo.recipes import RECIPES
from unitscope.lab.zoo.training import find_rate, run_trainer, train
from unitscope.lab.zoo.training_steps import draw_batch
from unitscope.lab.zoo.weights_files import find_recipe, load_zoo, read_module, save_weights

SMALL = {"pictures": 6, "steps": 4, "batch": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


def weights(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


class StoppedError(Exception):
    """A training that was stopped."""


def train_until(last, recipe, out, monkeypatch, **options):
    """Trains until a step, which stops it."""

    def stop(recipe, step):
        if step == last:
            raise StoppedError
        return find_rate(recipe, step)

    with monkeypatch.context() as patch:
        patch.setattr(training, "find_rate", stop)
        with pytest.raises(StoppedError):
            train(recipe, out, **options)


def test_convolutions_are_in_bfloat16_on_every_processor(tmp_path, monkeypatch):
    assert "HALF = True\n" in Path(training_steps.__file__).read_text(
        "utf-8"
    )  # tests may have switched it off
    recipe = replace(RECIPES["scene-classifier"], **SMALL)
    made = {}
    for half in (True, False):
        monkeypatch.setattr(training_steps, "HALF", half)
        with training_steps.half_precision():
            assert nn.Conv2d(3, 2, 1)(torch.ones(1, 3, 4, 4)).dtype == (
                torch.bfloat16 if half else torch.float32
            )
        made[half] = train(recipe, tmp_path / str(half)).network
    for one, other in zip(made[True].parameters(), made[False].parameters(), strict=True):
        assert one.dtype == torch.float32
        assert one.isfinite().all()
        assert torch.allclose(one, other, atol=0.05)
    assert any(
        not torch.equal(*pair) for pair in zip(made[True].parameters(), made[False].parameters(), strict=True)
    )


@pytest.mark.parametrize("name", list(RECIPES))
def test_the_same_seed_gives_the_same_weights_also_after_a_stop(name, folder, monkeypatch):
    monkeypatch.setattr(game, "SETTLED", 4)  # fewer are the same again too
    recipe = replace(RECIPES[name], **SMALL)
    whole, cut, other = (folder / f"{name}-{kind}" for kind in ("whole", "cut", "other"))
    found = weights(train(recipe, whole, seed=3, every=2, keep=(1,)).network)
    train_until(1, recipe, other, monkeypatch, seed=4, keep=(1,))
    first = [(home / "step-1.safetensors").read_bytes() for home in (whole, other)]
    assert first[0] != first[1]

    train_until(3, recipe, cut, monkeypatch, seed=3, every=2)
    assert_equal(found, weights(train(recipe, cut, seed=3, every=2).network))
    assert (whole / "curve.csv").read_text() == (cut / "curve.csv").read_text()


def test_another_recipe_does_not_go_on_in_the_same_folder(folder):
    recipe = replace(RECIPES["scene-classifier"], **SMALL)
    train(recipe, folder / "mine", seed=0)
    with pytest.raises(RunError, match="another training"):
        train(replace(recipe, batch=1), folder / "mine", seed=0)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(RunError, match=r"cannot write .*; name another folder"):
        train(replace(RECIPES["scene-classifier"], **SMALL), tmp_path / "file")


@pytest.mark.parametrize("content", [b"", b"torn", "half", {"step": 2}, [1]], ids=str)
def test_a_damaged_checkpoint_is_told(content, folder):
    recipe = replace(RECIPES["scene-classifier"], **SMALL)
    whole = folder / "whole-checkpoint"
    train(recipe, whole, seed=0)
    path = folder / "damaged" / "checkpoint.pt"
    path.parent.mkdir(exist_ok=True)
    if isinstance(content, dict | list):
        torch.save(content, path)
    else:
        written = (whole / "checkpoint.pt").read_bytes()
        path.write_bytes(written[: len(written) // 2] if content == "half" else content)
    with pytest.raises(RunError, match=r"is damaged .*; delete it to begin again"):
        train(recipe, path.parent, seed=0)


def settings():
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        deterministic.fill_uninitialized_memory,
        float(torch.tensor(1e-310, dtype=torch.float64) * 1.0) == 0,
    )


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("other", [False, True])
def test_every_setting_of_torch_comes_back(other, failing, tmp_path):
    class Quiet:
        modules, optimizers = {}, {}

        def learn(self, step, rate):
            assert settings()[:4] == (1, True, False, False)
            if failing:
                raise ValueError("stop")
            return {"loss": 0.0}

        def result(self):
            return nn.Identity()

    recipe = replace(RECIPES["scene-classifier"], **SMALL, threads=1)
    threads, *_ = settings()
    try:
        if other:
            torch.set_num_threads(2)
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.set_flush_denormal(True)
        deterministic.fill_uninitialized_memory = not other
        before = settings()
        with pytest.raises(ValueError, match="stop") if failing else nullcontext():
            run_trainer(recipe, Quiet, tmp_path / "quiet", quiet=True)
        assert settings() == before
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)
        deterministic.fill_uninitialized_memory = True


def test_text_files_are_utf_8_everywhere(tmp_path):
    code = """if True:
        import sys, warnings
        from pathlib import Path
        import numpy as np
        from unitscope.lab.zoo import pictures, training
        from unitscope.lab.zoo import weights_files
        from unitscope.lab.zoo import trained_models

        warnings.filterwarnings("error", category=EncodingWarning, module="unitscope")
        folder, model = Path(sys.argv[1]), trained_models.StudyModel(trained_models.COURSE, 0)
        weights_files.shipped_digests()
        training._log(folder / "curve.csv", 0, {"loss": 0.0})
        training._cut_log(folder / "curve.csv", 1)

        def paint(wanted, home, workers):
            np.save(home / "images.npy", np.zeros((1, 8, 8, 3), np.uint8))
            np.save(home / "labels.npy", np.zeros((1, 3, 8, 8), np.uint8))

        pictures._paint_into = paint
        pictures.paint_pictures(pictures.PictureSet(("park",), 1, 0, 8), folder)
        (folder / model.key).mkdir()
        (folder / model.key / "taught.json").write_text('{"seconds": 1}', encoding="utf-8")
        trained_models.seconds_of(model, folder)
    """
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_torch_is_left_as_it_was(folder):
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.random.get_rng_state(),
    )
    train(replace(RECIPES["scene-classifier"], **SMALL, threads=1), folder / "polite", seed=0)
    after = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.random.get_rng_state(),
    )
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])


def test_rates_rise_then_fall():
    for recipe in RECIPES.values():
        rates = [find_rate(recipe, step) for step in range(recipe.steps)]
        # They rise for a tenth of the steps at most, while the cosine falls by no more than this.
        assert recipe.rate * (1 + np.cos(np.pi / 10)) / 2 <= max(rates) <= recipe.rate
        assert rates[-1] < recipe.rate * 0.02
        top = int(np.argmax(rates))
        assert all(b <= a + 1e-12 for a, b in zip(rates[top:], rates[top + 1 :], strict=False))


def test_pictures_are_those_of_the_drawn_world(tmp_path):
    wanted = PictureSet(("park", "office"), 5, 7, 32)
    pictures = paint_pictures(wanted, tmp_path)
    again = paint_pictures(wanted, tmp_path)
    assert pictures.kinds.tolist() == [0, 1, 0, 1, 0]
    for i in range(5):
        image, labels = paint_one(wanted, i)
        np.testing.assert_array_equal(pictures.images[i], image)
        np.testing.assert_array_equal(again.labels[i], labels)


def test_chunks_painted_by_other_processes_are_the_same(tmp_path, monkeypatch):
    wanted = PictureSet(("park", "office"), 5, 7, 32)
    whole = paint_pictures(wanted, tmp_path / "whole")
    monkeypatch.setattr("unitscope.lab.zoo.pictures._CHUNK", 3)
    parts = paint_pictures(wanted, tmp_path / "parts", workers=1)
    np.testing.assert_array_equal(parts.images, whole.images)
    np.testing.assert_array_equal(parts.labels, whole.labels)


def test_a_batch_depends_on_seed_and_step_alone(tmp_path):
    pictures = paint_pictures(PictureSet(("park", "office"), 12, 7, 32), tmp_path)
    one, same, other = (draw_batch(pictures, 6, 1, step) for step in (4, 4, 5))
    assert torch.equal(one.images, same.images)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (6, 3, 32, 32)
    assert float(one.images.min()) >= -1


def test_weights_come_back_from_their_file(tmp_path):
    network = load_zoo("scene-classifier", random=1)
    digest = save_weights(network.module, tmp_path / "a.safetensors")
    assert save_weights(network.module, tmp_path / "b.safetensors") == digest
    back = read_module(find_recipe("scene-classifier"), tmp_path / "a.safetensors")
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(back(images), network.module(images), atol=0.02, rtol=0.02)


def test_unknown_and_unfit_networks_are_refused(tmp_path):
    with pytest.raises(UsageError, match="scene-classifier, scene-transformer, segmenter, generator"):
        load_zoo("classifier")
    save_weights(load_zoo("segmenter", random=0).module, tmp_path / "s.safetensors")
    with pytest.raises(NetworkError, match="does not fit"):
        load_zoo("scene-classifier", weights=tmp_path / "s.safetensors")
    with pytest.raises(NetworkError, match="zoo train"):
        load_zoo("scene-classifier", weights=tmp_path / "none.safetensors")
