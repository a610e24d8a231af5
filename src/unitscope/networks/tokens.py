"""How a sequence of tokens lies in the picture: which of them are patches, on which grid, in which order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int64
from torch import Tensor

from unitscope.errors import NetworkError, UsageError

_MOST_PREFIX_TOKENS = 16

Size = tuple[int, int]


@dataclass(frozen=True)
class Tokens:
    """What is known beforehand of a network's tokens; what is not is worked out from its input.

    `first` is the number of class and register tokens in front of the patches (None: unknown), `last` that of
    such tokens behind them, `others` their places where they are neither. Layers that have the patches alone
    are read as such. `grid` is (rows, columns) of the patches. `order` says which patch lies in each cell,
    row after row, for layers with that many patches; by default they lie as one reads.

    Raises `UsageError` for numbers that cannot be.

    >>> Tokens(first=1, grid=(14, 28)).grid
    (14, 28)
    """

    first: int | None = None
    last: int = 0
    others: tuple[int, ...] = ()
    grid: Size | None = None
    order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if min((self.first or 0), self.last, *self.others, 0) < 0:
            raise UsageError("numbers and places of class and register tokens are counted from 0")
        if len(set(self.others)) != len(self.others):
            raise UsageError(f"a token is named twice in others={self.others}; name each once")
        if self.grid is not None and (len(self.grid) != 2 or min(self.grid) < 1):
            raise UsageError(f"the grid of tokens is {self.grid}; give (rows, columns), such as (14, 28)")
        if self.order is not None and sorted(self.order) != list(range(len(self.order))):
            count = len(self.order)
            raise UsageError(f"the order of {count} tokens must name each of 0 to {count - 1} once")

    @property
    def stated(self) -> bool:
        """Whether more is stated than the number of tokens in front."""
        return self != Tokens(self.first)


@dataclass(frozen=True)
class KnownOrder:
    """The order in which a network's own code puts its patches, for some of its layers.

    `orders` are permutations as in `Tokens.order`, one a number of patches. They hold for layers whose names
    begin with `inside`, but not for those that begin with one of `before`.
    """

    inside: str
    before: tuple[str, ...]
    orders: tuple[tuple[int, ...], ...]

    def find(self, layer: str, count: int) -> tuple[int, ...] | None:
        """The order of a layer's patches, None for the order of reading."""
        if not layer.startswith(self.inside) or layer.startswith(self.before):
            return None
        return next((order for order in self.orders if len(order) == count), None)


@dataclass(frozen=True)
class Placement:
    """How the tokens of one layer lie: cell i of the `grid`, row after row, is token number `places[i]`.

    `known` says that the grid was stated or is that of the network's patches, not only one of the input's
    proportions. `plain` says that the patches stand together in the order of reading, from token `start` on.
    `others` are the tokens that are no patches: class tokens, then registers, as they stand.
    """

    grid: Size
    places: Int64[Tensor, "cell"]
    known: bool
    start: int
    plain: bool
    others: Int64[Tensor, "other"]


@dataclass(frozen=True)
class Layout:
    """What the places of tokens are worked out from: what is stated, and an input of `size` (height, width).

    `patches` are the sides of the patches that the network cuts its input into, where its modules say so;
    `orders` those that its code is known for. Of the tokens that are no patches the first `classes` are class
    tokens, the others registers. The default stands for a square input of unknown size.
    """

    tokens: Tokens = Tokens()
    size: Size = (1, 1)
    patches: tuple[Size, ...] = ()
    orders: tuple[KnownOrder, ...] = ()
    classes: int = 1

    @property
    def grids(self) -> Sequence[Size]:
        """The grid that is stated, or those of the network's patches; then the same halved and doubled."""
        return _fixed_grids(self)

    def place(self, count: int, layer: str = "") -> Placement:
        """Where the `count` tokens of a layer lie.

        The patches are what is left after the tokens that are stated to be none, or after the fewest, 16 at
        most, that leave a grid. The grid is the one stated; that of the network's patches, also halved and
        doubled; or the only one with the proportions of the input.

        Raises `NetworkError`, naming `layer`, where there is none, or more than one.

        >>> placed = Layout(size=(64, 256), patches=((16, 16),)).place(65)
        >>> placed.grid, placed.start
        ((4, 16), 1)
        """
        return _place(self, count, layer)


@lru_cache(maxsize=256)
def _place(layout: Layout, count: int, layer: str) -> Placement:
    cells, grid, known = _choose(layout, count, layer)
    others = sorted(set(range(count)) - set(cells))
    order = next(filter(None, (known.find(layer, len(cells)) for known in layout.orders)), None)
    if layout.tokens.order is not None and len(layout.tokens.order) == len(cells):
        order = layout.tokens.order
    if order is not None:
        cells = [cells[place] for place in order]
    plain = cells == list(range(cells[0], cells[0] + len(cells)))
    return Placement(
        grid, torch.tensor(cells), known, cells[0], plain, torch.tensor(others, dtype=torch.long)
    )


