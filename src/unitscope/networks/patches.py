"""What a network's modules say of its tokens: patches of its input, class tokens, known orders of patches."""

import math
from typing import Any

from torch import Tensor, nn

from unitscope.networks.tokens import KnownOrder, Size, unroll_order

_CLASS_TOKENS = ("cls_token", "class_token", "class_embedding", "dist_token", "distillation_token")


def find_patches(module: nn.Module, channels: int = 3) -> tuple[Size, ...]:
    """The sides of the patches that convolutions cut the input into, each once.

    >>> find_patches(nn.Sequential(nn.Conv2d(3, 8, 16, 16), nn.Conv2d(8, 8, 2, 2)))
    ((16, 16),)
    """
    cuts = [part for part in module.modules() if isinstance(part, nn.Conv2d) and part.in_channels == channels]
    sides = [(part.kernel_size, part.stride) for part in cuts]
    return tuple(dict.fromkeys((k[0], k[1]) for k, s in sides if k == s and max(k) > 1 and len(k) == 2))


def count_class_tokens(module: nn.Module) -> int:
    """How many class tokens a network has, distillation tokens included; 1 where its modules do not say.

    They say by the usual names of such parameters, None where a network was built without.

    >>> part = nn.Module()
    >>> part.cls_token = None
    >>> count_class_tokens(part), count_class_tokens(nn.Linear(2, 2))
    (0, 1)
    """
    named = [
        [getattr(part, name) for name in _CLASS_TOKENS if hasattr(part, name)] for part in module.modules()
    ]
    return max((sum(isinstance(one, Tensor) for one in found) for found in named if found), default=1)


def find_orders(module: nn.Module) -> tuple[KnownOrder, ...]:
    """The orders of patches in the parts of a network whose code is known to reorder them: Hiera's."""
    found = []
    for name, part in module.named_modules():
        inside = f"{name}." if name else ""
        kind, library = type(part).__name__, type(part).__module__.partition(".")[0]
        if (library, kind) == ("timm", "Hiera"):
            unroll: Any = part.unroll
            grid = [int(side) for side in unroll.size]
            strides = [(int(high), int(wide)) for high, wide in unroll.schedule]
            before: tuple[str, ...] = (f"{inside}patch_embed", f"{inside}unroll@in")
        elif (library, kind) == ("transformers", "HieraModel"):
            config: Any = part.config
            sides = config.image_size
            sides = (sides, sides) if isinstance(sides, int) else sides
            grid = [side // step for side, step in zip(sides, config.patch_stride, strict=True)]
            strides = [(int(config.query_stride[0]), int(config.query_stride[1]))] * (len(config.depths) - 1)
            before = (f"{inside}embeddings",)
        else:
            continue
        high, wide = (math.prod(step[axis] for step in strides) for axis in (0, 1))
        if grid[0] % high or grid[1] % wide:
            continue  # the network itself refuses such an input
        found.append(KnownOrder(inside, before, unroll_order((grid[0], grid[1]), strides)))
    return tuple(found)
