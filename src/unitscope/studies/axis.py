"""Is a layer's own basis special? Its units against random rotations of them, read in the same pass."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from unitscope.concepts.vocabulary import ConceptSource
from unitscope.dissection.conventions import Convention, find_convention
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.dissection.result import Dissection, LayerDissection
from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.networks.network import Network
from unitscope.networks.trace import list_layers

QUANTILES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The best of these thresholds is taken for each unit; `Basis.best_iou` is the mean over units."""


class Rotations(nn.Module):
    """A module whose layer can also be read turned: `turned.K` gives the layer's maps in basis number K.

    The layer itself is left as it is: nothing downstream of it changes, and the module is hooked only
    while it runs.
    """

    def __init__(self, module: nn.Module, layer: str, bases: Float64[np.ndarray, "basis unit unit"]) -> None:
        super().__init__()
        self.module, self.layer = module, layer
        self.turned = nn.ModuleList(_Turn(basis) for basis in bases)

    def forward(self, *inputs: Any) -> Any:
        """What the module gives."""

        def turn(_module: nn.Module, _args: object, output: Tensor) -> None:
            for basis in self.turned:
                basis(output)

        hook = self.module.get_submodule(self.layer).register_forward_hook(turn)
        try:
            return self.module(*inputs)
        finally:
            hook.remove()


class _Turn(nn.Module):
    def __init__(self, basis: Float64[np.ndarray, "unit unit"]) -> None:
        super().__init__()
        self.register_buffer("basis", torch.from_numpy(basis.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("ij,njyx->niyx", self.get_buffer("basis"), x).contiguous()


def draw_rotations(units: int, count: int, seed: int) -> Float64[np.ndarray, "basis unit unit"]:
    """Rotations drawn uniformly from SO(units), as in paper A, section 3.4.

    >>> one = draw_rotations(5, 1, seed=0)[0]
    >>> bool(np.allclose(one @ one.T, np.eye(5))), round(float(np.linalg.det(one)), 6)
    (True, 1.0)
    """
    dice = np.random.default_rng(seed)
    bases = []
    for _ in range(count):
        # The QR decomposition of normal numbers is uniform on O(n) once the signs of R's diagonal are fixed
        # (Mezzadri, Notices of the AMS 54, 2007); one mirrored axis then makes it a rotation.
        q, r = np.linalg.qr(dice.standard_normal((units, units)))
        q *= np.sign(np.diagonal(r))
        q[:, 0] *= np.sign(np.linalg.det(q))
        bases.append(q)
    return np.stack(bases)


@dataclass(frozen=True)
class Basis:
    """One basis of one layer, dissected.

    `basis` is "units" or "rotation K". `detectors` and `unique` follow the convention, `objects` is the
    unique ones among objects; `sure_*` count only units with q below 0.05. `best_iou` is the mean over the
    units of the IoU at the best of `QUANTILES`, `iou` that at the convention's own.
    """

    network: str
    basis: str
    units: int
    detectors: int
    unique: int
    objects: int
    sure_detectors: int
    sure_objects: int
    iou: float
    best_iou: float


def compare_bases(
    network: Network,
    layer: str,
    source: ConceptSource,
    *,
    rotations: int = 5,
    seed: int = 0,
    convention: str = "netdissect",
    name: str = "",
) -> list[Basis]:
    """Dissects a layer in its own basis and in random rotations of it, all in one pass a quantile.

    Raises `UsageError` for a layer that does not exist or whose maps cannot be turned.
    """
    units = _count_units(network, layer)
    turned = Rotations(network.module, layer, draw_rotations(units, rotations, seed))
    wrapped = replace(network, module=turned.eval())
    places = [f"module.{layer}", *(f"turned.{k}" for k in range(rotations))]
    rules = find_convention(convention)
    best = np.zeros((len(places), units))
    main: Dissection | None = None
    for quantile in sorted({rules.quantile, *QUANTILES}):
        spent = Confidences() if quantile == rules.quantile else Confidences(0, 20)
        found = dissect(wrapped, source, places, convention=rules, quantile=quantile, confidences=spent)
        best = np.maximum(best, [found[place].iou.max(1) for place in places])
        main = found if quantile == rules.quantile else main
    assert main is not None
    names = ["units", *(f"rotation {k + 1}" for k in range(rotations))]
    return [
        _count(main[place], name or network.name, basis, float(mean), rules)
        for place, basis, mean in zip(places, names, best.mean(1), strict=True)
    ]


def _count_units(network: Network, layer: str) -> int:
    shapes = {row.name: row.shape for row in list_layers(network)}
    shape = shapes.get(layer)
    if shape is None:
        raise UsageError(f"layer {layer} of {network.name} has no maps to turn; see `unitscope layers`")
    return shape[0]


def _count(layer: LayerDissection, network: str, basis: str, best: float, rules: Convention) -> Basis:
    if layer.confidence is None:
        raise NetworkError("a basis is compared by its q-values; leave the null draws on")
    sure = layer.labels.detector & (layer.confidence.q_value < 0.05)
    objects = layer.vocabulary.categories.index("object") if "object" in layer.vocabulary.categories else -1
    place = layer.vocabulary.category_index[layer.labels.best]
    found = layer.labels.best[sure & (place == objects)]
    unique = layer.unique[rules.unique_rule]
    return Basis(
        network,
        basis,
        len(layer),
        layer.detectors,
        sum(unique.values()),
        unique.get("object", 0),
        int(sure.sum()),
        len(np.unique(found)),
        float(layer.iou.max(1).mean()),
        best,
    )


def write_bases(rows: Sequence[Basis], path: Path) -> None:
    """Writes a CSV, a row a basis. Raises `RunError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [column.name for column in fields(Basis)], lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; name another folder") from error


def spell_bases(rows: Sequence[Basis]) -> str:
    """The study as a Markdown table: each network's own basis, and the range over its rotations."""
    head = ("network", "basis", "detectors", "unique", "objects", "objects, q < .05", "IoU", "best IoU")
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * 6}"]
    for network in dict.fromkeys(row.network for row in rows):
        mine = [row for row in rows if row.network == network]
        own, turned = mine[:1], mine[1:]
        for basis, some in (("units", own), (f"{len(turned)} rotations", turned)):
            counts = [_span([getattr(row, field) for row in some]) for field in _COUNTS]
            means = [_span([getattr(row, field) for row in some], ".3f") for field in ("iou", "best_iou")]
            lines.append(f"| {' | '.join([network, basis, *counts, *means])} |")
    return "\n".join(lines)


_COUNTS = ("detectors", "unique", "objects", "sure_objects")


def _span(values: Sequence[float | int], form: str = ".0f") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low}–{high}"
