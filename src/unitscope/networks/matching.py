"""Which tensors of a checkpoint are those of a network: by name and shape, wherever they lie."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unitscope.errors import NetworkError, say_near

Shapes = Mapping[str, Sequence[int]]

_WRAPPERS = {
    "module",
    "model",
    "_orig_mod",
    "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
    "_forward_module",
    # where a module that was saved whole keeps its parts
    "_modules",
    "_parameters",
    "_buffers",
}
_AVERAGE = re.compile(r"(?:^|[^a-z])(?:ema|swa|averaged?|avg|shadow)(?:[^a-z]|$)", re.IGNORECASE)
_SHOWN = 3


@dataclass(frozen=True)
class Fit:
    """A place in a checkpoint and what of a network lies there.

    `place` is what stands before the names there, `names` the checkpoint's name of each weight that the
    network has, `others` what lies beside them; `fitting` counts the weights that have the right shape.
    Counters of batches, which networks lack that were saved long ago, do not count.
    """

    place: str
    names: dict[str, str]
    others: tuple[str, ...]
    fitting: int

    @property
    def found(self) -> int:
        """How many weights lie there, of whatever shape."""
        return _count(self.names)

    @property
    def averaged(self) -> bool:
        """Whether the place says that it holds a moving average of weights."""
        return bool(_AVERAGE.search(self.place))


def find_fit(wanted: Shapes, found: Mapping[str, Tensor], origin: str) -> Fit:
    """The place with most of the network's weights by name and shape; a moving average only if it is alone.

    What wrappers put before names or into them (`module.`, `_orig_mod.`) does not count, nor whatever else
    stands before all of them.

    Raises `NetworkError` where several places do, with other values: it names them.

    >>> find_fit({"bias": (2,)}, {"epoch": torch.ones(()), "net/0.module.bias": torch.zeros(2)}, "").place
    'net/0.module'
    """
    fits = _list_fits(wanted, found)
    most = max((fit.fitting, fit.found) for fit in fits)
    best = [fit for fit in fits if (fit.fitting, fit.found) == most]
    best = [fit for fit in best if not fit.averaged] or best
    first, *rivals = sorted(best, key=lambda fit: (len(fit.place), fit.place))
    others = [fit.place for fit in rivals if _differ(first, fit, found)]
    if others and 2 * first.found > _count(wanted):
        places = " and at ".join(place or "its top" for place in (first.place, *others[:_SHOWN]))
        asked = f"{origin}{'.' if '#' in origin else '#'}{others[0].replace('/', '.')}"
        raise NetworkError(f"{origin} holds weights of this network at {places}; say which: {asked}")
    return first


def say_faults(wanted: Shapes, found: Mapping[str, Tensor], fit: Fit) -> str:
    """What keeps the weights at a place from being the network's; nothing where they are."""
    others = [name.removeprefix(fit.place).lstrip("./") for name in fit.others]
    missing = [
        f"{name} ({near.removeprefix('; ')})" if (near := say_near(name, others, 1)) else name
        for name in wanted
        if name not in fit.names and not _counts_batches(name)
    ]
    misshapen = [
        f"{name} is {tuple(found[place].shape)} for {tuple(wanted[name])}"
        for name, place in fit.names.items()
        if tuple(found[place].shape) != tuple(wanted[name])
    ]
    faults = []
    for kind, names in (("missing", missing), ("unexpected", others), ("of another shape", misshapen)):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        faults += [f"{kind}: {', '.join(names[:_SHOWN])}{more}"] if names else []
    return "; ".join(faults)


def _list_fits(wanted: Shapes, found: Mapping[str, Tensor]) -> list[Fit]:
    """Every place with something of the network; the whole checkpoint where there is none."""
    ours, theirs = _spell_plainly(wanted), _spell_plainly(found)
    fits: list[Fit] = []
    while True:
        own = {plain: name for name, plain in ours.items()}
        places: dict[str, dict[str, str]] = defaultdict(dict)
        for name, plain in theirs.items():
            parts = plain.split(".")
            for start in range(len(parts)):
                if (end := ".".join(parts[start:])) in own:
                    places[".".join(parts[:start])][own[end]] = name
        fits += [_make_fit(names, ours, wanted, found) for names in places.values()]
        whole = any(fit.fitting == _count(wanted) for fit in fits)
        if whole or len({plain.partition(".")[0] for plain in ours.values()}) > 1 or "" in ours.values():
            return fits or [Fit("", {}, tuple(found), 0)]
        # The network itself may be in a wrapper, which the checkpoint has not.
        ours = {name: plain.partition(".")[2] for name, plain in ours.items()}


def _make_fit(
    names: dict[str, str], ours: dict[str, str], wanted: Shapes, found: Mapping[str, Tensor]
) -> Fit:
    starts = sorted({_cut(place, ours[name]) for name, place in names.items()}, key=len)
    taken, homes = set(names.values()), {place.rpartition("/")[0] for place in names.values()}
    others = tuple(
        name
        for name in found
        if name not in taken and name.rpartition("/")[0] in homes and name.startswith(tuple(starts))
    )
    right = [name for name, place in names.items() if tuple(found[place].shape) == tuple(wanted[name])]
    return Fit(starts[0].rstrip("./"), names, others, _count(right))


def _cut(name: str, plain: str) -> str:
    """What stands in a checkpoint's name before the network's."""
    parts, rest = re.split(r"(?<=[./])", name), plain.split(".")
    while parts and rest:
        if parts.pop().rstrip("./") == rest[-1]:
            rest.pop()
    return "".join(parts)


def _spell_plainly(names: Iterable[str]) -> dict[str, str]:
    """Names without what wrappers put in, except in dictionaries where two would become one."""
    plain: dict[str, str] = {}
    sharing: dict[str, list[str]] = defaultdict(list)
    for name in names:
        home, joint, last = name.rpartition("/")
        short = ".".join(part for part in last.split(".") if part not in _WRAPPERS)
        plain[name] = (home + joint + (short or last)).replace("/", ".")
        sharing[home + joint + short].append(home)
    alike = {homes[0] for homes in sharing.values() if len(homes) > 1}
    return {
        name: name.replace("/", ".") if name.rpartition("/")[0] in alike else short
        for name, short in plain.items()
    }


def _differ(one: Fit, other: Fit, found: Mapping[str, Tensor]) -> bool:
    if one.names.keys() != other.names.keys():
        return True
    return not all(_equal(found[place], found[other.names[name]]) for name, place in one.names.items())


def _equal(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and torch.equal(one, other))


def _count(names: Iterable[str]) -> int:
    return sum(not _counts_batches(name) for name in names)


def _counts_batches(name: str) -> bool:
    return name.endswith("num_batches_tracked")
