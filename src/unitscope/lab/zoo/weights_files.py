"""The networks that ship with the package, and how a trained network becomes a file."""

import hashlib
import json
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import NetworkError, UsageError
from unitscope.files import whole_file
from unitscope.lab.world.names import (
    COLOR_IDS,
    COLORS,
    MATERIAL_IDS,
    OBJECT_IDS,
    PART_IDS,
    PART_OWNERS,
    drawn_vocabulary,
)
from unitscope.lab.zoo.generator import LATENT, SceneGenerator
from unitscope.lab.zoo.networks import CLASSES, SceneClassifier, SceneSegmenter
from unitscope.lab.zoo.recipes import RECIPES, Game, Recipe
from unitscope.lab.zoo.towers import Towers
from unitscope.lab.zoo.transformer import SceneTransformer
from unitscope.networks.generators import Generator
from unitscope.networks.network import Network, Preprocessing
from unitscope.networks.segmentation.network_segmenter import NetworkSegmenter
from unitscope.networks.weights import put_weights, random_weights, read_weights

INPUT = Preprocessing((64, 64), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""How a picture enters every network of the zoo: 64 by 64 pixels, colors from -1 to 1."""

_DIGESTS = "digests.json"


def find_recipe(name: str) -> Recipe:
    """The recipe of a network of the zoo; raises `UsageError` for an unknown name.

    >>> find_recipe("segmenter").lesson
    'segmenter'
    """
    if name not in RECIPES:
        raise UsageError(f"the zoo has no network {name!r}; it has {', '.join(RECIPES)}")
    return RECIPES[name]


def build_module(recipe: Recipe) -> nn.Module:
    """The architecture that a recipe trains, with the weights that torch's random numbers give it."""
    if isinstance(recipe, Game):
        return SceneGenerator(len(recipe.scenes), recipe.norm)
    if recipe.lesson == "segmenter":
        return SceneSegmenter(CLASSES)
    if recipe.lesson == "transformer":
        return SceneTransformer(len(recipe.scenes))
    if recipe.lesson == "towers":
        return Towers()
    return SceneClassifier(len(recipe.scenes))


def save_weights(module: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> str:
    """Writes a network as safetensors, trained weights in half precision; the file's SHA-256 comes back.

    Running means and variances stay in single precision: they are few, and their range is wide.

    Raises `RunError` where the file cannot be written.
    """
    trained = {name for name, _ in module.named_parameters()}
    state = {
        name: (value.half() if name in trained else value).contiguous().clone()
        for name, value in sorted(module.state_dict().items())
    }
    with whole_file(path) as unfinished:
        save_file(state, unfinished, metadata)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_module(recipe: Recipe, path: Path) -> nn.Module:
    """The network of a recipe with the weights of a file that `save_weights` wrote, ready to use.

    Any file serves that `read_weights` reads. Raises what it raises, and `NetworkError` where the file is
    missing or belongs to another architecture.
    """
    if not path.exists():
        raise NetworkError(
            f"there are no weights at {path}; train them with: unitscope zoo train {recipe.name} --out FOLDER"
        )
    with torch.random.fork_rng(devices=[]):
        module = build_module(recipe)
    state = read_weights(path)
    try:
        put_weights(module, state, str(path))
    except NetworkError as error:
        raise NetworkError(f"{path} does not fit zoo:{recipe.name}: {error}") from error
    return module.eval()


@cache
def shipped_digests() -> dict[str, str]:
    """The SHA-256 of every file of weights that ships with the package."""
    found: dict[str, str] = json.loads(_find_shipped(_DIGESTS).read_text(encoding="utf-8"))
    return found


def load_zoo_module(name: str) -> nn.Module:
    """The shipped network of that name, verified against its digest.

    Raises `UsageError` for an unknown name, `NetworkError` for a file that was changed.
    """
    recipe = find_recipe(name)
    file = f"{name}.safetensors"
    path = _find_shipped(file)
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != shipped_digests().get(file):
        raise NetworkError(f"{path} is not the file that was shipped; install unitscope again")
    return read_module(recipe, path)


def load_zoo(name: str, *, weights: Path | None = None, random: int | None = None) -> Network:
    """A network of the zoo: as shipped, or with the weights of a file, or with random ones from a seed.

    The generator comes as a `Generator`, the classifier with its class names; of the two towers of
    `captioned` that of pictures, which gives embeddings in place of logits (`load_captioned` has both).

    >>> load_zoo("scene-classifier").classes[:2]
    ('street', 'park')
    """
    recipe = find_recipe(name)
    if random is not None:
        with random_weights(random):
            module = build_module(recipe).eval()
    else:
        module = load_zoo_module(name) if weights is None else read_module(recipe, weights)
    if isinstance(recipe, Game):
        return Generator(module, INPUT, (), f"zoo:{name}", latent=(LATENT,), kinds=recipe.scenes)
    classes = recipe.scenes if recipe.lesson in ("classifier", "transformer") else ()
    return Network(module, INPUT, classes, f"zoo:{name}")


def open_segmenter(spec: str = "zoo:segmenter") -> NetworkSegmenter:
    """The zoo's segmenter with the drawn world's concepts: planes of objects, parts, materials, colors.

    Raises `UsageError` for another network of the zoo.
    """
    if spec != "zoo:segmenter":
        raise UsageError(f"{spec!r} names no pixels; wanted zoo:segmenter")
    planes = tuple((0, *ids.values()) for ids in (OBJECT_IDS, PART_IDS, MATERIAL_IDS))
    named = {*OBJECT_IDS.values(), *PART_IDS.values(), *MATERIAL_IDS.values(), *COLOR_IDS.values()}
    words = Vocabulary(tuple(concept for concept in drawn_vocabulary() if concept.id in named))
    return NetworkSegmenter(load_zoo("segmenter"), words, planes, COLOR_IDS[COLORS[0]], PART_OWNERS)


def _find_shipped(file: str) -> Path:
    with as_file(files("unitscope.lab.zoo") / "weights" / file) as path:
        return path
