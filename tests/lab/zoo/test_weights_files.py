"""What ships: weights that are what they claim to be, and cards that tell how good they are."""

import hashlib
import re
from importlib.resources import files

import pytest
import torch

from unitscope.errors import NetworkError, UsageError
from unitscope.lab.zoo import weights_files
from unitscope.lab.zoo.cards import grade_zoo
from unitscope.lab.zoo.recipes import RECIPES
from unitscope.lab.zoo.weights_files import load_zoo, read_module, save_weights, shipped_digests

WEIGHTS = files("unitscope.lab.zoo") / "weights"
PICTURES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


def test_every_network_ships_with_its_digest_in_few_megabytes():
    shipped = {name: (WEIGHTS / name).read_bytes() for name in shipped_digests()}
    assert set(shipped) == {f"{name}.safetensors" for name in RECIPES}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in shipped.items()} == shipped_digests()
    assert len(shipped["scene-transformer.safetensors"]) < 1.5e6
    assert len(shipped["captioned.safetensors"]) < 1.5e6
    assert len(shipped["generator.safetensors"]) < 4e6
    assert sum(map(len, shipped.values())) <= 16e6


@pytest.mark.parametrize("name", RECIPES)
def test_weights_survive_a_file(name, tmp_path):
    one = load_zoo(name)
    save_weights(one.module, tmp_path / "a.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (WEIGHTS / f"{name}.safetensors").read_bytes()
    assert load_zoo(name, weights=tmp_path / "a.safetensors").digest == one.digest


def test_changed_weights_are_refused(monkeypatch):
    monkeypatch.setattr(weights_files, "shipped_digests", lambda: {"generator.safetensors": "0"})
    with pytest.raises(NetworkError, match="not the file that was shipped"):
        load_zoo("generator")


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(load_zoo("generator").module, tmp_path / "a.safetensors")
    with pytest.raises(NetworkError, match="does not fit zoo:scene-classifier"):
        read_module(RECIPES["scene-classifier"], tmp_path / "a.safetensors")


def test_weights_of_another_network_are_named(tmp_path):
    save_weights(load_zoo("segmenter").module, tmp_path / "a.safetensors")
    with pytest.raises(NetworkError, match=r"does not fit zoo:scene-classifier: .* missing: "):
        load_zoo("scene-classifier", weights=tmp_path / "a.safetensors")


def test_a_state_dict_of_torch_serves_as_weights(tmp_path):
    one = load_zoo("scene-classifier")
    torch.save(one.module.state_dict(), tmp_path / "a.pt")
    assert load_zoo("scene-classifier", weights=tmp_path / "a.pt").digest == one.digest


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.csv"])
@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 9, b"layer,unit\n1,2\n"])
def test_files_that_hold_no_weights_are_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NetworkError, match=f"{name} (is|carries|holds)"):
        load_zoo("scene-classifier", weights=tmp_path / name)


def test_a_folder_is_no_file_of_weights(tmp_path):
    with pytest.raises(UsageError, match=f"there is no weights file {tmp_path}"):
        load_zoo("scene-classifier", weights=tmp_path)


def test_random_weights_are_those_of_their_seed():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert load_zoo("segmenter", random=3).digest == load_zoo("segmenter", random=3).digest
    assert load_zoo("segmenter", random=3).digest != load_zoo("segmenter", random=4).digest
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_name_lists_the_zoo():
    with pytest.raises(UsageError, match="scene-classifier, scene-transformer, segmenter, generator"):
        load_zoo("none")


def test_the_classifier_is_nearly_always_right(folder):
    card = grade_zoo("scene-classifier", folder, count=PICTURES)
    assert card.figures["accuracy"] > 0.9
    assert card.text().count("%") == 24


def test_the_transformer_is_mostly_right(folder):
    card = grade_zoo("scene-transformer", folder, count=4 * PICTURES)
    assert card.figures["accuracy"] > 0.9
    assert card.text().count("%") == 24


def test_a_patch_of_the_transformer_sees_seven_pixels_above_it_and_to_its_left():
    module = load_zoo("scene-transformer").module
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    module.patch_embed(images)[0, :, 3, 4].square().sum().backward()
    rows, columns = images.grad[0].abs().sum(0).nonzero(as_tuple=True)
    assert (rows.min(), rows.max()) == (3 * 8 - 7, 3 * 8 + 7)
    assert (columns.min(), columns.max()) == (4 * 8 - 7, 4 * 8 + 7)


def test_the_segmenter_knows_most_pixels(folder):
    card = grade_zoo("segmenter", folder, count=PICTURES)
    assert card.figures["pixels with the right object"] > 0.9
    assert 0.65 < card.figures["mean IoU of objects"] < 1
    assert card.figures["mean IoU of parts that cover 0.1%"] > 0.45
    assert "| sky | " in card.text()


def test_the_generator_paints_what_the_classifier_names(folder, tmp_path):
    save_weights(load_zoo("generator", random=0).module, tmp_path / "early.safetensors")
    card = grade_zoo("generator", folder, count=25, early=tmp_path / "early.safetensors")
    assert card.figures["scene named right by the classifier"] > 0.8
    near, far = (card.figures[f"Fréchet distance{rest}"] for rest in ("", ", generated early in training"))
    assert near < far / 4
    assert re.search(r"\| tree \| \d+\.\d+% \|", card.text())
