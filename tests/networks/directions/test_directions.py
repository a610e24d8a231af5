"""Latents as by hand, in blocks and on maps; files that give the same directions again; texts for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from unitscope.errors import NetworkError, UsageError
from unitscope.networks.directions import directions as module
from unitscope.networks.directions.activations import (
    Gated,
    Linear,
    NonNegative,
    Relu,
    TanhRelu,
    Threshold,
    TopK,
)
from unitscope.networks.directions.directions import Directions, make_directions
from unitscope.networks.directions.drawn import draw_rotation, draw_rotations, draw_sae, keep_units
from unitscope.networks.directions.files import load_directions, save_directions
from unitscope.networks.directions.normalizations import ConstantNorm, LayerNorm, Standardized, Unchanged
from unitscope.networks.directions.open_directions import open_directions

UNITS, LATENTS, CELLS = 5, 12, 40


def draw(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


NORMALIZATIONS = {
    "none": Unchanged(),
    "layer": LayerNorm(),
    "constant": ConstantNorm(),
    "standardized": Standardized(draw(7, UNITS), 1.75),
}
ACTIVATIONS = {
    "linear": Linear(),
    "relu": Relu(),
    "tanh-relu": TanhRelu(),
    "topk": TopK(3, relu=True),
    "topk-signed": TopK(9, relu=False),
    "threshold": Threshold(draw(8, LATENTS).abs(), strict=True),
    "gated": Gated(draw(9, LATENTS), draw(10, LATENTS).exp(), draw(11, LATENTS), Relu()),
    "gated-topk": Gated(draw(9, LATENTS), draw(10, LATENTS).exp(), draw(11, LATENTS), TopK(2, relu=True)),
}


def make(normalization: str = "none", activation: str = "linear") -> Directions:
    return make_directions(
        draw(0, UNITS, LATENTS),
        draw(1, LATENTS, UNITS),
        bias=draw(2, LATENTS),
        offset=draw(3, UNITS),
        subtracted=draw(4, UNITS),
        normalization=NORMALIZATIONS[normalization],
        activation=ACTIVATIONS[activation],
        kind="made",
        about={"layer": "4"},
    )


def keep_largest(h: np.ndarray, k: int, relu: bool) -> np.ndarray:
    kept = np.zeros_like(h)
    for latent in sorted(range(len(h)), key=lambda one: (-h[one], one))[:k]:
        kept[latent] = max(h[latent], 0) if relu else h[latent]
    return kept


def activate_by_hand(h: np.ndarray, name: str) -> np.ndarray:
    """One cell."""
    activation: Any = ACTIVATIONS[name]
    if name == "relu":
        return np.maximum(h, 0)
    if name == "tanh-relu":
        return np.tanh(np.maximum(h, 0))
    if name.startswith("topk"):
        return keep_largest(h, activation.k, activation.relu)
    if name == "threshold":
        return np.where(h > activation.values.numpy(), h, 0)
    if name.startswith("gated"):
        inner = h * activation.scale.numpy() + activation.magnitude.numpy()
        inner = keep_largest(inner, 2, True) if name == "gated-topk" else np.maximum(inner, 0)
        return np.where(h + activation.gate.numpy() > 0, inner, 0)
    return h


def normalize_by_hand(x: np.ndarray, name: str) -> tuple[np.ndarray, float, np.ndarray]:
    """One cell, and the scale and the shift that undo it."""
    if name == "layer":
        s = np.sqrt(((x - x.mean()) ** 2).sum() / (len(x) - 1))
        return (x - x.mean()) / (s + 1e-5), s, np.full(len(x), x.mean())
    if name == "constant":
        size = np.sqrt((x**2).sum() / len(x))
        return x / size, size, np.zeros(len(x))
    if name == "standardized":
        mean = draw(7, UNITS).double().numpy()
        return (x - mean) / 1.75, 1.75, mean
    return x, 1.0, np.zeros(len(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_latents_and_what_they_stand_for_are_those_of_the_formula(
    normalization: str, activation: str
) -> None:
    made, cells = make(normalization, activation), draw(5, CELLS, UNITS) * 3
    latents = made.encode(cells)
    rebuilt = made.decode(latents, cells)
    e, b, d, o, s = (getattr(made, name).double().numpy() for name in module.TENSORS)
    for cell, found, back in zip(cells.double().numpy(), latents.numpy(), rebuilt.numpy(), strict=True):
        y, scale, shift = normalize_by_hand(cell, normalization)
        z = activate_by_hand((y - s) @ e + b, activation)
        assert np.allclose(found, z, atol=1e-4, rtol=1e-4)
        assert ((found != 0) == (z != 0)).all()
        assert np.allclose(back, (z @ d + o) * scale + shift, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_blocks_and_maps_give_the_latents_of_single_cells(
    normalization: str, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, maps = make(normalization, activation), draw(5, 3, UNITS, 4, 2)
    cells = maps.permute(0, 2, 3, 1).reshape(-1, UNITS)
    single = torch.cat([made.encode(cells[i : i + 1]) for i in range(len(cells))])
    for block in (1, 30, 10**6):
        monkeypatch.setattr(module, "BLOCK", block)
        assert torch.allclose(made.encode(cells), single, atol=1e-5)
        found = made.encode_maps(maps)
        assert torch.allclose(found.permute(0, 2, 3, 1).reshape(-1, LATENTS), single, atol=1e-5)
        assert found.is_contiguous()


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("relu", [True, False])
def test_of_equal_latents_the_lowest_are_kept(k: int, relu: bool) -> None:
    h = torch.from_numpy(np.random.default_rng(0).integers(-2, 3, (300, 8)).astype(np.float32))
    expected = np.stack([keep_largest(one, k, relu) for one in h.numpy()])
    assert np.array_equal(TopK(k, relu)(h).numpy(), expected)


def test_codes_of_a_factorization_rebuild_what_was_mixed_from_it() -> None:
    dictionary, codes = draw(0, 3, 8).abs(), draw(1, 20, 3).abs()
    made = make_directions(
        dictionary.T, dictionary, activation=NonNegative(dictionary @ dictionary.T, 500), kind="nmf"
    )
    cells = codes @ dictionary
    found = made.encode(cells)
    assert (found >= 0).all()
    assert torch.allclose(made.decode(found), cells, atol=2e-2)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_what_is_not_a_number_is_never_a_latent_that_is_off(activation: str) -> None:
    cells = torch.full((1, UNITS), float("nan"))
    found = make(activation=activation).encode(cells).isnan().sum()
    kept = getattr(ACTIVATIONS[activation], "k", LATENTS)
    assert found == (2 if activation == "gated-topk" else kept)


def test_a_threshold_that_is_not_strict_keeps_its_own_value() -> None:
    edge = torch.tensor([1.0, 2.0])
    h = torch.tensor([[1.0, 1.5], [0.5, 2.0]])
    assert Threshold(edge, strict=False)(h).tolist() == [[1.0, 0.0], [0.0, 2.0]]
    assert Threshold(edge, strict=True)(h).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_gradients_pass_as_through_the_formula() -> None:
    made, cells = make("layer", "topk"), draw(5, CELLS, UNITS).requires_grad_()
    made.decode(made.encode(cells), cells).square().sum().backward()
    assert cells.grad is not None
    assert bool(cells.grad.abs().sum() > 0)


def test_a_rotation_is_that_of_the_rotation_study_to_the_last_bit() -> None:
    basis = torch.from_numpy(draw_rotations(UNITS, 1, 3)[0].astype(np.float32))
    maps = draw(5, 4, UNITS, 6, 6)
    made = draw_rotation(UNITS, 3)
    assert torch.equal(made.encode_maps(maps), functional.conv2d(maps, basis[:, :, None, None]))
    cells = draw(6, CELLS, UNITS)
    assert torch.allclose(made.encode(cells), cells @ basis.T, atol=1e-5)
    assert torch.allclose(made.decode(made.encode(cells)), cells, atol=1e-5)


def test_the_units_as_directions_are_themselves_to_the_bit() -> None:
    cells = draw(5, 6, UNITS, 3, 3)
    cells[0, 0, 0, 0] = float("inf")
    for made in (keep_units(UNITS), open_directions("identity", units=UNITS)):
        assert torch.equal(made.encode_maps(cells), cells)
        assert torch.equal(made.encode(cells[:, :, 0, 0]), cells[:, :, 0, 0])


def test_an_untrained_autoencoder_keeps_k_of_unit_directions() -> None:
    made, again = draw_sae(UNITS, LATENTS, 3, 1), draw_sae(UNITS, LATENTS, 3, 1)
    assert torch.allclose(made.decoder.norm(dim=1), torch.ones(LATENTS))
    found = made.encode(draw(5, CELLS, UNITS))
    assert (found >= 0).all()
    assert ((found > 0).sum(1) <= 3).all()
    assert (found > 0).sum() > 2 * CELLS
    assert made.digest == again.digest != draw_sae(UNITS, LATENTS, 3, 2).digest


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "non-negative"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_file_gives_the_same_directions_and_the_same_bytes(
    normalization: str, activation: str, tmp_path: Path
) -> None:
    if activation == "non-negative":
        made = make_directions(draw(0, UNITS, 3), activation=NonNegative(torch.eye(3), 7))
    else:
        made = make(normalization, activation)
    first, second = (save_directions(made, tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    assert first.read_bytes() == second.read_bytes()
    found = load_directions(first)
    assert (found.digest, found.kind, found.about) == (made.digest, made.kind, made.about)
    cells = draw(5, CELLS, UNITS)
    assert torch.equal(found.encode(cells), made.encode(cells))
    assert torch.equal(found.decode(found.encode(cells), cells), made.decode(made.encode(cells), cells))


def test_the_digest_tells_every_part_apart() -> None:
    made = [make(normalization, activation) for normalization in NORMALIZATIONS for activation in ACTIVATIONS]
    made += [make_directions(draw(0, UNITS, LATENTS), bias=draw(2, LATENTS), offset=draw(4, UNITS))]
    made += [make_directions(draw(0, UNITS, LATENTS), bias=draw(2, LATENTS), subtracted=draw(4, UNITS))]
    assert len({one.digest for one in made}) == len(made)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"bias": torch.zeros(3)}, "bias is 3; wanted 12"),
        ({"decoder": torch.zeros(5, 12)}, "decoder is 5 x 12; wanted 12 x 5"),
        ({"offset": torch.full((5,), float("nan"))}, "offset has numbers that are not finite"),
        ({"activation": TopK(13, True)}, "k is 13; of 12 latents 1 to 12"),
        ({"activation": TopK(0, True)}, "k is 0"),
        ({"activation": Threshold(torch.zeros(5), True)}, "activation.values is 5; wanted 12"),
        ({"normalization": Standardized(torch.zeros(12), 1.0)}, "normalization.mean is 12; wanted 5"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_directions(draw(0, UNITS, LATENTS), **parts)


def test_cells_of_another_width_are_refused() -> None:
    made = make("layer")
    with pytest.raises(UsageError, match="the cells have 7 units, these directions read 5"):
        made.encode(torch.zeros(2, 7))
    with pytest.raises(UsageError, match="the cells have 7 units"):
        made.encode_maps(torch.zeros(2, 7, 2, 2))
    with pytest.raises(UsageError, match="7 latents were given, these directions have 12"):
        made.decode(torch.zeros(2, 7))
    with pytest.raises(UsageError, match=r"decode\(latents, cells\)"):
        made.decode(torch.zeros(2, LATENTS))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("rotation", "wanted rotation:SEED"),
        ("rotation:x", "SEED='x': wanted a whole number"),
        ("rotation:0:1", "wanted rotation:SEED"),
        ("random-sae:64:4", "wanted random-sae:LATENTS:K:SEED"),
        ("random-sae:64:65:0", "k is 65; of 64 latents 1 to 64"),
        ("random-sae:0:1:0", "0 latents are asked for"),
        ("identity:1", "wanted identity"),
        ("pca:64", "unitscope directions fit --kind pca"),
        ("nowhere.safetensors", "there is no file nowhere.safetensors"),
        ("rotations:1", "near names: rotation"),
    ],
)
def test_texts_that_name_no_directions_are_told_what_does(spec: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as told:
        open_directions(spec, units=UNITS)
    assert "\n" not in str(told.value)


def test_drawn_directions_ask_for_the_units() -> None:
    with pytest.raises(UsageError, match="units=N"):
        open_directions("rotation:0")


def test_a_file_opens_by_its_name_where_its_width_fits(tmp_path: Path) -> None:
    made = make("layer", "topk")
    path = save_directions(made, tmp_path / "a.safetensors")
    for spec in (f"{path}", f"sae:{path}"):
        assert open_directions(spec, units=UNITS).digest == open_directions(spec).digest == made.digest
    with pytest.raises(UsageError, match="reads 5 units, the layer has 7"):
        open_directions(str(path), units=7)
    with pytest.raises(UsageError, match="of kind made, not probes"):
        open_directions(f"probe:{path}")


def test_files_that_hold_no_directions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(NetworkError, match="holds no directions"):
        load_directions(path)
    save_file({"x": torch.zeros(3)}, path, {"unitscope.directions": '{"format": 2}'})
    with pytest.raises(NetworkError, match="format 2, this version reads 1"):
        load_directions(path)
    for note in ("[]", "{", '{"format": 1}', '{"format": 1, "kind": "a", "about": {}, "facts": {}}'):
        save_file({"x": torch.zeros(3)}, path, {"unitscope.directions": note})
        with pytest.raises(NetworkError, match="is damaged"):
            load_directions(path)
    path.write_bytes(b"no")
    with pytest.raises(NetworkError, match="not a readable safetensors file"):
        load_directions(path)
