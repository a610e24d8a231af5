"""Models that embed images and texts in one space, by name: CLIP, SigLIP, and what packages bring."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from unitscope.errors import NetworkError, UsageError, missing_extra
from unitscope.networks.huggingface import choose_class, make_module, quiet, read_config
from unitscope.networks.libraries import import_library
from unitscope.networks.load import call_factory
from unitscope.networks.trace import evaluation
from unitscope.networks.weights import one_line
from unitscope.options import check_options, split_options
from unitscope.plugins import TEXT_MODELS, Kind, find_kind, say_kinds

Embeddings = Float32[np.ndarray, "input width"]

_TOKENIZERS = ("tokenizer.json", "vocab.json", "spiece.model", "vocab.txt")


@runtime_checkable
class TextModel(Protocol):
    """What embeds images and texts in one space, where those that go together lie near each other.

    All embeddings have the same width and norm 1. `name` is what opens the model again.
    """

    @property
    def name(self) -> str:
        """What opens the model again, for people."""

    def embed_images(self, images: UInt8[np.ndarray, "image y x 3"]) -> Embeddings:
        """The embeddings of images of one size, which the model brings to the size of its input itself."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """The embeddings of texts. Raises `UsageError` for words that the model does not know."""


@dataclass(frozen=True, eq=False)
class Towers:
    """A module with two towers as a text model.

    `see` gives what the module makes of images, uint8[image, y, x, 3], and `read` of texts, both [input,
    width] before they are brought to norm 1.
    """

    name: str
    module: nn.Module
    see: Callable[[UInt8[np.ndarray, "image y x 3"]], Tensor]
    read: Callable[[Sequence[str]], Tensor]

    def embed_images(self, images: UInt8[np.ndarray, "image y x 3"]) -> Embeddings:
        """The embeddings of images of one size."""
        with evaluation(self.module), torch.no_grad():
            return _normalize(self.see(images))

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """The embeddings of texts. Raises `UsageError` for one that the model cannot read whole."""
        with evaluation(self.module), torch.no_grad():
            return _normalize(self.read(texts))


def open_text_model(spec: str) -> TextModel:
    """The text model that a text names; nothing is ever downloaded.

    - `hf:FOLDER`: CLIP, SigLIP and other models of two towers of the transformers library, in a folder or the
      Hugging Face cache of this machine, with the image processor and the tokenizer that lie there
    - `openclip:FOLDER`, with an `open_clip_config.json` and weights, or `openclip:NAME,weights=FILE`, a model
      that the package open_clip has by name; it is in the extra `openclip`
    - `FILE.py:FACTORY`: what a function without arguments returns
    - what packages bring (`unitscope.plugins.TEXT_MODELS`), such as `zoo:captioned`

    Raises `UsageError` for a name that is none of these or a missing package, `NetworkError` where the model
    cannot be loaded, or has no tower for texts.

    >>> open_text_model("clip")
    Traceback (most recent call last):
    unitscope.errors.UsageError: there is no text model 'clip'; ...
    """
    name, _, place = spec.partition(":")
    kind = find_kind(TEXT_MODELS, TEXT_KINDS, ".py" if ".py:" in spec else name)
    if kind is None:
        raise UsageError(f"there is no text model {spec!r}{say_kinds(TEXT_MODELS, TEXT_KINDS, name)}")
    if not place:
        raise UsageError(f"{spec!r} does not say which text model; wanted {kind.grammar}")
    made = kind(spec if kind is TEXT_KINDS[".py"] else place)
    if not isinstance(made, TextModel):
        wanted = "a text model: name, embed_images and embed_texts"
        raise NetworkError(f"{spec} returned {type(made).__name__}; wanted {wanted}")
    return made


def settle_text_model(text: object) -> TextModel:
    """A text model as it is, or what its name opens. Raises `UsageError` for anything else."""
    if isinstance(text, str):
        return open_text_model(text)
    if not isinstance(text, TextModel):
        wanted = "a model with name, embed_images and embed_texts, or its name"
        raise UsageError(f"the text model is a {type(text).__name__}; wanted {wanted}")
    return text


def list_known(model: TextModel) -> tuple[str, ...]:
    """All words that a model knows, `_` as spaces. Raises `UsageError` where it has no list (`words`)."""
    words = getattr(model, "words", None)
    if words is None:
        raise UsageError(f"{model.name} has no list of words of its own; give one, a word a line")
    return tuple(str(word).replace("_", " ") for word in words)


def load_towers(folder: str) -> Towers:
    """The text model of the transformers library in a folder or its cache: `hf:FOLDER`.

    Raises what `open_text_model` raises.
    """
    transformers = import_library("transformers", "transformers")
    where = {"local_files_only": True, "trust_remote_code": False}
    with quiet(transformers):
        config = read_config(transformers, folder, where, "with its weights")
        kind = choose_class(transformers, config)
        if not hasattr(kind, "get_text_features") or not hasattr(kind, "get_image_features"):
            advice = "give a model of two towers, such as CLIP or SigLIP"
            raise NetworkError(f"hf:{folder} is {kind.__name__}, which embeds no texts; {advice}")
        module: Any = make_module(kind, folder, config, None, None, where).eval()
        process = _open_part(transformers.AutoImageProcessor, folder, "image processor", where)
        if Path(folder).is_dir() and not any((Path(folder) / name).is_file() for name in _TOKENIZERS):
            # Without these files the library silently makes a tokenizer that knows no words.
            raise NetworkError(f"hf:{folder} has no tokenizer; save {_TOKENIZERS[0]} there too")
        tokenize = _open_part(transformers.AutoTokenizer, folder, "tokenizer", where)
    text_config = getattr(config, "text_config", config)
    most = int(getattr(text_config, "max_position_embeddings", 0) or tokenize.model_max_length)
    # SigLIP has learned from texts that are filled up, and has no mask for what fills them.
    padding: Any = "max_length" if str(config.model_type).startswith("siglip") else True

    def see(images: UInt8[np.ndarray, "image y x 3"]) -> Tensor:
        return _take_features(module.get_image_features(**process(images=list(images), return_tensors="pt")))

    def read(texts: Sequence[str]) -> Tensor:
        _check_texts(f"hf:{folder}", tokenize, texts, most)
        fed = tokenize(list(texts), padding=padding, max_length=most, truncation=True, return_tensors="pt")
        fed.pop("token_type_ids", None)
        return _take_features(module.get_text_features(**fed))

    return Towers(f"hf:{folder}", module, see, read)


def _open_part(kind: Any, folder: str, what: str, where: dict[str, Any]) -> Any:
    try:
        return kind.from_pretrained(folder, **where)
    except Exception as error:  # its readers raise whatever a bad file makes them raise
        lack = f"hf:{folder} has no {what} that can be read"
        raise NetworkError(f"{lack}; save the model's own there too: {one_line(error, 90)}") from error


def _take_features(found: Any) -> Tensor:
    """The features, which versions of the library give alone or among others."""
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return features


def _check_texts(model: str, tokenize: Any, texts: Sequence[str], most: int) -> None:
    """Raises `UsageError` for texts that would be cut, or in which something is unknown."""
    unknown, ends = tokenize.unk_token_id, tokenize.eos_token_id
    allowed = int(unknown is not None and unknown == ends)  # of CLIP, the one at the end
    for text, tokens in zip(texts, tokenize(list(texts))["input_ids"], strict=True):
        if len(tokens) > most:
            raise UsageError(
                f"{model} reads {most} tokens at most, and {text!r} has {len(tokens)}; shorten it"
            )
        if unknown is not None and tokens.count(unknown) > allowed:
            raise UsageError(
                f"{model} does not know what stands in {text!r}; spell it otherwise, or leave it out"
            )


def load_openclip(place: str) -> Towers:
    """A model of the package open_clip: `openclip:FOLDER` or `openclip:NAME,weights=FILE`.

    Raises what `open_text_model` raises.
    """
    head, given = split_options(place)
    options = check_options(f"openclip:{head}", given, ("weights",))
    try:
        import open_clip
    except ImportError as error:
        raise missing_extra("open_clip_torch", "opens models of OpenCLIP", "openclip") from error
    folder, file = Path(head), options.get("weights")
    if file is None and not (folder / "open_clip_config.json").is_file():
        wanted = "a folder with an open_clip_config.json, or NAME,weights=FILE"
        raise UsageError(f"openclip:{head} says of no weights on this machine; wanted {wanted}")
    if file is not None and (not Path(file).is_file() or head not in open_clip.list_models()):
        lack = f"no file {file}" if not Path(file).is_file() else f"no model {head!r} in open_clip"
        raise UsageError(f"openclip:{place}: there is {lack}; wanted openclip:NAME,weights=FILE")
    name = head if file is not None else f"local-dir:{head}"
    hub: Any = import_library("huggingface_hub", "openclip").constants
    online, hub.HF_HUB_OFFLINE = hub.HF_HUB_OFFLINE, True  # some of its tokenizers would be fetched
    try:
        made: Any = open_clip.create_model_from_pretrained(name, pretrained=file, device="cpu")
        module, prepare, tokenize = made[0].eval(), made[1], open_clip.get_tokenizer(name)
    except Exception as error:  # its readers raise whatever a bad file makes them raise
        raise NetworkError(f"openclip:{place} cannot be loaded: {one_line(error, 150)}") from error
    finally:
        hub.HF_HUB_OFFLINE = online

    def see(images: UInt8[np.ndarray, "image y x 3"]) -> Tensor:
        found: Tensor = module.encode_image(torch.stack([prepare(_picture(image)) for image in images]))
        return found

    def read(texts: Sequence[str]) -> Tensor:
        found: Tensor = module.encode_text(tokenize(list(texts)))
        return found

    return Towers(f"openclip:{place}", module, see, read)


def _picture(image: UInt8[np.ndarray, "y x 3"]) -> Any:
    return Image.fromarray(image)


def _normalize(features: Tensor) -> Embeddings:
    return np.asarray(functional.normalize(features.float(), dim=1).cpu().numpy())


TEXT_KINDS: Mapping[str, Kind] = {
    "hf": Kind(load_towers, "hf:FOLDER"),
    "openclip": Kind(load_openclip, "openclip:FOLDER or openclip:NAME,weights=FILE"),
    ".py": Kind(call_factory, "FILE.py:FACTORY"),
}
"""The kinds of text models that are always there."""