def _choose(layout: Layout, count: int, layer: str) -> tuple[list[int], Size, bool]:
    """The tokens that are patches, their grid, and whether it is known rather than found."""
    choices = list(_split(layout.tokens, count))
    fixed = _fixed_grids(layout)
    for cells in choices:
        for grid in fixed:
            if grid[0] * grid[1] == len(cells):
                return cells, grid, True
    size = layout.tokens.grid or layout.size
    for exactly in (True, False):
        # Where proportions are met only roughly, few tokens in front could be any number of them.
        few = choices if exactly or layout.tokens.first is not None else choices[:2]
        found = [(cells, grid) for cells in few for grid in _grids(len(cells), size, exactly)]
        if len(found) > 1 and layout.tokens.first is None and exactly:
            # A class token or none is what most have; several registers are one guess among many.
            found = [one for one in found if count - len(one[0]) <= 1][:1] or found
        if layout.tokens.first is not None and exactly:
            found = found[:1]
        if len(found) > 1:
            ways = ", ".join(f"{g[0]} x {g[1]} after {count - len(c)}" for c, g in found[:4])
            raise _refusal(layout, count, layer, f"which may be {ways} class and register tokens")
        if found:
            return (*found[0], False)
    stated = layout.tokens.first
    which = f"up to {_MOST_PREFIX_TOKENS}" if stated is None else f"{stated}"
    which += f", and before {layout.tokens.last}," if layout.tokens.last else ""
    raise _refusal(
        layout, count, layer, f"which are no grid of its proportions after {which} class and register tokens"
    )


def _refusal(layout: Layout, count: int, layer: str, why: str) -> NetworkError:
    shape = "a square input" if layout.size == (1, 1) else "an input of {} x {} pixels".format(*layout.size)
    return NetworkError(
        f"layer {layer or '?'} gives {count} tokens for {shape}, {why}; say how they lie with --grid "
        "ROWSxCOLUMNS and --prefix-tokens N (Network(..., tokens=Tokens(...))), or read another layer"
    )


def _split(tokens: Tokens, count: int) -> Iterator[list[int]]:
    """The tokens that may be the patches, the likeliest first."""
    known = tokens.first is not None or tokens.last or tokens.others
    for first in [tokens.first or 0] if known else range(_MOST_PREFIX_TOKENS + 1):
        others = set(tokens.others)
        cells = [place for place in range(first, count - tokens.last) if place not in others]
        if cells:
            yield cells
    # Layers after the point where such tokens are dropped give the patches alone.
    if known:
        yield list(range(count))


@lru_cache(maxsize=64)
def _fixed_grids(layout: Layout) -> tuple[Size, ...]:
    if layout.tokens.grid is not None:
        starts = [layout.tokens.grid]
    else:
        starts = []
        for high, wide in layout.patches:
            rows, columns = layout.size[0] / high, layout.size[1] / wide
            starts += [(int(rows), int(columns)), (-int(-rows // 1), -int(-columns // 1))]
    grids = list(starts)
    for power in (2, 4, 8, 16):
        grids += [(-(-rows // power), -(-columns // power)) for rows, columns in starts]
        grids += [(rows // power, columns // power) for rows, columns in starts]
    grids += [(rows * power, columns * power) for power in (2, 4, 8, 16) for rows, columns in starts]
    return tuple(grid for grid in dict.fromkeys(grids) if min(grid) > 0)


def _grids(count: int, size: Size, exactly: bool) -> list[Size]:
    """The grids of so many cells with the proportions of the input, give or take less than one cell."""
    found = []
    for rows in range(1, count + 1):
        if count % rows == 0:
            columns = count // rows
            off = abs(rows * size[1] - columns * size[0])
            if off == 0 if exactly else 0 < off < max(size):
                found.append((rows, columns))
    return found


def unroll_order(grid: Size, strides: list[Size]) -> tuple[tuple[int, ...], ...]:
    """The orders of patches that Hiera unrolls, at every stage of its pooling (Ryali et al., ICML 2023).

    Each stride moves the places inside of its small windows to the front, so that pooling takes the largest
    of the first, second, ... equal parts of the sequence.

    >>> unroll_order((2, 4), [(2, 2)])[0]
    (0, 2, 1, 3, 4, 6, 5, 7)
    """
    numbers = torch.arange(grid[0] * grid[1]).reshape(1, *grid)
    for high, wide in strides:
        _, rows, columns = numbers.shape
        windows = numbers.reshape(-1, rows // high, high, columns // wide, wide)
        numbers = windows.permute(0, 2, 4, 1, 3).flatten(0, 2)
    sequence, (rows, columns) = numbers.flatten(), grid
    orders = []
    for high, wide in [*strides, (1, 1)]:
        order = torch.empty_like(sequence)
        order[sequence] = torch.arange(len(sequence))
        orders.append(tuple(order.tolist()))
        sequence = sequence[: len(sequence) // (high * wide)]
        sequence = (sequence // columns // high) * (columns // wide) + sequence % columns // wide
        rows, columns = rows // high, columns // wide
    return tuple(orders)
