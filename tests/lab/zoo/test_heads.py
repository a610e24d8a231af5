"""Heads on frozen features: what is fitted, what is saved, and what is opened again."""

import builtins
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from unitscope.concepts.derived import limit, split_source
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.errors import NetworkError, RunError, SourceError, UsageError
from unitscope.interventions.ablation import find_targets, score_removals, single_units
from unitscope.lab.zoo.heads import (
    fit_head,
    fit_weights,
    load_head,
    open_head,
    replace_head,
    save_head,
)
from unitscope.networks.feeding import feed_images, read_peaks
from unitscope.networks.load import load_network
from unitscope.networks.network import Network, Preprocessing

SHADES = ("dark", "dim_light", "bright")


class Shades:
    """Images of one brightness, each with its shade and a season as labels of the whole."""

    vocabulary = Vocabulary(
        (
            *(Concept(3 + k, f"{name}-s", "scene") for k, name in enumerate(SHADES)),
            Concept(7, "summer", "season"),
            Concept(8, "cat", "object"),
        )
    )

    def __init__(self, count=24, season=False, size=16):
        self.count, self.season, self.size = count, season, size

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        noise = np.random.default_rng(index).integers(0, 30, (self.size, self.size, 3), dtype=np.uint8)
        ids = (3 + index % 3, *((7,) if self.season else ()))
        return Example(f"s{index}", noise + np.uint8(90 * (index % 3)), ids=ids)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.act = nn.ReLU()
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(self.drop(self.act(self.conv(x)).mean((2, 3))))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(Small(), Preprocessing((16, 16)), tuple("abcd"), "small")


@pytest.fixture
def head(network):
    return fit_head(network, Shades(), c=10.0)


def test_a_head_names_images_that_it_has_not_seen(network, head):
    assert head.classes == ("dark", "dim light", "bright")
    assert head.layer == "head"
    assert head.record["accuracy"] == {"train": 1.0, "test": 1.0}
    assert head.record["images"] == {"train": 12, "test": 12}
    assert head.record["classes"]["dark"] == {"train": 4, "test": 4, "accuracy": 1.0}
    assert head.record["split"] == {"share": 0.5, "seed": 0}
    with_head = replace_head(network, head)
    trial = find_targets(with_head, split_source(Shades(), "test"))
    base, _ = score_removals(with_head, "act", trial, single_units(6), method="closed")
    assert base.accuracy.tolist() == [1.0]


def test_the_network_stays_as_it_was(network, head):
    before = network.digest
    assert network.module.training
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.module.modules())
    with_head = replace_head(network, head)
    assert network.digest == before
    assert network.module.head.out_features == 4
    assert [n for n, _ in with_head.module.named_modules()] == [n for n, _ in network.module.named_modules()]


def test_a_head_in_its_place_gives_weight_times_feature_plus_bias(network, head):
    source = Shades()
    features = read_peaks(network, "head@in", source, range(6))
    with_head = replace_head(network, head)
    with_head.module.eval()
    (batch,) = feed_images(with_head, source, range(6))
    with torch.no_grad():
        logits = with_head.module(batch).numpy()
    assert np.allclose(logits, features @ head.weight.numpy().T + head.bias.numpy(), atol=1e-5)


@settings(max_examples=15)
@given(st.integers(2, 4), st.integers(0, 1000))
def test_folded_weights_say_what_scikit_learn_says(classes, seed):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(seed)
    targets = np.arange(40) % classes
    features = rng.normal(size=(40, 5)) * [1, 10, 0.1, 1, 0] + targets[:, None] * [1, 5, 0, 0, 0] + 3
    weight, bias = fit_weights(features, targets, classes, 0.5)
    scaled = StandardScaler().fit_transform(features)
    model = LogisticRegression(C=0.5, max_iter=2000).fit(scaled, targets)
    logits = features @ weight.T + bias
    chances = np.exp(logits - logits.max(1, keepdims=True))
    assert weight.shape == (classes, 5)
    assert np.allclose(chances / chances.sum(1, keepdims=True), model.predict_proba(scaled), atol=1e-6)


def test_a_saved_head_is_the_same_head_and_the_same_bytes(head, tmp_path):
    save_head(head, tmp_path / "one" / "head.safetensors")
    again = load_head(tmp_path / "one" / "head.safetensors")
    save_head(again, tmp_path / "two.safetensors")
    assert (tmp_path / "two.safetensors").read_bytes() == (tmp_path / "one" / "head.safetensors").read_bytes()
    assert torch.equal(again.weight, head.weight)
    assert (again.classes, again.layer, again.digest) == (head.classes, head.layer, head.digest)
    with safe_open(tmp_path / "two.safetensors", framework="pt") as file:
        assert sorted(file.keys()) == ["bias", "weight"]
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        save_head(head, tmp_path / "file" / "head.safetensors")


def test_a_head_opens_as_a_network_by_name(tmp_path):
    network = load_network("zoo:scene-classifier")
    head = fit_head(network, load_shades())
    save_head(head, tmp_path / "head.safetensors")
    spec = f"head:{tmp_path}/head.safetensors"
    opened = load_network(spec, size=32)
    assert opened.name == spec
    assert opened.classes == head.classes
    assert opened.preprocessing.size == (32, 32)
    assert opened.module.head.out_features == 3
    named = load_network(f"{spec},network=zoo:scene-classifier")
    assert named.digest == opened.digest
    with pytest.raises(NetworkError, match=r"fitted on zoo:scene-classifier with digest \w{12}, and"):
        load_network(spec, random=1)
    with pytest.raises(NetworkError, match="open it with the same weights"):
        load_network(f"{spec},network=zoo:segmenter")


