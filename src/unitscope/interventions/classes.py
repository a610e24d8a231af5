"""The classes of a network: by name, by number, and as a source of labelled images calls them."""

from unitscope.concepts.vocabulary import Vocabulary
from unitscope.errors import UsageError, say_near
from unitscope.networks.network import Network


def match_classes(network: Network, vocabulary: Vocabulary) -> dict[int, int]:
    """The class of every concept id whose name is that of a class; empty where none is.

    Upper case, underscores for spaces, and the `-s` that Broden writes after names of scenes do not count.
    """
    places = {_plain(name): place for place, name in enumerate(network.classes)}
    return {c.id: places[name] for c in vocabulary if (name := _plain(c.name)) in places}


def find_class(network: Network, name: str) -> int:
    """The number of the class that a name, or its number in figures, stands for.

    Where the network has no names for its classes any number will do here. Raises `UsageError`, with near
    names, for a class that the network does not have.

    >>> from torch import nn
    >>> network = Network(nn.Identity(), classes=("living_room", "kitchen"))
    >>> find_class(network, "living room"), find_class(network, "1")
    (0, 1)
    >>> find_class(network, "chicken")
    Traceback (most recent call last):
    unitscope.errors.UsageError: network has no class 'chicken'; near names: kitchen
    """
    places = {_plain(one): place for place, one in reversed(list(enumerate(network.classes)))}
    wanted = _plain(name)
    if wanted in places:
        return places[wanted]
    if name.isascii() and name.isdigit():
        if not places or int(name) < len(network.classes):
            return int(name)
        raise UsageError(f"{network.name} has classes 0 to {len(network.classes) - 1}, not {name}")
    if not places:
        raise UsageError(f"{network.name} has no names of classes; give a number instead of {name!r}")
    known = say_near(name, network.classes) or f"; it has {', '.join(network.classes[:6])}, ..."
    raise UsageError(f"{network.name} has no class {name!r}{known}")


def _plain(name: str) -> str:
    # Broden's writers put "-s" after names of scenes; folders have underscores for spaces.
    return name.removesuffix("-s").replace("_", " ").lower()
