"""Whether files that the libraries of autoencoders write themselves are read with the libraries' own latents.

    python benchmarks/autoencoders.py [LIBRARY ...]

For an environment that has unitscope and the libraries, none of which is a requirement of ours: overcomplete,
sae-lens, dictionary-learning, vit-prisma, saev (of its repository, not the package 0.1.0), and sdxl-unbox's
repository on PYTHONPATH. Random weights of 12 units and 48 latents, 40 random cells. A line for each kind of
file: the largest difference of latents and of what they stand for, and whether the same latents are 0. What
is not installed is said. Ends with 1 where latents differ by more than 1e-5, others are 0, or nothing was
compared.
"""

import argparse
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unitscope.networks.directions.open_directions import open_directions

UNITS, LATENTS, K = 12, 48, 5
Case = tuple[str, Path, Tensor, Tensor, dict[str, Any]]
"""What it is, its file, latents and reconstruction by the library, and what must be said about the file."""


def fill(module: Any) -> Any:
    """The module with random weights, in evaluation."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn_like(weight) / 2)
    return module.eval()


def write_overcomplete(folder: Path, cells: Tensor) -> Iterator[Case]:
    from overcomplete.sae import SAE, BatchTopKSAE, JumpSAE, RAJumpSAE, RATopKSAE, TopKSAE

    points = torch.randn(20, UNITS)
    layer = {"normalization": "max_l2", "use_multiplier": True}
    models: dict[str, tuple[Any, dict[str, Any]]] = {
        "SAE": (SAE(UNITS, LATENTS), {"kind": "relu"}),
        "TopKSAE": (TopKSAE(UNITS, LATENTS, top_k=K), {"k": K}),
        "TopKSAE max_l2": (TopKSAE(UNITS, LATENTS, top_k=K, dictionary_params=layer), {}),
        "JumpSAE": (JumpSAE(UNITS, LATENTS), {}),
        "RATopKSAE": (RATopKSAE(UNITS, LATENTS, points=points, top_k=K), {"k": K}),
        "RAJumpSAE": (RAJumpSAE(UNITS, LATENTS, points=points), {}),
        "BatchTopKSAE": (BatchTopKSAE(UNITS, LATENTS, top_k=200), {}),
        "TopKSAE tied": (TopKSAE(UNITS, LATENTS, top_k=K).tied(bias=True), {"k": K}),
    }
    for name, (model, given) in models.items():
        fill(model)
        if name == "BatchTopKSAE":
            model.train().encode(cells)
            model.eval()
            given = {"threshold": float(model.running_threshold)}
        codes = model.encode(cells)[1]
        whole, state = folder / f"{name}.pth", folder / f"{name} state.pth"
        torch.save(model, whole)
        torch.save(model.state_dict(), state)
        yield name, whole, codes, model.decode(codes), {}
        if "max" not in name:  # a state dict does not say how its dictionary is normalized
            yield f"{name}, state dict", state, codes, model.decode(codes), given


def write_sae_lens(folder: Path, cells: Tensor) -> Iterator[Case]:
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.gated_sae import GatedSAE, GatedSAEConfig
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
    from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
    from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig

    size = {"d_in": UNITS, "d_sae": LATENTS}
    norms = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")
    settings: dict[str, Any] = {
        **{f"standard {norm}": StandardSAEConfig(**size, normalize_activations=norm) for norm in norms},
        "standard without b_dec": StandardSAEConfig(**size, apply_b_dec_to_input=False),
        "topk": TopKSAEConfig(**size, k=K),
        "topk rescaled": TopKSAEConfig(**size, k=K, rescale_acts_by_decoder_norm=True),
        "jumprelu": JumpReLUSAEConfig(**size),
        "gated": GatedSAEConfig(**size),
    }
    kinds = {"standard": StandardSAE, "topk": TopKSAE, "jumprelu": JumpReLUSAE, "gated": GatedSAE}
    for name, config in settings.items():
        sae = fill(kinds[name.partition(" ")[0]](config))
        sae.save_model(folder / name)
        latents = sae.encode(cells)
        yield name, folder / name, latents, sae.decode(latents), {}
    sae = fill(BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**size, k=K)))
    sae.topk_threshold.fill_(0.7)
    sae.save_inference_model(folder / "batchtopk")
    read = JumpReLUSAE(JumpReLUSAEConfig(**size))
    read.load_state_dict(_load_safetensors(folder / "batchtopk" / "sae_weights.safetensors"))
    latents = read.encode(cells)
    yield "batchtopk for inference", folder / "batchtopk", latents, read.decode(latents), {}


def write_dictionary_learning(folder: Path, cells: Tensor) -> Iterator[Case]:
    from dictionary_learning.dictionary import (
        AutoEncoder,
        AutoEncoderNew,
        GatedAutoEncoder,
        JumpReluAutoEncoder,
    )
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    models: list[Any] = [
        *(
            kind(UNITS, LATENTS)
            for kind in (AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder)
        ),
        *(kind(UNITS, LATENTS, K) for kind in (AutoEncoderTopK, BatchTopKSAE)),
        MatryoshkaBatchTopKSAE(UNITS, LATENTS, K, [8, 40]),
    ]
    for model in map(fill, models):
        name = type(model).__name__
        if "Batch" in name:
            model.threshold.fill_(0.7)
        place = folder / name
        place.mkdir()
        torch.save(model.state_dict(), place / "ae.pt")
        (place / "config.json").write_text(json.dumps({"trainer": {"dict_class": name, "k": K}}))
        latents = model.encode(cells)
        yield name, place, latents, model.decode(latents), {}
    model = AutoEncoder.from_pretrained(folder / "AutoEncoder" / "ae.pt")
    latents = model.encode(cells)
    yield "from_pretrained", folder / "AutoEncoder", latents, model.decode(latents), {"unit_decoder": "yes"}


def write_vit_prisma(folder: Path, cells: Tensor) -> Iterator[Case]:
    from vit_prisma.sae.config import VisionModelSAERunnerConfig
    from vit_prisma.sae.sae import GatedSparseAutoencoder, StandardSparseAutoencoder

    kinds = {"standard": StandardSparseAutoencoder, "gated": GatedSparseAutoencoder}
    for architecture, kind in kinds.items():
        for norm in ("none", "layer_norm", "constant_norm_rescale"):
            for word in ("relu", "tanh-relu", "topk"):
                config = VisionModelSAERunnerConfig(
                    d_in=UNITS,
                    expansion_factor=LATENTS // UNITS,
                    architecture=architecture,
                    normalize_activations=norm,
                    activation_fn_str=word,
                    activation_fn_kwargs={"k": K} if word == "topk" else {},
                    _device="cpu",
                )
                sae = fill(kind(config))
                latents = sae.encode(cells)[1]
                rebuilt = sae.decode(latents)
                for ending in ("pt", "pkl.gz"):
                    path = folder / f"{architecture}-{norm}-{word}.{ending}"
                    sae.save_model(str(path))
                    yield path.name, path, latents, rebuilt, {}


def write_saev(folder: Path, cells: Tensor) -> Iterator[Case]:
    from saev.nn import modeling

    rules = {
        "relu": modeling.Relu(),
        "top-k": modeling.TopK(top_k=K),
        "top-k with negative latents": modeling.TopK(top_k=LATENTS - 8),
        "batch-top-k": modeling.BatchTopK(top_k=K),
    }
    for name, rule in rules.items():
        sae = fill(
            modeling.SparseAutoencoder(
                modeling.SparseAutoencoderConfig(d_model=UNITS, d_sae=LATENTS, activation=rule)
            )
        )
        if name == "batch-top-k":
            sae.activation.threshold.fill_(0.7)
        modeling.dump(folder / f"{name}.pt", sae)
        latents = sae.encode(cells).f_x
        yield name, folder / f"{name}.pt", latents, sae.decode(latents)[:, -1], {}


def write_sdxl_unbox(folder: Path, cells: Tensor) -> Iterator[Case]:
    from SAE.sae import SparseAutoencoder

    sae = fill(SparseAutoencoder(LATENTS, UNITS, K, 8, 100))
    sae.save_to_disk(str(folder / "topk"))
    yield "topk", folder / "topk", sae.encode(cells), sae(cells)[0], {}


LIBRARIES: dict[str, Callable[[Path, Tensor], Iterator[Case]]] = {
    "overcomplete": write_overcomplete,
    "sae-lens": write_sae_lens,
    "dictionary-learning": write_dictionary_learning,
    "vit-prisma": write_vit_prisma,
    "saev": write_saev,
    "sdxl-unbox": write_sdxl_unbox,
}


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def compare(library: str, cells: Tensor) -> list[bool]:
    """Writes, reads and prints; whether each file of the library gives its latents."""
    good = []
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, path, latents, rebuilt, given in LIBRARIES[library](Path(place), cells):
            made = open_directions(str(path), units=UNITS, **given)
            found = made.encode(cells)
            away = float((found - latents).abs().max())
            back = float((made.decode(found, cells) - rebuilt).abs().max())
            same = torch.equal(found != 0, latents != 0)
            good.append(away < 1e-5 and same)
            verdict = "same latents are 0" if same else "OTHER LATENTS ARE 0"
            print(f"{library:20} {name:40} {away:.1e} {back:.1e} {verdict}", flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", choices=[*LIBRARIES, []], metavar="LIBRARY")
    wanted = parser.parse_args().libraries or list(LIBRARIES)
    torch.manual_seed(0)
    cells = 2 * torch.randn(40, UNITS) + 0.3
    good = []
    with torch.no_grad():
        for library in wanted:
            try:
                good += compare(library, cells)
            except ImportError as error:
                print(f"{library:20} is not here: {error}")
    print(f"{sum(good)} of {len(good)} files give the latents of their library")
    return 0 if good and all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
