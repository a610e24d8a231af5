"""Files of ViT-Prisma: settings inside or beside, in `.pt` or `.pkl.gz`."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from latents import LATENTS, UNITS, check, draw, largest, library, numbers, relu, weights
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.open_directions import open_directions

W = numbers(weights())
GATE = {"b_gate": draw(5, LATENTS), "r_mag": draw(6, LATENTS), "b_mag": draw(7, LATENTS)}
SETTINGS: dict[str, Any] = {
    "d_in": UNITS,
    "architecture": "standard",
    "activation_fn_str": "relu",
    "activation_fn_kwargs": {},
    "normalize_activations": "none",
    "hook_point_layer": 9,
    "layer_subtype": "hook_resid_post",
    "is_transcoder": False,
    "use_patches_only": True,
}


class VisionModelSAERunnerConfig:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def write(path: Path, state: dict[str, Tensor] | None = None, **more: Any) -> Path:
    cfg = VisionModelSAERunnerConfig(**{**SETTINGS, **more})
    saved = {"cfg": cfg, "state_dict": weights() if state is None else state}
    with library("vit_prisma.sae.config", VisionModelSAERunnerConfig):
        if path.name.endswith(".pkl.gz"):
            with gzip.open(path, "wb") as file:
                pickle.dump(saved, file)
        else:
            torch.save(saved, path)
    return path


def project(y: np.ndarray) -> np.ndarray:
    return (y - W["b_dec"]) @ W["W_enc"] + W["b_enc"]


def decode(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return z @ W["W_dec"] + W["b_dec"]


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / (x.std(ddof=1) + 1e-5)


def undo(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return decode(z, x) * x.std(ddof=1) + x.mean()


@pytest.mark.parametrize("name", ["weights.pt", "n_images_1300000.pt", "n_images_8.pkl.gz", "sae.pkl.gz"])
def test_settings_are_read_from_inside(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    made = check(path, lambda x: relu(project(x)), decode, "relu-sae")
    assert made.about["layer"] == "blocks.9.hook_resid_post"
    assert made.about["tokens"] == "patches"
    check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")


def test_layers_are_normalized_by_default(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.pt", normalize_activations="layer_norm")
    check(path, lambda x: relu(project(norm(x))), undo, "relu-sae")
    cfg = {key: value for key, value in SETTINGS.items() if key != "normalize_activations"}
    torch.save({"cfg": cfg, "state_dict": weights()}, path)
    check(path, lambda x: relu(project(norm(x))), undo, "relu-sae")


def test_topk_keeps_the_largest_that_are_above_0(tmp_path: Path) -> None:
    path = write(tmp_path / "weights.pt", activation_fn_str="topk", activation_fn_kwargs={"k": 14})
    check(path, lambda x: relu(largest(project(x), 14)), decode, "topk-sae")
    more = {"k": 14, "postact_fn": nn.ReLU()}
    write(path, activation_fn_str="topk", activation_fn_kwargs=more)
    check(path, lambda x: relu(largest(project(x), 14)), decode, "topk-sae")


@pytest.mark.parametrize("word", ["relu", "tanh-relu", "topk"])
def test_gated_has_a_gate_and_a_magnitude(word: str, tmp_path: Path) -> None:
    path = write(
        tmp_path / "weights.pt",
        weights(**GATE),
        architecture="gated",
        activation_fn_str=word,
        activation_fn_kwargs={"k": 9} if word == "topk" else {},
        normalize_activations="layer_norm",
    )
    g = numbers(GATE)
    inner = {"relu": relu, "tanh-relu": lambda h: np.tanh(relu(h)), "topk": lambda h: relu(largest(h, 9))}[
        word
    ]

    def encode(x: np.ndarray) -> np.ndarray:
        y = norm(x) - W["b_dec"]
        magnitude = inner(y @ (W["W_enc"] * np.exp(g["r_mag"])) + g["b_mag"])
        return np.where(y @ W["W_enc"] + g["b_gate"] > 0, magnitude, 0)

    check(path, encode, undo, "gated-sae")


def test_a_bare_state_dict_has_its_settings_beside_it(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "weights.pt")
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS | {"use_patches_only": False}))
    made = check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")
    assert made.about["tokens"] == "all tokens, class token too"
    torch.save({"cfg": None, "state_dict": weights()}, tmp_path / "weights.pt")
    check(tmp_path / "weights.pt", lambda x: relu(project(x)), decode, "relu-sae")


def test_settings_nowhere_are_missed(tmp_path: Path) -> None:
    torch.save({"cfg": None, "state_dict": weights()}, tmp_path / "weights.pt")
    with pytest.raises(NetworkError, match="no settings, neither inside nor in a config"):
        open_directions(str(tmp_path))


def test_an_activation_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    cfg = {key: value for key, value in SETTINGS.items() if not key.startswith("activation")}
    torch.save({"cfg": cfg, "state_dict": weights()}, tmp_path / "weights.pt")
    with pytest.raises(UsageError, match=r"does not say its activation.*\?k=K or \?kind=relu"):
        open_directions(str(tmp_path))
    check(f"{tmp_path}?kind=relu", lambda x: relu(project(x)), decode, "relu-sae")
    check(f"{tmp_path}?k=4", lambda x: relu(largest(project(x), 4)), decode, "topk-sae")
    torch.save({"cfg": cfg | {"activation_fn_str": "topk"}, "state_dict": weights()}, tmp_path / "weights.pt")
    with pytest.raises(UsageError, match=r"does not say k, .*\?k=K"):
        open_directions(str(tmp_path))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"is_transcoder": True}, "is a transcoder, which writes to another layer"),
        ({"architecture": "jumprelu"}, "architecture jumprelu; standard and gated"),
        ({"activation_fn_str": "leaky_relu"}, "activation leaky_relu; relu, tanh-relu and topk"),
        (
            {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4, "postact_fn": nn.Tanh()}},
            "only ReLU",
        ),
        (
            {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 4.5}},
            "k is 4.5; wanted a whole number",
        ),
        ({"normalize_activations": nn.ReLU()}, "normalizes cells by a Inert"),
    ],
)
def test_what_is_no_autoencoder_of_this_layer_is_refused(
    more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "weights.pt", **more)
    with pytest.raises(NetworkError, match=said) as told:
        open_directions(str(path))
    assert "\n" not in str(told.value)
