"""Folders of sdxl-unbox and of dictionary-learning, and what is said about any file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from latents import LATENTS, UNITS, above, check, draw, largest, numbers, relu, weights
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.open_directions import open_directions

LAYERS = {
    "encoder.weight": draw(1, LATENTS, UNITS),
    "decoder.weight": draw(3, UNITS, LATENTS),
    "encoder.bias": draw(2, LATENTS),
}
L = numbers(LAYERS)
W = numbers(weights())
B = draw(4, UNITS)
b = B.double().numpy()


def write(folder: Path, config: dict[str, Any] | None, state: Any, name: str = "ae.pt") -> Path:
    torch.save(state, folder / name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def trainer(kind: str, **more: Any) -> dict[str, Any]:
    return {"trainer": {"dict_class": kind, "activation_dim": UNITS, "dict_size": LATENTS, **more}}


def project(x: np.ndarray) -> np.ndarray:
    return L["encoder.weight"] @ (x - b) + L["encoder.bias"]


def decode(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return L["decoder.weight"] @ z + b


def test_sdxl_unbox_reads_what_a_block_adds(tmp_path: Path) -> None:
    state = {key: LAYERS[key] for key in ("encoder.weight", "decoder.weight")}
    state |= {
        "pre_bias": B,
        "latent_bias": LAYERS["encoder.bias"],
        "stats_last_nonzero": torch.zeros(LATENTS),
    }
    write(tmp_path, {"k": 13, "d_model": UNITS}, {"state_dict": state}, "state_dict.pth")
    made = check(tmp_path, lambda x: relu(largest(project(x), 13)), decode, "topk-sae")
    assert made.reads == "change"
    (tmp_path / "config.json").unlink()
    with pytest.raises(UsageError, match=r"does not say k, how many .*\?k=K"):
        open_directions(str(tmp_path))
    check(f"{tmp_path}?k=2", lambda x: relu(largest(project(x), 2)), decode, "topk-sae")


@pytest.mark.parametrize("config", [trainer("AutoEncoder"), None], ids=["config", "bare"])
def test_an_autoencoder_is_as_it_was_saved_or_with_unit_directions(
    config: dict[str, Any] | None, tmp_path: Path
) -> None:
    write(tmp_path, config, LAYERS | {"bias": B})
    check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")
    size = np.linalg.norm(L["decoder.weight"], axis=0)
    check(
        f"{tmp_path}?unit_decoder=yes",
        lambda x: relu(project(x)) * size,
        lambda z, x: decode(z / size, x),
        "relu-sae",
    )


def test_a_new_autoencoder_subtracts_nothing(tmp_path: Path) -> None:
    write(tmp_path, trainer("AutoEncoderNew"), LAYERS | {"decoder.bias": B})
    check(tmp_path, lambda x: relu(L["encoder.weight"] @ x + L["encoder.bias"]), decode, "relu-sae")


def test_topk_ignores_its_threshold(tmp_path: Path) -> None:
    state = LAYERS | {"b_dec": B, "k": torch.tensor(7), "threshold": torch.tensor(99.0)}
    write(tmp_path, trainer("AutoEncoderTopK", k=7), state)
    made = check(tmp_path, lambda x: relu(largest(project(x), 7)), decode, "topk-sae")
    assert made.about["class"] == "AutoEncoderTopK"
    write(tmp_path, trainer("AutoEncoderTopK"), {key: state[key] for key in state if key != "k"})
    with pytest.raises(UsageError, match="does not say k"):
        open_directions(str(tmp_path))


@pytest.mark.parametrize("threshold", [1.25, -1.0])
def test_batchtopk_is_one_threshold(threshold: float, tmp_path: Path) -> None:
    state = LAYERS | {"b_dec": B, "k": torch.tensor(7), "threshold": torch.tensor(threshold)}
    write(tmp_path, trainer("BatchTopKSAE", k=7), state)
    check(tmp_path, lambda x: relu(above(project(x), threshold)), decode, "batchtopk-sae")
    write(tmp_path, trainer("BatchTopKSAE", k=7), LAYERS | {"b_dec": B})
    with pytest.raises(UsageError, match=r"the threshold .*\?threshold=T"):
        open_directions(str(tmp_path))
    check(tmp_path, lambda x: relu(above(project(x), 2)), decode, "batchtopk-sae", threshold=2)


def test_a_state_dict_of_two_classes_asks_which(tmp_path: Path) -> None:
    state = LAYERS | {"b_dec": B, "k": torch.tensor(7), "threshold": torch.tensor(1.25)}
    write(tmp_path, None, state)
    with pytest.raises(UsageError, match=r"its class, .*\?kind=topk or \?kind=batchtopk"):
        open_directions(str(tmp_path))
    check(f"{tmp_path}?kind=topk", lambda x: relu(largest(project(x), 7)), decode, "topk-sae")
    check(f"{tmp_path}?kind=batchtopk", lambda x: relu(above(project(x), 1.25)), decode, "batchtopk-sae")


@pytest.mark.parametrize("config", [trainer("MatryoshkaBatchTopKSAE", k=7), None], ids=["config", "bare"])
def test_matryoshka_is_one_threshold_over_all_groups(config: dict[str, Any] | None, tmp_path: Path) -> None:
    more = {"threshold": torch.tensor(0.5), "group_sizes": torch.tensor([5, 15]), "k": torch.tensor(7)}
    write(tmp_path, config, weights(**more))
    check(
        tmp_path,
        lambda x: relu(above((x - W["b_dec"]) @ W["W_enc"] + W["b_enc"], 0.5)),
        lambda z, x: z @ W["W_dec"] + W["b_dec"],
        "matryoshka-sae",
    )


@pytest.mark.parametrize("config", [trainer("GatedAutoEncoder"), None], ids=["config", "bare"])
def test_gated_has_a_gate_and_a_magnitude(config: dict[str, Any] | None, tmp_path: Path) -> None:
    gate = {"r_mag": draw(5, LATENTS), "gate_bias": draw(6, LATENTS), "mag_bias": draw(7, LATENTS)}
    state = {key: value for key, value in LAYERS.items() if key != "encoder.bias"}
    write(tmp_path, config, state | gate | {"decoder_bias": B})
    g = numbers(gate)

    def encode(x: np.ndarray) -> np.ndarray:
        h = L["encoder.weight"] @ (x - b)
        return np.where(h + g["gate_bias"] > 0, relu(np.exp(g["r_mag"]) * h + g["mag_bias"]), 0)

    check(tmp_path, encode, decode, "gated-sae")


def test_jumprelu_subtracts_nothing(tmp_path: Path) -> None:
    state = weights(threshold=draw(5, LATENTS))
    write(tmp_path, trainer("JumpReluAutoEncoder"), state)
    edge = state["threshold"].double().numpy()
    check(
        tmp_path,
        lambda x: relu(above(x @ W["W_enc"] + W["b_enc"], edge)),
        lambda z, x: z @ W["W_dec"] + W["b_dec"],
        "jump-sae",
    )


def test_other_classes_are_refused(tmp_path: Path) -> None:
    for kind in ("CrossCoder", 7, ["AutoEncoder"]):
        write(tmp_path, trainer(kind), LAYERS | {"bias": B})  # type: ignore[arg-type]
        with pytest.raises(NetworkError, match=r"of the class .*; AutoEncoder,"):
            open_directions(str(tmp_path))


def test_sizes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    write(tmp_path, trainer("JumpReluAutoEncoder"), weights(threshold=draw(5, 3)))
    with pytest.raises(NetworkError, match=r"ae\.pt: its threshold is 3; wanted 20"):
        open_directions(str(tmp_path))
    write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": draw(0, UNITS + 1)})
    with pytest.raises(NetworkError, match=r"ae\.pt: the directions' offset is 7; wanted 6"):
        open_directions(str(tmp_path))
    write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": B * float("inf")})
    with pytest.raises(NetworkError, match=r"offset has numbers that are not finite"):
        open_directions(str(tmp_path))


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    state = {key: value.to(torch.bfloat16) for key, value in (LAYERS | {"bias": B}).items()}
    write(tmp_path, trainer("AutoEncoder"), state)
    made = open_directions(str(tmp_path))
    assert made.encoder.dtype == torch.float32
    assert torch.equal(made.encoder, state["encoder.weight"].float().T)


def test_which_of_several_files_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no file of weights"):
        open_directions(str(tmp_path))
    for name in ("a.pt", "b.pt"):
        write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": B}, name)
    with pytest.raises(UsageError, match=r"has 2 files of weights: give one, such as .*b\.pt"):
        open_directions(str(tmp_path))
    check(tmp_path / "a.pt", lambda x: relu(project(x)), decode, "relu-sae")


def test_files_of_no_library_are_refused(tmp_path: Path) -> None:
    for held, said in {
        "layers": {"fc.weight": draw(0, 3, 4)},
        "nothing": {"epoch": 3},
        "list": [draw(0, 3)],
    }.items():
        write(tmp_path, None, said)
        with pytest.raises(NetworkError, match="is of no library that is read") as told:
            open_directions(str(tmp_path))
        assert ("fc.weight" if held == "layers" else "no tensors") in str(told.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kay": 3}, r"there is no option 'kay'"),
        ({"k": 3}, "says k itself, or has no use for it; leave it out"),
        ({"scale": 0}, "scale=0.0: wanted a number above 0"),
        ({"scale": "wide"}, "scale='wide': wanted a number"),
        ({"scale": float("inf")}, "scale=inf: wanted a finite number"),
        ({"scale": True, "unit_decoder": 3}, "unit_decoder=3: wanted yes or no"),
        ({"mean": [1, 2]}, "mean has 2 numbers; wanted 1, or 6, one a unit"),
        ({"mean": [float("nan")] * UNITS}, "mean has numbers that are not finite"),
        ({"mean": "nowhere.npy"}, "mean='nowhere.npy': wanted a number, or a file of numbers"),
        ({"mean": {}}, "mean=a dict: wanted 6 numbers"),
    ],
)
def test_what_is_said_in_vain_or_wrongly_is_told(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": B})
    with pytest.raises(UsageError, match=said) as told:
        open_directions(str(tmp_path), **given)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("rest", ["k", "k=", "k=3&k=4", "&", ""])
def test_options_after_a_name_are_pairs(rest: str, tmp_path: Path) -> None:
    write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": B})
    with pytest.raises(UsageError, match=r"wanted FILE\?key=value|wanted a whole number|leave it out"):
        open_directions(f"{tmp_path}?{rest}")
    with pytest.raises(UsageError, match="'k=4' is given twice"):
        open_directions(f"{tmp_path}?k=4", k=4)


def test_means_are_read_from_numbers_alone(tmp_path: Path) -> None:
    write(tmp_path, trainer("AutoEncoder"), LAYERS | {"bias": B})
    evil = tmp_path / "mean.npy"
    np.save(evil, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(NetworkError, match=r"mean\.npy holds no numbers; wanted a \.npy file"):
        open_directions(str(tmp_path), mean=str(evil))
    evil.write_bytes(b"")
    with pytest.raises(NetworkError, match=r"mean\.npy holds no numbers; wanted a \.npy file"):
        open_directions(str(tmp_path), mean=evil)