def load_shades():
    return Shades(12, size=64)


def test_code_is_run_only_where_it_was_named(network, head, tmp_path, monkeypatch):
    path = tmp_path / "head.safetensors"
    said = {"network": "evil.py:build", "digest": head.digest, "layer": "head", "classes": list("abc")}
    tensors = {"weight": head.weight, "bias": head.bias}
    save_file(tensors, path, {"unitscope_head": json.dumps({**said, "record": {}})})
    opened = []

    def load(spec):
        opened.append(spec)
        return network

    monkeypatch.setattr("unitscope.lab.zoo.heads.load_network", load)
    with pytest.raises(UsageError, match=r"say head:.*head.safetensors,network=evil.py:build"):
        open_head(str(path))
    assert not opened
    assert open_head(f"{path},network=evil.py:build").classes == ("a", "b", "c")
    assert opened == ["evil.py:build"]
    said["network"] = f"head:{path}"
    save_file(tensors, path, {"unitscope_head": json.dumps({**said, "record": {}})})
    with pytest.raises(UsageError, match="stands on another head"):
        open_head(str(path))


def test_what_is_no_head_is_told(network, head, tmp_path):
    with pytest.raises(UsageError, match="there is no head"):
        load_head(tmp_path / "none.safetensors")
    path = tmp_path / "head.safetensors"
    path.write_bytes(b"noise" * 20)
    with pytest.raises(NetworkError, match="is no head"):
        load_head(path)
    save_file({"weight": head.weight, "bias": head.bias}, path)
    with pytest.raises(NetworkError, match="is no head"):
        load_head(path)
    for said in ("[]", '{"layer": 3}', "nonsense"):
        save_file({"weight": head.weight, "bias": head.bias}, path, {"unitscope_head": said})
        with pytest.raises(NetworkError, match="is no head"):
            load_head(path)
    said = {"network": "x", "digest": network.digest, "layer": "conv", "classes": ["a"], "record": {}}
    save_file({"weight": head.weight, "bias": head.bias}, path, {"unitscope_head": json.dumps(said)})
    with pytest.raises(NetworkError, match="damaged"):
        load_head(path)
    said["classes"] = list("abc")
    for layer in ("conv", "lost.layer"):
        said["layer"] = layer
        save_file({"weight": head.weight, "bias": head.bias}, path, {"unitscope_head": json.dumps(said)})
        with pytest.raises(NetworkError, match="has no linear layer"):
            replace_head(network, load_head(path))


class Twice(Small):
    def forward(self, x):
        return super().forward(x) * 2


class Cells(Small):
    def forward(self, x):
        return self.head(self.conv(x).permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3)), "no linear layer"),
        (Twice(), "does not give its output"),
        (Cells(), "reads no vector"),
        (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), "failed on a blank image"),
    ],
)
def test_a_network_without_a_place_for_a_head_is_told(module, message):
    with pytest.raises(NetworkError, match=message):
        fit_head(Network(module, Preprocessing((16, 16))), Shades())


def test_images_that_cannot_be_learned_from_are_told(network):
    class Unlabelled(Shades):
        def __getitem__(self, index, /):
            return Example(str(index), np.zeros((16, 16, 3), np.uint8))

    with pytest.raises(SourceError, match="has a label as a whole; wanted a folder of folders"):
        fit_head(network, Unlabelled())
    with pytest.raises(SourceError, match="has a object label"):
        fit_head(network, Shades(), category="object")
    with pytest.raises(UsageError, match="labelled by scene and season; say which with --category"):
        fit_head(network, Shades(season=True))
    with pytest.raises(UsageError, match="no category 'weather'"):
        fit_head(network, Shades(), category="weather")
    with pytest.raises(SourceError, match="all labelled images are 'summer'"):
        fit_head(network, Shades(season=True), category="season")
    with pytest.raises(SourceError, match="'dim light' has too few images in the train half, 1; wanted 2"):
        fit_head(network, Shades(7))
    with pytest.raises(SourceError, match="all labelled images are 'dark'"):
        fit_head(network, limit(Shades(), 1))
    for wrong in (0.0, float("nan"), -1.0):
        with pytest.raises(UsageError, match="must be above 0"):
            fit_head(network, Shades(), c=wrong)
    assert fit_head(network, Shades(season=True), category="scene").classes[0] == "dark"


def test_a_missing_scikit_learn_is_told_before_work_starts(network, monkeypatch):
    ordinary = builtins.__import__

    def without(name, *rest):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return ordinary(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'unitscope\[heads\]'"):
        fit_head(network, Shades())


def test_images_of_several_sizes_need_an_input_size():
    class Sizes(Shades):
        def __getitem__(self, index, /):
            return Example(f"s{index}", np.zeros((16, 16 + index, 3), np.uint8))

    with pytest.raises(SourceError, match="s1 is 16x17, images before it 16x16"):
        list(feed_images(Network(Small()), Sizes(), range(3)))
    assert not list(feed_images(Network(Small()), Sizes(), []))
