"""Folders of SAE Lens: `cfg.json` and `sae_weights.safetensors`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from latents import LATENTS, UNITS, above, check, draw, largest, numbers, relu, weights
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.open_directions import open_directions

W = numbers(weights())
GATE = {"b_gate": draw(5, LATENTS), "r_mag": draw(6, LATENTS), "b_mag": draw(7, LATENTS)}


def write(folder: Path, state: dict[str, Tensor] | None = None, old: bool = False, **more: Any) -> Path:
    cfg: dict[str, Any] = {
        "d_in": UNITS,
        "d_sae": LATENTS,
        "dtype": "float32",
        "normalize_activations": "none",
    }
    if not old:
        cfg |= {"apply_b_dec_to_input": True, "reshape_activations": "none", "architecture": "standard"}
        cfg |= {"metadata": {"sae_lens_version": "6.54.12", "hook_name": "blocks.3.hook_mlp_out"}}
    (folder / "cfg.json").write_text(json.dumps(cfg | more))
    save_file(weights() if state is None else state, folder / "sae_weights.safetensors")
    return folder


def project(y: np.ndarray) -> np.ndarray:
    return (y - W["b_dec"]) @ W["W_enc"] + W["b_enc"]


def decode(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return z @ W["W_dec"] + W["b_dec"]


def test_standard_subtracts_the_decoder_bias_where_that_is_said(tmp_path: Path) -> None:
    made = check(write(tmp_path), lambda x: relu(project(x)), decode, "relu-sae")
    assert (made.about["layer"], made.about["version"]) == ("blocks.3.hook_mlp_out", "6.54.12")
    check(tmp_path / "sae_weights.safetensors", lambda x: relu(project(x)), decode, "relu-sae")
    write(tmp_path, apply_b_dec_to_input=False)
    check(tmp_path, lambda x: relu(x @ W["W_enc"] + W["b_enc"]), decode, "relu-sae")


def test_topk_keeps_the_largest_that_are_above_0(tmp_path: Path) -> None:
    write(tmp_path, architecture="topk", k=14)
    check(tmp_path, lambda x: relu(largest(project(x), 14)), decode, "topk-sae")


def test_a_rescaled_topk_ranks_latents_by_what_they_write(tmp_path: Path) -> None:
    write(tmp_path, architecture="topk", k=5, rescale_acts_by_decoder_norm=True)
    size = np.linalg.norm(W["W_dec"], axis=1)
    check(
        tmp_path,
        lambda x: relu(largest(project(x) * size, 5)),
        lambda z, x: (z / size) @ W["W_dec"] + W["b_dec"],
        "topk-sae",
    )


def test_jumprelu_keeps_what_is_above_its_threshold_and_0(tmp_path: Path) -> None:
    state = weights(threshold=draw(8, LATENTS))
    write(tmp_path, state, architecture="jumprelu")
    edge = state["threshold"].double().numpy()
    check(tmp_path, lambda x: relu(above(project(x), edge)), decode, "jump-sae")


def test_gated_has_a_gate_and_a_magnitude(tmp_path: Path) -> None:
    state = weights(**GATE)
    del state["b_enc"]
    write(tmp_path, state, architecture="gated")
    g = numbers(GATE)

    def encode(x: np.ndarray) -> np.ndarray:
        y = x - W["b_dec"]
        return np.where(
            y @ W["W_enc"] + g["b_gate"] > 0, relu(y @ (W["W_enc"] * np.exp(g["r_mag"])) + g["b_mag"]), 0
        )

    check(tmp_path, encode, decode, "gated-sae")


def test_norms_of_cells_are_taken_off_and_put_back(tmp_path: Path) -> None:
    def size(x: np.ndarray) -> float:
        return float(np.linalg.norm(x) / np.sqrt(len(x)))

    write(tmp_path, normalize_activations="constant_norm_rescale")
    check(tmp_path, lambda x: relu(project(x / size(x))), lambda z, x: decode(z, x) * size(x), "relu-sae")
    write(tmp_path, normalize_activations="layer_norm")
    check(
        tmp_path,
        lambda x: relu(project((x - x.mean()) / (x.std(ddof=1) + 1e-5))),
        lambda z, x: decode(z, x) * x.std(ddof=1) + x.mean(),
        "relu-sae",
    )
    with pytest.raises(UsageError, match="says scale itself, or has no use for it"):
        open_directions(f"{tmp_path}?scale=2")


@pytest.mark.parametrize("word", ["expected_average_only_in", "covariance_whitening", True])
def test_a_factor_that_was_not_folded_in_is_said_and_can_be_given(word: object, tmp_path: Path) -> None:
    write(tmp_path, normalize_activations=word, old=word is True)
    with pytest.warns(UserWarning, match="its training normalized cells"):
        check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")
    check(f"{tmp_path}?scale=4", lambda x: relu(project(x / 4)), lambda z, x: decode(z, x) * 4, "relu-sae")


@pytest.mark.parametrize("word", [None, False])
def test_before_version_6_a_k_makes_a_topk(word: object, tmp_path: Path) -> None:
    more = {"hook_point": "blocks.1.hook_resid_pre", "normalize_activations": word}
    write(tmp_path, old=True, **more)
    made = check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")
    assert made.about["layer"] == "blocks.1.hook_resid_pre"
    write(tmp_path, old=True, activation_fn_str="topk", activation_fn_kwargs={"k": 4}, **more)
    check(tmp_path, lambda x: relu(largest(project(x), 4)), decode, "topk-sae")
    write(tmp_path, old=True, activation_fn_str="tanh-relu", **more)
    check(tmp_path, lambda x: np.tanh(relu(project(x))), decode, "tanh-relu-sae")
    state = weights(threshold=draw(8, LATENTS))
    write(tmp_path, state, old=True, architecture="jumprelu", activation_fn_str="tanh-relu", **more)
    with pytest.raises(NetworkError, match="architecture jumprelu with tanh-relu; "):
        open_directions(str(tmp_path))


def test_a_k_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, old=True, activation_fn_str="topk")
    with pytest.raises(UsageError, match=r"does not say k, .*\?k=K"):
        open_directions(str(tmp_path))
    check(tmp_path, lambda x: relu(largest(project(x), 3)), decode, "topk-sae", k=3)
    with pytest.raises(UsageError, match="k='many': wanted a whole number"):
        open_directions(f"{tmp_path}?k=many")
    with pytest.raises(NetworkError, match="k is 21; of 20 latents 1 to 20"):
        open_directions(f"{tmp_path}?k=21")


def test_factors_of_fine_tuning_are_on_the_way_to_the_decoder(tmp_path: Path) -> None:
    factor = draw(9, LATENTS).exp()
    write(tmp_path, weights(scaling_factor=factor), old=True, finetuning_scaling_factor=True)
    f = factor.double().numpy()
    check(tmp_path, lambda x: relu(project(x)), lambda z, x: decode(z * f, x), "relu-sae")
    write(tmp_path, weights(scaling_factor=factor), old=True)
    with pytest.raises(NetworkError, match="has a scaling_factor, but no finetuning_scaling_factor"):
        open_directions(str(tmp_path))
    write(tmp_path, weights(scaling_factor=torch.ones(LATENTS)), old=True)
    check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")


@pytest.mark.parametrize("word", ["temporal", "matching_pursuit", "transcoder", 7, None])
def test_other_architectures_are_refused(word: object, tmp_path: Path) -> None:
    write(tmp_path, architecture=word)
    with pytest.raises(
        NetworkError, match=r"of SAE Lens's architecture .*standard, topk, jumprelu and gated"
    ):
        open_directions(str(tmp_path))
    write(tmp_path, normalize_activations="by magic")
    with pytest.raises(NetworkError, match="normalizes cells by by magic, which is not known"):
        open_directions(str(tmp_path))


def test_settings_that_are_no_object_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    for text, said in {
        "[1]": "holds a list",
        "{": "not readable JSON",
        "[" * 99_999: "not readable JSON",
    }.items():
        (tmp_path / "cfg.json").write_text(text)
        with pytest.raises(NetworkError, match=said):
            open_directions(str(tmp_path))


def test_weights_without_settings_are_of_no_library(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "cfg.json").unlink()
    with pytest.raises(NetworkError, match=r"of no library that is read \(saev, .*; it holds W_dec, W_enc"):
        open_directions(str(tmp_path))
