"""Heads of attention: what they give, one beside the other, before the output projection mixes them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from unitscope.errors import NetworkError

_COUNTS = ("num_attention_heads", "num_heads", "n_heads", "heads", "n_head", "nhead")
_SIZES = ("attention_head_size", "head_dim", "dim_head")
_PROJECTIONS = ("proj", "dense", "out_proj", "o_proj", "to_out", "c_proj", "out_lin", "wo")


@dataclass(frozen=True, eq=False)
class Heads:
    """The heads of an attention: `count` of them, whose outputs side by side enter `projection`.

    `functional` says that torch multiplies by the projection's weight without calling it, as
    `nn.MultiheadAttention` does in `attention`.
    """

    count: int
    projection: nn.Module
    attention: nn.Module
    functional: bool = False


def find_heads(module: nn.Module, name: str) -> Heads:
    """The heads of an attention module of timm, transformers, diffusers or torch.

    The number is an attribute of the module or of one child (`num_heads`, `num_attention_heads`, ...); the
    projection its child named `proj`, `dense`, `out_proj`, ..., or one beside that child. Raises
    `NetworkError`, naming the layer `name`, where either is not known or there are several.

    >>> find_heads(nn.MultiheadAttention(8, 2), "attn").count
    2
    """
    children = dict(module.named_children())
    whole = [key for key, part in children.items() if _count(part) and _find_projections(part)]
    # In transformers a part may hold the number, and the projection lie beside it.
    apart = [] if _count(module) else [part for part in children.values() if _count(part)]
    if whole or not (_count(module) or len(apart) == 1):
        hint = ", ".join(f"{name}.{key}@heads" for key in whole) or "another layer"
        raise NetworkError(
            f"the heads of layer {name} are not known: its {type(module).__name__} has no number of heads "
            f"({', '.join(_COUNTS[:2])}, ...) of its own; read {hint}"
        )
    holder = apart[0] if apart else module
    count = _count(holder)
    if isinstance(holder, nn.MultiheadAttention):
        return Heads(count, holder.out_proj, holder, functional=True)
    beside = [part for child in children.values() if child is not holder for part in _find_projections(child)]
    found = _find_projections(module) or (beside if apart else [])
    if len(found) != 1:
        seen = f"{len(found)} of them" if found else "none"
        raise NetworkError(
            f"the heads of layer {name} cannot be read: they lie side by side before the output projection "
            f"({', '.join(_PROJECTIONS[:3])}, ...), and its {type(module).__name__} has {seen}; name the "
            "module that holds both, or read another layer"
        )
    heads = Heads(count, found[0], holder)
    width = getattr(found[0], "in_features", None)
    if isinstance(width, int):
        check_heads(heads, width, name)
    return heads


def check_heads(heads: Heads, width: int, name: str) -> None:
    """Raises `NetworkError` where heads cannot lie side by side in so many units."""
    sizes = [getattr(heads.attention, size, None) for size in _SIZES]
    size = next((one for one in sizes if isinstance(one, int)), None)
    if width % heads.count or (size is not None and size * heads.count != width):
        each = "" if size is None else f" of {size}"
        raise NetworkError(
            f"the heads of layer {name} cannot be told apart: {width} units enter its output projection, and "
            f"it says that it has {heads.count} heads{each}; read another layer"
        )


def hook_heads(heads: Heads, see: Callable[[object], object]) -> Callable[[], None]:
    """Shows what the heads give, [image, token, unit] or with channels first, to `see`; what it returns, if
    not None, takes its place. What comes back ends that.
    """
    if not heads.functional:

        def enter(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            new = see(args[0] if args else None)
            return None if new is None else (new, *args[1:])

        return heads.projection.register_forward_pre_hook(enter).remove
    attention: Any = heads.attention
    original, own = attention.forward, "forward" in vars(attention)

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _Opened(attention, see):
            return original(*args, **kwargs)

    # A hook, since torch's encoder layer runs without the attention's `forward` where there is none.
    handle = attention.register_forward_pre_hook(lambda _module, _args: None)

    def remove() -> None:
        handle.remove()
        if own:
            attention.forward = original
        else:
            del attention.forward

    attention.forward = forward
    return remove


class _Opened(TorchFunctionMode):
    """Inside of it torch's attention stops before its output projection, which is done afterwards."""

    def __init__(self, attention: nn.MultiheadAttention, see: Callable[[object], object]) -> None:
        super().__init__()
        self.attention, self.see = attention, see

    def __torch_function__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not functional.multi_head_attention_forward:
            return func(*args, **(kwargs or {}))
        given = inspect.signature(func).bind(*args, **(kwargs or {}))
        weight, bias = (given.arguments.get(f"out_proj_{name}") for name in ("weight", "bias"))
        if not isinstance(weight, Tensor):
            return func(*args, **(kwargs or {}))
        # With 1 as its weight the projection leaves what enters it.
        one = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
        given.arguments |= {"out_proj_weight": one, "out_proj_bias": None}
        mixed, weights = func(*given.args, **given.kwargs)
        turned = mixed.transpose(0, 1) if mixed.ndim == 3 else mixed  # torch has the tokens first here
        new = self.see(turned)
        if isinstance(new, Tensor):
            mixed = new.transpose(0, 1) if mixed.ndim == 3 else new
        rows = mixed.reshape(-1, mixed.shape[-1])
        return functional.linear(rows, weight, bias).view(*mixed.shape[:-1], -1), weights


def _count(module: nn.Module) -> int:
    counts = [getattr(module, name, None) for name in _COUNTS]
    return next((one for one in counts if isinstance(one, int) and one > 0), 0)


def _find_projections(module: nn.Module) -> list[nn.Module]:
    """The children with the name of an output projection; of `to_out`, a list, its first one."""
    found = [part for name, part in module.named_children() if name in _PROJECTIONS]
    return [part[0] if isinstance(part, nn.ModuleList) and len(part) else part for part in found]
