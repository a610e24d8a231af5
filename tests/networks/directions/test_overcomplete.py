"""Models of overcomplete, saved whole and as state dicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latents import LATENTS, UNITS, check, draw, largest, library, relu
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.open_directions import open_directions

POINTS = 9


def normalize_l2(x: Tensor) -> Tensor:
    return x / (x.norm(dim=1, keepdim=True) + 1e-8)


def normalize_max_l1(x: Tensor) -> Tensor:
    return x / x.norm(p=1, dim=1).max()


def normalize_somehow(x: Tensor) -> Tensor:
    return x


class MLPEncoder(nn.Module):
    def __init__(self, last: type[nn.Module] = nn.ReLU, norm: type[nn.Module] = nn.Identity) -> None:
        super().__init__()
        linear = nn.Linear(UNITS, LATENTS)
        linear.weight.data, linear.bias.data = draw(1, LATENTS, UNITS), draw(2, LATENTS)
        self.mlp_blocks = nn.ModuleList()
        self.final_block = nn.Sequential(linear, norm(LATENTS) if norm is not nn.Identity else nn.Identity())
        self.final_activation = last()
        self.norm_layer = norm


class TieableEncoder(nn.Module):
    def __init__(self, tied_to: nn.Module | None, bias: bool) -> None:
        super().__init__()
        self.tied_to = tied_to
        self.weight = None if tied_to is not None else nn.Parameter(draw(1, LATENTS, UNITS))
        self.bias = nn.Parameter(draw(2, LATENTS)) if bias else None


class DictionaryLayer(nn.Module):
    def __init__(
        self, multiplier: float = 0.3, normalization: Callable[[Tensor], Tensor] = normalize_l2
    ) -> None:
        super().__init__()
        self._weights = nn.Parameter(draw(3, LATENTS, UNITS))
        self.register_buffer("multiplier", torch.tensor(multiplier))
        self.normalization = normalization
        self._fused_dictionary = None


class RelaxedArchetypalDictionary(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.delta = 0.5
        self.register_buffer("C", draw(3, POINTS, UNITS))
        self.W = nn.Parameter(draw(4, LATENTS, POINTS))
        self.Relax = nn.Parameter(draw(5, LATENTS, UNITS))
        self.multiplier = nn.Parameter(torch.tensor(0.2))
        self._fused_dictionary = None


class Model(nn.Module):
    def __init__(self, dictionary: nn.Module, encoder: nn.Module | None = None, **values: Any) -> None:
        super().__init__()
        self.encoder, self.dictionary = encoder or MLPEncoder(), dictionary
        for name, value in values.items():
            setattr(self, name, value)


CLASSES = ("SAE", "TopKSAE", "BatchTopKSAE", "JumpSAE", "RATopKSAE", "RAJumpSAE", "MpSAE", "QSAE", "OwnSAE")
OURS = {name: type(name, (Model,), {}) for name in CLASSES}


THINGS = (
    *(MLPEncoder, TieableEncoder, DictionaryLayer, RelaxedArchetypalDictionary),
    *(normalize_l2, normalize_max_l1, normalize_somehow),
    *OURS.values(),
)


def write(folder: Path, model: nn.Module, state: bool = False, train: bool = False) -> Path:
    model.train(train)
    path = folder / ("state_dict.pth" if state else "model.pth")
    with library("overcomplete.sae.made_here", *THINGS):
        torch.save(model.state_dict() if state else model, path)
    return path


def dictionary(multiplier: float = 0.3) -> np.ndarray:
    rows = draw(3, LATENTS, UNITS).double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) * np.exp(multiplier)


def codes(x: np.ndarray) -> np.ndarray:
    weight, bias = (tensor.double().numpy() for tensor in (draw(1, LATENTS, UNITS), draw(2, LATENTS)))
    return relu(weight @ x + bias)


def decode(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return z @ dictionary()


@pytest.mark.parametrize("train", [True, False], ids=["training", "evaluation"])
def test_a_plain_model_rectifies(train: bool, tmp_path: Path) -> None:
    made = check(write(tmp_path, OURS["SAE"](DictionaryLayer()), train=train), codes, decode, "relu-sae")
    assert made.about == {"library": "overcomplete", "class": "SAE"}
    check(tmp_path, codes, decode, "relu-sae")


def test_the_library_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, OURS["SAE"](DictionaryLayer()))
    (tmp_path / "overcomplete.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    check(path, codes, decode, "relu-sae")


def test_a_dictionary_is_what_was_fused_in_evaluation(tmp_path: Path) -> None:
    layer = DictionaryLayer()
    layer._fused_dictionary = draw(8, LATENTS, UNITS)
    fused = draw(8, LATENTS, UNITS).double().numpy()
    path = write(tmp_path, OURS["SAE"](layer))
    check(path, codes, lambda z, x: z @ fused, "relu-sae")
    check(write(tmp_path, OURS["SAE"](layer), train=True), codes, decode, "relu-sae")


def test_a_dictionary_of_another_length_is_normalized_so(tmp_path: Path) -> None:
    rows = draw(3, LATENTS, UNITS).double().numpy()
    rows = rows / np.abs(rows).sum(1).max() * np.exp(0.3)
    write(tmp_path, OURS["SAE"](DictionaryLayer(normalization=normalize_max_l1)))
    check(tmp_path, codes, lambda z, x: z @ rows, "relu-sae")
    write(tmp_path, OURS["SAE"](DictionaryLayer(normalization=normalize_somehow)))
    with pytest.raises(NetworkError, match="normalized by normalize_somehow, which is not known"):
        open_directions(str(tmp_path))


def test_topk_keeps_the_largest(tmp_path: Path) -> None:
    model = OURS["TopKSAE"](DictionaryLayer(), top_k=6)
    check(write(tmp_path, model), lambda x: largest(codes(x), 6), decode, "topk-sae")


def test_batchtopk_keeps_what_reaches_its_running_threshold(tmp_path: Path) -> None:
    def encode(x: np.ndarray) -> np.ndarray:
        return np.where(codes(x) >= 0.75, codes(x), 0)

    model = OURS["BatchTopKSAE"](DictionaryLayer(), top_k=6, running_threshold=torch.tensor(0.75))
    check(write(tmp_path, model), encode, decode, "batchtopk-sae")
    model.running_threshold = None
    write(tmp_path, model)
    with pytest.raises(UsageError, match=r"does not say its running threshold; .*\?threshold=T"):
        open_directions(str(tmp_path))
    check(f"{tmp_path}?threshold=0.75", encode, decode, "batchtopk-sae")


def test_jump_keeps_what_reaches_the_exponent_of_its_thresholds(tmp_path: Path) -> None:
    thresholds = draw(6, LATENTS)
    edge = np.exp(thresholds.double().numpy())

    def encode(x: np.ndarray) -> np.ndarray:
        return np.where(codes(x) >= edge, codes(x), 0)

    model = OURS["JumpSAE"](DictionaryLayer(), thresholds=nn.Parameter(thresholds))
    check(write(tmp_path, model, state=True), encode, decode, "jump-sae")
    check(write(tmp_path, model), encode, decode, "jump-sae")


@pytest.mark.parametrize("bias", [True, False])
def test_a_tied_encoder_is_the_dictionary(bias: bool, tmp_path: Path) -> None:
    layer = DictionaryLayer()
    model = OURS["TopKSAE"](layer, TieableEncoder(layer, bias), top_k=5)
    shift = draw(2, LATENTS).double().numpy() if bias else 0

    def encode(x: np.ndarray) -> np.ndarray:
        return largest(relu(dictionary() @ x + shift), 5)

    check(write(tmp_path, model), encode, decode, "topk-sae")
    check(write(tmp_path, model, state=True), encode, decode, "topk-sae", k=5)


def test_an_encoder_that_was_untied_has_its_own_weights(tmp_path: Path) -> None:
    model = OURS["SAE"](DictionaryLayer(), TieableEncoder(None, True))
    check(write(tmp_path, model), codes, decode, "relu-sae")


@pytest.mark.parametrize("state", [True, False], ids=["state", "model"])
def test_archetypes_are_mixed_from_points_and_relaxed(state: bool, tmp_path: Path) -> None:
    model = OURS["RATopKSAE"](RelaxedArchetypalDictionary(), top_k=4)
    c, w, r = (
        draw(*one).double().numpy() for one in ((3, POINTS, UNITS), (4, LATENTS, POINTS), (5, LATENTS, UNITS))
    )
    w = relu(w) / (relu(w).sum(1, keepdims=True) + 1e-8)
    reach = 1.0 if state else 0.5  # a state dict has only the library's default
    r = r * np.minimum(reach / np.linalg.norm(r, axis=1, keepdims=True), 1)
    rows = (w @ c + r) * np.exp(0.2)
    given = {"k": 4} if state else {}
    path = write(tmp_path, model, state)
    check(path, lambda x: largest(codes(x), 4), lambda z, x: z @ rows, "topk-sae", **given)


def test_a_state_dict_asks_for_its_class(tmp_path: Path) -> None:
    path = write(tmp_path, OURS["SAE"](DictionaryLayer()), state=True)
    with pytest.raises(
        UsageError, match=r"does not say its class.*\?k=K or \?threshold=T or \?kind=relu"
    ) as told:
        open_directions(str(path))
    assert "\n" not in str(told.value)
    check(f"{path}?kind=relu", codes, decode, "relu-sae")
    check(f"{path}?k=3", lambda x: largest(codes(x), 3), decode, "topk-sae")
    encode = lambda x: np.where(codes(x) >= 0.5, codes(x), 0)  # noqa: E731
    check(f"{path}?threshold=0.5", encode, decode, "batchtopk-sae")
    with pytest.raises(UsageError, match="says threshold itself, or has no use for it"):
        open_directions(f"{path}?k=3&threshold=1")


@pytest.mark.parametrize(
    ("name", "said"),
    [("MpSAE", "chooses latents one after the other"), ("QSAE", "rounds"), ("OwnSAE", "not known")],
)
def test_latents_that_are_no_directions_are_refused_with_the_reason(
    name: str, said: str, tmp_path: Path
) -> None:
    write(tmp_path, OURS[name](DictionaryLayer()))
    with pytest.raises(NetworkError, match=f"is a {name}, which .*{said}.*; SAE, TopKSAE, .* are read"):
        open_directions(str(tmp_path))


def test_encoders_of_more_than_one_product_are_refused_with_the_reason(tmp_path: Path) -> None:
    deep, attention = MLPEncoder(), MLPEncoder()
    deep.mlp_blocks.append(nn.Sequential(nn.Linear(UNITS, UNITS), nn.ReLU()))
    attention.attention = nn.MultiheadAttention(UNITS, 2)  # type: ignore[assignment]
    for state in (True, False):
        for encoder, said in {
            deep: "has encoder.mlp_blocks.0.0.weight",
            attention: "has encoder.attention.in_proj_weight",
            MLPEncoder(norm=nn.BatchNorm1d): "has encoder.final_block.1.weight",
        }.items():
            path = write(tmp_path, OURS["SAE"](DictionaryLayer(), encoder), state)
            with pytest.raises(NetworkError, match=f"encoder {said}, so that a latent is no direction"):
                open_directions(str(path), **({"kind": "relu"} if state else {}))
    for encoder, said in {MLPEncoder(last=nn.Tanh): "ends in Tanh", nn.Identity(): "has no weights"}.items():
        path = write(tmp_path, OURS["SAE"](DictionaryLayer(), encoder))
        with pytest.raises(NetworkError, match=f"encoder {said}, so"):
            open_directions(str(path))
