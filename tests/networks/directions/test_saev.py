"""Files of saev: a line of JSON, then a state dict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from latents import CELLS_DRAWN, LATENTS, UNITS, above, check, draw, largest, numbers, relu, weights
from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions.open_directions import open_directions

OLD = {"d_vit": UNITS, "exp_factor": 4, "sparsity_coeff": 4e-4, "ghost_grads": False}
W = numbers(weights())


def write(path: Path, header: object, state: dict[str, Tensor] | None = None, zipped: bool = True) -> Path:
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        torch.save(weights() if state is None else state, file, _use_new_zipfile_serialization=zipped)
    return path


def head(schema: int, word: str, **params: Any) -> dict[str, Any]:
    cfg = {"d_model": UNITS, "d_sae": LATENTS, "activation": {"cls": word, "params": params}}
    return {"schema": schema, "cfg": cfg, "commit": "0a1b2c3", "lib": "0.1.0"}


def project(x: np.ndarray) -> np.ndarray:
    return x @ W["W_enc"] + W["b_enc"]


def decode(z: np.ndarray, x: np.ndarray) -> np.ndarray:
    return z @ W["W_dec"] + W["b_dec"]


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("schema", [2, 3, 4, 5])
def test_schemas_2_to_5_subtract_nothing(schema: int, zipped: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", head(schema, "Relu", key="relu"), zipped=zipped)
    made = check(path, lambda x: relu(project(x)), decode, "relu-sae")
    assert made.about["library"] == "saev"
    assert made.about["commit"] == "0a1b2c3"
    check(tmp_path, lambda x: relu(project(x)), decode, "relu-sae")
    check(f"sae:{path}", lambda x: relu(project(x)), decode, "relu-sae")


def test_topk_keeps_negative_latents(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", head(5, "TopK", top_k=15))
    check(path, lambda x: largest(project(x), 15), decode, "topk-sae")
    assert open_directions(str(path)).encode(CELLS_DRAWN).min() < 0


def test_a_topk_larger_than_the_latents_keeps_all(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", head(5, "TopK", top_k=LATENTS + 1))
    assert (open_directions(str(path)).encode(CELLS_DRAWN) != 0).all()


@pytest.mark.parametrize("threshold", [0.8, -0.5])
def test_batchtopk_is_a_threshold_of_0_or_more(threshold: float, tmp_path: Path) -> None:
    state = weights(**{"activation.threshold": torch.tensor(threshold)})
    path = write(tmp_path / "sae.pt", head(5, "BatchTopK", top_k=4, momentum=0.1), state)
    check(path, lambda x: above(project(x), max(threshold, 0)), decode, "batchtopk-sae")


def test_a_batchtopk_without_threshold_asks_for_it(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", head(3, "BatchTopK", top_k=4))
    with pytest.raises(UsageError, match=r"does not say the threshold .*\?threshold=T"):
        open_directions(str(path))
    check(f"{path}?threshold=0.4", lambda x: above(project(x), 0.4), decode, "batchtopk-sae")
    check(path, lambda x: above(project(x), 0.4), decode, "batchtopk-sae", threshold=0.4)


def old(x: np.ndarray) -> np.ndarray:
    return relu((x - W["b_dec"]) @ W["W_enc"] + W["b_enc"])


def test_a_file_without_schema_subtracts_and_says_that_cells_were_scaled(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", OLD)
    with pytest.warns(UserWarning, match=r"normalized cells \(mean and scale\).*mean=FILE&scale=S") as told:
        made = check(path, old, decode, "relu-sae")
    assert "\n" not in str(told[0].message)
    assert made.about["scaled outside"] == "mean and scale"


def test_the_scale_and_the_mean_of_an_old_file_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", OLD)
    mean, scale = draw(7, UNITS), 1.7
    np.save(tmp_path / "mean.npy", mean.numpy())
    m = mean.double().numpy()

    def encode(x: np.ndarray) -> np.ndarray:
        return old((x - m) / scale)

    def undo(z: np.ndarray, x: np.ndarray) -> np.ndarray:
        return decode(z, x) * scale + m

    made = check(f"sae:{path}?mean={tmp_path / 'mean.npy'}&scale=1.7", encode, undo, "relu-sae")
    assert "scaled outside" not in made.about
    check(path, encode, undo, "relu-sae", mean=mean, scale=scale)
    check(path, encode, undo, "relu-sae", mean=m.tolist(), scale="1.7")
    check(f"{path}?scale=2", lambda x: old(x / 2), lambda z, x: decode(z, x) * 2, "relu-sae")
    check(f"{path}?mean=2", lambda x: old(x - 2), lambda z, x: decode(z, x) + 2, "relu-sae")


FIRST = {"schema": 1, "cls": "TopK", "commit": "unknown", "cfg": {"d_vit": UNITS, "top_k": 9}}
SECOND = head(1, "TopK", top_k=9) | {"cls": "SparseAutoencoderConfig"}


@pytest.mark.parametrize("header", [FIRST, SECOND], ids=["class", "settings"])
def test_schema_1_asks_what_it_does_not_tell(header: dict[str, Any], tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", header)
    with pytest.raises(
        UsageError, match=r"whether b_dec is subtracted .*\?subtract=yes or \?subtract=no"
    ) as told:
        open_directions(str(path))
    assert header["commit"] in str(told.value)
    check(f"{path}?subtract=no", lambda x: largest(project(x), 9), decode, "topk-sae")
    check(path, lambda x: largest(project(x - W["b_dec"]), 9), decode, "topk-sae", subtract="yes")
    check(path, lambda x: largest(project(x - W["b_dec"]), 9), decode, "topk-sae", subtract=True)
    with pytest.raises(UsageError, match="subtract='perhaps': wanted yes or no"):
        open_directions(f"{path}?subtract=perhaps")


def test_schema_1_does_not_ask_where_there_is_nothing_to_subtract(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", FIRST, weights(b_dec=torch.zeros(UNITS)))
    check(path, lambda x: largest(project(x), 9), lambda z, x: z @ W["W_dec"], "topk-sae")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (head(6, "Relu"), "of saev's schema 6; 1 to 5"),
        (head(5, "JumpRelu"), "the activation JumpRelu; saev's Relu, TopK, BatchTopK are read"),
        (head(5, "TopK", top_k="8"), "says that top_k is 8; wanted a whole number"),
        (head(5, "TopK", top_k=True), "says that top_k is True; wanted a whole number"),
        ({"schema": 5, "cfg": []}, "the activation nothing"),
        (head(5, ["Relu"]), "the activation a list"),  # type: ignore[arg-type]
        ({"schema": [1]}, "of saev's schema a list"),
        ([1, 2], None),
        ({}, "of saev's schema nothing"),
    ],
)
def test_other_headers_are_refused_in_one_line(header: object, said: str | None, tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", header)
    with pytest.raises(NetworkError, match=said) as told:
        open_directions(str(path))
    assert "\n" not in str(told.value)


def test_a_header_without_weights_is_refused(tmp_path: Path) -> None:
    for data in (json.dumps(OLD).encode(), json.dumps(OLD).encode() + b"\n", b"{" * 100_000, b"{\n" * 99):
        (tmp_path / "sae.pt").write_bytes(data)
        with pytest.raises(NetworkError, match="not a readable file of weights"):
            open_directions(str(tmp_path / "sae.pt"))


def test_a_file_of_another_width_is_told_with_both(tmp_path: Path) -> None:
    path = write(tmp_path / "sae.pt", head(5, "Relu"))
    with pytest.raises(UsageError, match="reads 6 units, the layer has 112"):
        open_directions(str(path), units=112)


def test_weights_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sae.pt"
    for name, tensor in {"W_dec": draw(0, UNITS, LATENTS), "b_enc": draw(0, 3), "W_enc": draw(0, 4)}.items():
        write(path, head(5, "Relu"), weights(**{name: tensor}))
        with pytest.raises(NetworkError, match=r"sae\.pt.* is .*; wanted "):
            open_directions(str(path))
    state = weights()
    del state["b_enc"]
    write(path, head(5, "Relu"), state)
    with pytest.raises(NetworkError, match="has no b_enc; it has W_enc, W_dec, b_dec"):
        open_directions(str(path))
