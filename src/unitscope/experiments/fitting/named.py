"""Components that an address asks for, `LAYER+pca:64`: fitted to images once, and kept as a file."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from unitscope.concepts.formats.indexes import find_cache
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.activations import read_activations
from unitscope.errors import NetworkError, UsageError, writing
from unitscope.experiments.fitting.asked import COMPONENTS, Asked, Training, check_kind
from unitscope.experiments.fitting.cells import Cells
from unitscope.experiments.fitting.components import check_signs, import_decomposition
from unitscope.experiments.fitting.fit_directions import describe_fit, fit_cells, plan_cells
from unitscope.networks.addresses import Address, find_addresses
from unitscope.networks.directions.directions import Directions
from unitscope.networks.directions.files import load_directions, save_directions
from unitscope.networks.directions.open_directions import is_fitted
from unitscope.networks.generators import pair_generator
from unitscope.networks.network import Network
from unitscope.options import read_number
from unitscope.statistics.scan import Machine
from unitscope.tables import plain
from unitscope.version import __version__

_HINT = "name another folder with UNITSCOPE_CACHE"


@dataclass(frozen=True, eq=False)
class Named:
    """Components that the address `asked` names, as they are kept in `path`.

    `layer` is their address from then on; `fitted` says whether they were fitted now.
    """

    asked: str
    layer: str
    path: Path
    directions: Directions
    fitted: bool

    def __str__(self) -> str:
        about = self.directions.about
        how = "" if self.fitted else "found as "
        short = "" if about.get("converged", "yes") == "yes" else ", not converged"
        return (
            f"{self.asked}: {how}fitted to {int(about['images']):,} images of {about['source']}{short}; "
            f"use it elsewhere as {self.layer}"
        )


def find_components(network: Network, layers: Sequence[str]) -> tuple[str, ...]:
    """Those of some layers that ask for components which have to be fitted: `LAYER+pca:N`, `ica`, `nmf`.

    Raises `UsageError` for an unknown layer.

    >>> from torch import nn
    >>> find_components(Network(nn.Sequential(nn.ReLU())), ["0", "0+pca:2", "0+rotation:0"])
    ('0+pca:2',)
    """
    asked = find_addresses(network, layers).asked
    return tuple(layer for layer, address in asked.items() if is_fitted(address.directions))


def name_components(
    network: Network,
    layers: Sequence[str],
    images: ConceptSource,
    *,
    batch_size: int | None = None,
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> dict[str, Named]:
    """The components that some layers ask for, fitted to images as `fit_directions` does, with seed 0.

    They are kept in `directions/` of the cache folder, and found there by whoever asks for the same: the
    name of a file has the digest of network, layer, images, input, precision and version. Files stay until
    somebody deletes them, for runs refer to them. Labels are not looked at. Before the first fit all that is
    asked for is checked. Of several processes one fits, and the others wait.

    Raises `UsageError` for an unknown layer, numbers that are none, more components than the layer has units,
    values below 0 for nmf as far as the first images have some, a missing scikit-learn, or where there is no
    place for a cache; `RunError` where that cannot be written, and what `fit_directions` raises.
    """
    addresses = find_addresses(network, layers).asked
    found, source = pair_generator(network, images)
    plans: dict[str, tuple[Cells, Asked]] = {}
    for layer in find_components(network, layers):
        name = str(addresses[layer].plain)
        asked = _read(addresses[layer], machine)
        read = read_activations(
            found, source, [name], batch_size=batch_size, machine=machine, trust_layout=True
        )
        plans[layer] = plan_cells(read, name, asked), asked
    for cells, asked in plans.values():
        if asked.kind == "nmf":
            check_signs(cells)
    return {layer: _keep(layer, cells, asked) for layer, (cells, asked) in plans.items()}


def _read(address: Address, machine: Machine) -> Asked:
    """What an address asks for. Raises `UsageError` where that is no kind and number of components."""
    kind, _, number = address.directions.partition(":")
    if not number:
        raise UsageError(f"{address}: wanted a number of components, such as {address.plain}+{kind}:64")
    try:
        latents = read_number("N", number)
        check_kind(kind, latents, None, 0)
    except UsageError as error:
        raise UsageError(f"{address}: {error}") from error
    if kind != "pca":
        import_decomposition()
    assert kind in COMPONENTS
    return Asked(kind, latents, 0, 0, Training(), machine.device)


def _keep(layer: str, cells: Cells, asked: Asked) -> Named:
    """The components in their file, which is made where there is none or it is damaged."""
    path = _place(cells, asked)
    with writing(path.parent, _HINT):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        lock.acquire()
    try:
        made = _find(path)
        fitted = made is None
        if made is None:
            made = fit_cells(cells, asked)
            save_directions(made, path)
    finally:
        lock.release()
    return Named(layer, f"{cells.layer}+{path}", path, made, fitted)


def _find(path: Path) -> Directions | None:
    try:
        return load_directions(path) if path.is_file() else None
    except NetworkError:  # damaged; it can be made again
        return None


def _place(cells: Cells, asked: Asked) -> Path:
    """Where components are kept, by all that decides them but the rounding of processors and batches."""
    folder = find_cache()
    if folder is None:
        raise UsageError("there is no home to keep components in; name a folder with UNITSCOPE_CACHE")
    network = cells.found.network
    facts = {
        **describe_fit(cells, asked),
        "size": list(cells.found.plan.frame.size),
        "preprocessing": plain(asdict(network.preprocessing)),
        "tokens": plain(asdict(network.tokens)),
        "mixed_precision": cells.found.machine.mixed_precision,
        "version": __version__,
    }
    digest = sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return folder.absolute() / "directions" / f"{asked.kind}-{asked.latents}-{digest}.safetensors"
