"""One small member of every architecture family of timm, and the vision models of transformers."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import timm
import torch
import transformers
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_MAPPING_NAMES

from unitscope.networks.tokens import Size

LARGE = re.compile(r"large|huge|gigantic|giant|xxlarge|so400m|so150m|_(xl|xxl|l)(_|$)")
"""Names of sizes that are not counted while a family has others."""
FAMILIAR = ("test_", "distilled")
"""Names of timm's own miniatures for its tests, which are no architecture, and of distilled models."""
MOST, FEW_BLOCKS = 10e6, 3
"""From how many parameters on a member is built with fewer blocks, where it takes `depth`."""
SQUARE, WIDE = (160, 160), (96, 192)
"""The inputs; where one is not taken, that of the member's configuration, and one twice as wide, is tried."""
LARGEST = 256
"""Up to which side of a configuration; else 224 is tried."""
OTHERS = (
    "clip_vision_model", "cvt", "donut-swin", "hgnet_v2", "mobilenet_v3", "pvt_v2", "siglip2_vision_model",
)  # fmt: skip
"""Vision models of transformers that are not in its list of models for images."""
NARROW = {
    "hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4,
    "intermediate_size": 192, "encoder_layers": 2, "decoder_layers": 2, "d_model": 96, "head_dim": 24,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 192,
    "decoder_ffn_dim": 192, "num_global_layers": 1, "vocab_size": 64, "vision_output_dim": 96,
    "use_pretrained_backbone": False, "pad_token_id": 0,
}  # fmt: skip

EXCEPTIONS = {
    "timm's `test_...`": "miniatures for timm's own tests, in no family of their own",
    "timm's `..._distilled...`": "as their family, with one more token in front",
    f"over {MOST / 1e6:g} million parameters": f"built with {FEW_BLOCKS} blocks where they take `depth`",
    "transformers' configurations": "the default, made narrow where blocks and channels are stated",
}


@dataclass(frozen=True)
class Family:
    """An architecture: library, name, one member, the side it is made for, how it is built for an input."""

    library: str
    name: str
    member: str
    side: int
    build: Callable[[Size], nn.Module]


def list_names(library: str) -> list[str]:
    """The names of all families of a library."""
    if library == "timm":
        return [name for name in timm.list_modules() if _members(name)]
    return sorted({*MODEL_FOR_IMAGE_MAPPING_NAMES, *OTHERS})


def open_family(library: str, name: str) -> Family:
    """A family with the member that has the fewest parameters, of names as short as can be."""
    if library == "transformers":
        return Family(library, name, name, 224, partial(_build_transformers, name))
    members = _members(name)
    members = [one for one in members if not LARGE.search(one)] or members
    parameters = {one: _count_parameters(one) for one in members}
    member = min(members, key=lambda one: (parameters[one], len(one), one))
    config = timm.get_pretrained_cfg(member)
    side = config.input_size[-1] if config is not None else 224
    options = {"depth": FEW_BLOCKS} if parameters[member] > MOST else {}
    return Family(library, name, member, side, partial(_build_timm, member, options))


def list_inputs(family: Family) -> tuple[list[Size], list[Size]]:
    """Square inputs, and wide ones, in the order in which they are tried."""
    side = family.side if family.side <= LARGEST else 224
    more = side != SQUARE[0]
    return [SQUARE, *[(side, side)] * more], [WIDE, *[(side, 2 * side)] * more]


def _members(family: str) -> list[str]:
    found: list[str] = timm.list_models(module=family)
    return [name for name in found if not any(word in name for word in FAMILIAR)]


def _count_parameters(name: str) -> float:
    """How many parameters a network of timm has; endlessly many where it cannot be built without memory."""
    try:
        with torch.device("meta"):
            return sum(one.numel() for one in timm.create_model(name).parameters())
    except Exception:  # some architectures compute with their weights while they are built
        return float("inf")


def _build_timm(member: str, options: dict[str, Any], size: Size) -> nn.Module:
    """A network of timm for an input, also where it does not ask for the size, or for fewer blocks."""
    error: Exception = ValueError(member)
    for more in ({"img_size": size, **options}, {"img_size": size}, options, {}):
        try:
            return timm.create_model(member, **more)
        except TypeError as unknown:  # a keyword that it does not take
            error = unknown
    raise error


def _build_transformers(kind: str, size: Size) -> nn.Module:
    config = transformers.CONFIG_MAPPING[kind]()
    for part in _parts(config):
        depths = getattr(part, "depths", None)
        for name, value in NARROW.items():
            if isinstance(getattr(part, name, None), int) and not (name == "num_hidden_layers" and depths):
                setattr(part, name, value)
        if isinstance(depths, list | tuple):
            part.depths = [min(depth, 2) for depth in depths]
        if getattr(part, "image_size", None) is not None:
            square = isinstance(part.image_size, int) and size[0] == size[1]
            part.image_size = size[0] if square else list(size)
    module = transformers.AutoModel.from_config(config)
    if getattr(type(module), "main_input_name", "pixel_values") != "pixel_values":
        module = getattr(module, "vision_model", module)
    return module


def _parts(config: Any) -> Iterator[Any]:
    """A configuration and those inside of it."""
    yield config
    for value in list(vars(config).values()):
        if isinstance(value, transformers.PretrainedConfig):
            yield from _parts(value)
