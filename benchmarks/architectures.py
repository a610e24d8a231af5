"""Where the layers of every architecture look: the probe over a small member of each family, weights random.

    python benchmarks/architectures.py [--only NAME ...] [--seconds 1200]

Families are the modules of timm and the vision models of transformers. Each is probed at its square input and
at one twice as wide, where it takes that. Printed is a table in Markdown: a row a family and input, with the
numbers of layers in place, mixed, refused, and what is refused.
"""

import argparse
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import timm
import torch
import transformers
from torch import nn

from unitscope.errors import NetworkError
from unitscope.networks.network import IMAGENET, Network, Preprocessing
from unitscope.networks.places import list_places
from unitscope.networks.tokens import Tokens
from unitscope.networks.trace import LayerShape
from unitscope.networks.weights import count_class_tokens, one_line, random_weights

Size = tuple[int, int]

SMALL = (
    "atto", "femto", "pico", "nano", "xxs", "tiny", "xs", "_t", "small", "_s", "_0", "b0", "18", "050",
)  # fmt: skip
TRANSFORMERS = (
    "beit", "bit", "clip_vision_model", "convnext", "convnextv2", "cvt", "data2vec-vision", "deit",
    "dinov2", "dinov2_with_registers", "dinov3_convnext", "dinov3_vit", "donut-swin", "dpt",
    "efficientnet", "focalnet", "glpn", "hgnet_v2", "hiera", "ijepa", "levit", "mobilenet_v1",
    "mobilenet_v2", "mobilevit", "mobilevitv2", "poolformer", "pvt", "pvt_v2", "regnet", "resnet",
    "segformer", "siglip_vision_model", "swiftformer", "swin", "swinv2", "vit", "vit_mae", "vit_msn",
    "vitdet", "yolos",
)  # fmt: skip
FEW = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 192}
SIDE, MOST = 224, 256


@dataclass(frozen=True)
class Family:
    """An architecture: its name, one member, its square input, and how it is built for an input."""

    name: str
    member: str
    side: int
    build: Callable[[Size], nn.Module]


def list_timm(only: Sequence[str]) -> Iterator[Family]:
    """A small member of every module of timm, chosen by its name and then by its parameters."""
    for family in timm.list_modules():
        names = [name for name in timm.list_models(module=family) if not name.startswith("test_")]
        if not names or not is_asked(f"timm {family}", only):
            continue
        names.sort(key=lambda name: (-sum(word in name for word in SMALL), len(name), name))
        member = min(names[:3], key=count_parameters)
        config = timm.get_pretrained_cfg(member)
        side = min(MOST, config.input_size[-1]) if config is not None else SIDE
        yield Family(f"timm {family}", member, side, partial(build_timm, member))


def count_parameters(name: str) -> int:
    """How many parameters a network of timm has; a billion where it cannot be built without a device."""
    try:
        with torch.device("meta"):
            return sum(one.numel() for one in timm.create_model(name).parameters())
    except Exception:  # some architectures compute with their weights while they are built
        return 10**9


def build_timm(member: str, size: Size) -> nn.Module:
    """A network of timm for an input, also where it does not ask for the size."""
    try:
        return timm.create_model(member, img_size=size)
    except TypeError:
        return timm.create_model(member)


def list_transformers(only: Sequence[str]) -> Iterator[Family]:
    """The vision models of transformers, with few and narrow layers where a configuration says so."""
    for kind in TRANSFORMERS:
        if is_asked(f"transformers {kind}", only):
            yield Family(f"transformers {kind}", kind, SIDE, partial(build_transformers, kind))


def is_asked(family: str, only: Sequence[str]) -> bool:
    """Whether a family is among those asked for by parts of their names; all are without any."""
    return not only or any(part in family for part in only)


def build_transformers(kind: str, size: Size) -> nn.Module:
    """A network of transformers for an input."""
    config = transformers.CONFIG_MAPPING[kind]()
    for name, value in FEW.items():
        if isinstance(getattr(config, name, None), int):
            setattr(config, name, value)
    if hasattr(config, "image_size"):
        square = isinstance(config.image_size, int) and size[0] == size[1]
        config.image_size = size[0] if square else list(size)
    return transformers.AutoModel.from_config(config)


def probe(family: Family, size: Size) -> list[LayerShape]:
    """The layers of a family's member with their places. Raises `NetworkError` for an input not taken."""
    try:
        with random_weights(0):
            module = family.build(size).eval()
    except Exception as error:  # whatever a constructor raises for an input that it does not take
        raise NetworkError(one_line(error, 60)) from error
    first = getattr(module, "num_prefix_tokens", None)
    registers = int(getattr(getattr(module, "config", None), "num_register_tokens", 0) or 0)
    if first is None and (found := count_class_tokens(module)):
        first = found + registers
    return list_places(Network(module, Preprocessing(size, *IMAGENET), (), family.member, Tokens(first)))


def spell(family: Family, size: Size, rows: list[LayerShape]) -> str:
    """A row of the table; of what is refused the commonest kinds, their numbers left out of their names."""
    places = Counter(row.place for row in rows if row.shape is not None)
    refused = [row for row in rows if row.place == "elsewhere"]
    kinds = Counter(re.sub(r"\d+", "N", re.sub(r"#\d+$", "", row.name)) for row in refused)
    why = ", ".join(f"{name} ({count})" for name, count in kinds.most_common(3))
    why += ", ..." if len(kinds) > 3 else ""
    other = places["whole"] + places["silent"]
    unread = sum(row.shape is None or not row.place for row in rows)
    numbers = (places["in place"], places["mixed"], other, places["elsewhere"], unread)
    cells = (family.name, family.member, f"{size[0]} x {size[1]}", *map(str, numbers), why)
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Prints the table, and what was not reached in time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of families")
    parser.add_argument("--seconds", type=float, default=1200.0, help="when to stop")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    started, left = time.monotonic(), []
    print(
        "| family | member | input | in place | mixed | whole or silent | refused | no maps | refused are |"
    )
    print("|---|---|---|---:|---:|---:|---:|---:|---|")
    for make in (list_timm, list_transformers):
        for family in make(given.only):
            if time.monotonic() - started > given.seconds:
                left.append(family.name)
                continue
            for size in ((family.side, family.side), (family.side, 2 * family.side)):
                try:
                    row = spell(family, size, probe(family, size))
                except Exception as error:  # one family's fault must not hide the others
                    why = f"not taken: {one_line(error, 90)}"
                    row = f"| {family.name} | {family.member} | {size[0]} x {size[1]} | | | | | | {why} |"
                print(row, flush=True)
    if left:
        print(f"\nNot reached in {given.seconds:g} seconds: {', '.join(left)}.")


if __name__ == "__main__":
    main()
