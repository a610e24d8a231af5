"""The arithmetic of each paper and tool, as named values.

`netdissect` is paper A (Zhou, Bau, Oliva, Torralba, TPAMI 2019, and its CVPR 2017 text), `pnas` is
paper B (Bau et al., PNAS 2020). The other three are what public tools compute: `netdissect-lite`,
`gandissect` (the tool of GAN Dissection, ICLR 2019) and `dissect` (the released code of paper B).
"""

from dataclasses import dataclass
from typing import Literal, get_args

from unitscope.errors import UsageError
from unitscope.statistics.annotations import Doubles
from unitscope.statistics.grids import Upsampling
from unitscope.statistics.quantiles import SparseThreshold

Population = Literal["cells", "pixels"]
Union = Literal["category", "touched", "all"]
UniqueRule = Literal["label", "category"]
NameBy = Literal[
    "iou", "f1", "recall", "precision", "accuracy", "balanced_accuracy", "inverse_balanced_accuracy",
    "pearson", "cosine", "wpmi",
]  # fmt: skip
"""What names can be chosen by: scores that follow from how many pixels unit and concept have, and share."""


@dataclass(frozen=True)
class Convention:
    """What exactly is computed.

    - `quantile`: at most this fraction of a unit's values lies strictly above its threshold.
    - `population`: the values the quantile is taken over: raw `cells` of the activation map, or
      `pixels` of the map brought to mask size.
    - `upsampling`: where the map's cells lie in the mask: at the centers of their receptive fields,
      at half-pixel centers with clamped edges, or the same with borders that fade to zero.
    - `union`: the images whose active pixels enter the union with a concept: those with any label
      of the concept's category, those where the active region touches such a label, or all.
    - `doubles`: a pixel with the same concept in two planes counts twice in truth and intersection,
      twice in truth only, or once.
    - `reduction`: mask size = input size // reduction.
    - `iou_cutoff`: a detector has an IoU strictly above it; `iqr_cutoff`: and an information quality
      ratio strictly above this one (0 asks for none).
    - `unique_rule`: the rule of the headline count of unique detectors (both are always reported):
      one label a unit, or one label a unit and category, summed.
    - `sparse_threshold`: what replaces the threshold of a latent of sparse directions that fires (is above 0)
      so rarely that its quantile is 0: half of the median of its positive cells, or nothing (`zero`). Units
      of layers that are not read in such directions are left as they are.
    - `name_by`: the score that chooses a unit's name among the concepts that its mask meets, over the images
      that enter the union; detectors are those of the IoU with that name. IoU, as all of them have it, or
      another that `label_scores` defines.
    """

    name: str
    quantile: float
    population: Population
    upsampling: Upsampling
    union: Union
    doubles: Doubles
    reduction: int
    iou_cutoff: float = 0.04
    iqr_cutoff: float = 0.0
    unique_rule: UniqueRule = "label"
    sparse_threshold: SparseThreshold = "half-median"
    name_by: NameBy = "iou"

    def __post_init__(self) -> None:
        if self.name_by not in get_args(NameBy):
            raise UsageError(
                f"name_by is {self.name_by!r}; a run names by one of {', '.join(get_args(NameBy))}; others "
                "want responses, which it does not keep: `unitscope score` has them"
            )
        kinds = {"population": Population, "upsampling": Upsampling, "union": Union, "doubles": Doubles}
        kinds |= {"unique_rule": UniqueRule, "sparse_threshold": SparseThreshold}
        for name, kind in kinds.items():
            if getattr(self, name) not in get_args(kind):
                wanted = ", ".join(get_args(kind))
                raise UsageError(f"{name} is {getattr(self, name)!r}; it is one of {wanted}")
        if not 0 < self.quantile < 1:
            raise UsageError(
                f"quantile is {self.quantile}; it is the fraction of values above the threshold, "
                "between 0 and 1 (0.005 is usual)"
            )
        if not (0 <= self.iou_cutoff <= 1 and 0 <= self.iqr_cutoff <= 1):
            raise UsageError(
                f"cut-offs are {self.iou_cutoff} of IoU and {self.iqr_cutoff} of information; wanted 0 to 1"
            )
        if self.reduction < 1:
            raise UsageError(f"reduction is {self.reduction}; it must be at least 1")


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("netdissect", 0.005, "cells", "receptive-field", "category", "twice", 2),
        Convention("pnas", 0.01, "pixels", "half-pixel", "all", "once", 4),
        Convention("netdissect-lite", 0.005, "cells", "half-pixel", "touched", "twice", 2),
        Convention("gandissect", 0.005, "cells", "half-pixel", "category", "truth-twice", 2, 0.05, 0.01),
        Convention("dissect", 0.01, "pixels", "zero-border", "all", "once", 4),
    )
}


def find_convention(name: str) -> Convention:
    """The preset of that name. Raises `UsageError` with the names there are.

    >>> find_convention("pnas").quantile
    0.01
    """
    if name not in CONVENTIONS:
        raise UsageError(f"no convention {name!r}; there are {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
