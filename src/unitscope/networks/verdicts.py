"""What is said of where layers answer, and which are refused."""

from collections.abc import Mapping, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from unitscope.errors import NetworkError
from unitscope.networks.places import Place


def check_places(network: str, places: Mapping[str, Place], trust: bool = False) -> None:
    """Raises `NetworkError` for a layer whose cells are elsewhere, unless its layout is trusted."""
    wrong = [layer for layer, place in places.items() if place.where == "elsewhere"]
    if wrong and not trust:
        place = places[wrong[0]]
        raise NetworkError(
            f"layer {wrong[0]} of {network} answers elsewhere: places of the input were changed, and its "
            f"map changed at others ({place.away:.0%} of its answer lies away from them, agreement "
            f"{place.agreement:.2f}), as where tokens have an order of their own, or windows, heads or rows "
            "are taken for a picture; read a layer that `unitscope layers` has in place, say how tokens lie "
            "(--grid, Tokens(last=1, order=...)), or take it as it is (--trust-layout)"
        )


def warn_of_places(places: Mapping[str, Place]) -> dict[str, tuple[str, ...]]:
    """What is to be said of each layer's place, nothing of those in place."""
    said = {
        "mixed": "its cells mix the whole input: of the answer to a change {:.0%} lies away from the change",
        "elsewhere": "its cells were told to be trusted, but answer elsewhere: masks may lie at wrong places",
        "silent": "it does not answer to changes of the input, so where its cells look is not known",
    }
    told = {layer: place for layer, place in places.items() if place.where in said}
    return {layer: (said[place.where].format(place.away),) for layer, place in told.items()}


def warn_of_batches(module: nn.Module, company: Sequence[str] = ()) -> tuple[str, ...]:
    """What is to be said of a network that gives an image other maps in another batch; else nothing.

    It normalizes by its batch also in evaluation, or the probe found layers that do so, `company`.

    >>> len(warn_of_batches(nn.BatchNorm2d(3, track_running_stats=False))), warn_of_batches(nn.BatchNorm2d(3))
    (1, ())
    """
    for name, part in module.named_modules():
        if isinstance(part, _BatchNorm) and part.running_mean is None:
            kind = f"{name} is a {type(part).__name__}" if name else f"it is a {type(part).__name__}"
            return (
                f"the network normalizes by the batch that an image comes in ({kind} without running "
                "statistics): what an image gives depends on --batch-size, and on images around it unless "
                "that is 1",
            )
    if company:
        return (
            f"layer {company[0]} gives an image other maps in a batch with other images: results depend on "
            "--batch-size, and on the images around it unless that is 1",
        )
    return ()
