"""Networks of the transformers library: from a folder, from its cache, or fetched when asked."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from unitscope.errors import MissingWeightsError, NetworkError
from unitscope.networks.foreign import name_format
from unitscope.networks.libraries import import_library
from unitscope.networks.network import IMAGENET, Network, Preprocessing
from unitscope.networks.tokens import Tokens
from unitscope.networks.weights import ADVICE, count_class_tokens, one_line, put_weights, random_weights

_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def load_transformers(
    repo: str,
    weights: Path | None = None,
    random: int | None = None,
    download: bool = False,
    size: tuple[int, int] | None = None,
) -> Network:
    """The network that `config.json` describes, in a local folder or a repository of the Hugging Face hub.

    The class is the one the configuration names. Of networks that read images and text the image tower is
    taken. No code from the folder is run. Preprocessing is that of `preprocessor_config.json`. A network that
    is built for one size of input is built for `size`, if that is given.

    Raises `UsageError` without the package, `NetworkError` where the folder, its configuration or its weights
    cannot be read.
    """
    transformers = import_library("transformers", "transformers")
    where = {"local_files_only": not download, "trust_remote_code": False}
    with quiet(transformers):
        config = read_config(transformers, repo, where)
        kind = choose_class(transformers, config)
        parts: tuple[Any, ...] = config, getattr(config, "vision_config", None)
        for part in parts:
            if size is not None and getattr(part, "image_size", None) is not None:
                part.image_size = size[0] if size[0] == size[1] else size
        module = make_module(kind, repo, config, weights, random, where)
        preprocessing = _preprocessing(transformers, repo, config, where, warn=random is None)
    if getattr(kind, "main_input_name", "pixel_values") != "pixel_values":
        module = getattr(module, "vision_model", module)
    names = getattr(config, "id2label", None) or {}
    classes = tuple(str(names[key]) for key in sorted(names))
    given = () if all(name.startswith("LABEL_") for name in classes) else classes
    prefix = count_class_tokens(module)
    prefix += int(getattr(config, "num_register_tokens", 0) or 0) if prefix else 0
    return Network(module, preprocessing, given, "", Tokens(prefix or None))


def read_config(
    transformers: Any, repo: str, where: dict[str, Any], advice: str = "or allow the download (--download)"
) -> Any:
    """What `config.json` says. Raises `NetworkError`, with `advice`, where there is none that can be read."""
    try:
        return transformers.AutoConfig.from_pretrained(repo, **where)
    except Exception as error:  # its readers raise whatever a bad file makes them raise
        raise NetworkError(
            f"hf:{repo} is no folder with a config.json, nor in the Hugging Face cache of this machine; "
            f"give such a folder {advice}: {one_line(error, 90)}"
        ) from error


def choose_class(transformers: Any, config: Any) -> Any:
    """The class that a configuration names. Raises `NetworkError` where there is none."""
    for name in config.architectures or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    try:
        return transformers.AutoModel._model_mapping[type(config)]
    except KeyError:
        lack = f"no network for configurations of type {config.model_type!r}"
        advice = "wrap yours in a function and give FILE.py:FACTORY"
        raise NetworkError(f"transformers has {lack}; {advice}") from None


def make_module(
    kind: Any, repo: str, config: Any, weights: Path | None, random: int | None, where: dict[str, Any]
) -> nn.Module:
    """A module of that class with its weights. Raises `NetworkError` where they are missing or do not fit."""
    try:
        with random_weights(random or 0):
            if weights is None and random is None:
                options = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # told below
                module, info = kind.from_pretrained(repo, config=config, **options, **where)
            else:
                module, info = kind(config), {}
    except Exception as error:
        if isinstance(error, OSError) and where["local_files_only"]:
            others = {path.name: name_format(path) for path in Path(repo).glob("*") if path.is_file()}
            if foreign := next(((name, what) for name, what in others.items() if what), None):
                raise NetworkError(
                    f"hf:{repo} has no PyTorch weights: {foreign[0]} is {foreign[1]}; {ADVICE}"
                ) from error
            raise MissingWeightsError(f"hf:{repo} has no weights on this machine; {ADVICE}") from error
        raise NetworkError(f"hf:{repo} cannot be loaded: {one_line(error)}") from error
    if weights is not None:
        put_weights(module, weights)
    # A pooler behind the last layer is commonly left out of published weights.
    wrong = sorted(key for key in info.get("missing_keys", ()) if "pooler" not in key)
    wrong += sorted(str(key) for key in info.get("mismatched_keys", ()))
    if wrong:
        side = getattr(config, "image_size", None)
        raise NetworkError(
            f"the weights of hf:{repo} are not those of its configuration"
            f"{f' with inputs of {side} pixels' if side else ''}; "
            f"missing or of another shape: {', '.join(wrong[:3])}"
        )
    found: nn.Module = module
    return found


def _preprocessing(
    transformers: Any, repo: str, config: Any, where: dict[str, Any], warn: bool
) -> Preprocessing:
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(repo, **where)
    except Exception:
        if warn:
            lack = "has no preprocessor_config.json: mean and deviation of ImageNet are used"
            warnings.warn(f"hf:{repo} {lack}", stacklevel=2)
        side = getattr(config, "image_size", None) or 224
        size = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1]))
        return Preprocessing(size, *IMAGENET)
    size, fraction = _geometry(processor)
    # x = (rescale * rgb - offset - mean) / std, written for rgb / 255.
    scale = 255.0 * (float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 1.0)
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    normalizes = getattr(processor, "do_normalize", True)
    depth = 1 if getattr(config, "num_channels", 3) == 1 else 3
    mean = tuple(map(float, processor.image_mean)) if normalizes else (0.0,)
    std = tuple(map(float, processor.image_std)) if normalizes else (1.0,)
    order = "bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb"
    resample = getattr(processor, "resample", 2)
    return Preprocessing(
        size,
        tuple((value + offset) / scale for value in mean[:depth]),
        tuple(value / scale for value in std[:depth]),
        fraction,
        _RESAMPLE.get(int(resample) if resample is not None else 2, "bilinear"),
        "gray" if depth == 1 else order,
    )


def _geometry(processor: Any) -> tuple[tuple[int, int], float]:
    """The input's (height, width), and the share of the resized picture that the crop keeps."""
    resized = _sides(getattr(processor, "size", None)) or (224, 224)
    cropped = _sides(getattr(processor, "crop_size", None))
    if getattr(processor, "do_center_crop", False) and cropped:
        return cropped, min(1.0, cropped[0] / resized[0])
    fraction = getattr(processor, "crop_pct", None)
    if fraction and resized[0] < 384:  # the rule of the library's ConvNeXT processor
        return resized, float(fraction)
    return resized, 1.0


def _sides(size: Any) -> tuple[int, int] | None:
    if size is None or isinstance(size, int):
        return None if size is None else (size, size)
    named = {
        key: getattr(size, key, None) or (size.get(key) if isinstance(size, dict) else None)
        for key in ("height", "width", "shortest_edge")
    }
    height = named["height"] or named["shortest_edge"]
    return (int(height), int(named["width"] or height)) if height else None


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without the library's own progress bars and reports of what it loaded."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
