"""What is dissected: networks, their layers, their preprocessing."""

from collections.abc import Mapping

from unitscope.plugins import Kind

_ALL = ("weights", "random", "download")
_SIZED = (*_ALL, "size")

KINDS: Mapping[str, Kind] = {
    "torchvision": Kind("unitscope.networks.libraries:load_torchvision", "torchvision:NAME", options=_ALL),
    "timm": Kind("unitscope.networks.libraries:load_timm", "timm:NAME", options=_SIZED),
    "hf": Kind("unitscope.networks.huggingface:load_transformers", "hf:FOLDER", options=_SIZED),
    "diffusers": Kind(
        "unitscope.networks.diffusion:load_diffusion",
        "diffusers:FOLDER[,steps=N]",
        options=("weights", "random"),
    ),
    "efficientnet-lite0": Kind(
        "unitscope.networks.libraries:load_lite", "efficientnet-lite0", options=("weights", "random")
    ),
    ".py": Kind("unitscope.networks.load:load_file", "FILE.py:FACTORY", options=("weights", "random")),
}
"""The networks that need no package to bring them, by what stands before the colon."""
