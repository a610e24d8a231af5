"""How often words name units whose meaning is known: output units, planted ones, and units that IoU names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32

from unitscope.concepts.vocabulary import Concept, ConceptSource
from unitscope.dissection.dissect import Confidences, dissect
from unitscope.experiments.describing.judging import NONE, Judged, judge_words
from unitscope.experiments.describing.reading import Reading, Seen, read_both
from unitscope.experiments.describing.words import is_name
from unitscope.lab.studies.planting import LAYER, Degradation, PlantedNetwork, plant, read_truth
from unitscope.networks.network import Network
from unitscope.networks.text_models import TextModel
from unitscope.progress import follow_each
from unitscope.statistics.scan import Machine
from unitscope.statistics.text_scores import Method, settle_parameters

IOU = "IoU"
OUTPUT, HIDDEN, PLANTED = "output units", "layer5", "planted"
CONTROLS = 2
"""How often images are put in another order as a control, for every kind of units and method."""
METHODS: tuple[tuple[Method, int | None], ...] = (
    ("soft-wpmi", None),
    ("soft-wpmi", 20),
    ("wpmi", None),
    ("rank-reorder", None),
    ("cosine", None),
    ("cosine-cubed", None),
)
"""The methods that are compared, with their own `top_k` or another."""
WAYS: dict[str, Degradation] = {
    "pure": Degradation("noise", 0.0),
    "noisy": Degradation("noise", 0.5),
    "coarse": Degradation("resolution", 4.0),
    "rare": Degradation("coverage", 0.25),
    "mixed": Degradation("mixture", 0.4),
}
"""How planted units are degraded: noise of half the signal, 4 x 4 cells, a quarter of the images, 40 % of
another concept."""


@dataclass(frozen=True)
class Named:
    """How units of one kind were named by one method, from one seed.

    Of `units`, `named` have a name and `right` the right one; `sure` have one with q < .05, and `sure_right`
    of these are right. `low` is the share with p < .05 where every image has the responses to another one,
    and `false` how many have q < .05 there, both means over several such orders. IoU has neither.
    """

    kind: str
    method: str
    seed: int
    units: int
    named: int
    right: int
    sure: int
    sure_right: int
    low: float
    false: float


def name_method(method: str, top_k: int | None) -> str:
    """What a method is called on the page.

    >>> name_method("soft-wpmi", 20), name_method("cosine", None)
    ('soft-wpmi, top 20', 'cosine')
    """
    return method if top_k is None else f"{method}, top {top_k}"


def measure_names(
    network: Network, source: ConceptSource, model: TextModel, words: Sequence[str], seed: int, draws: int
) -> Iterator[Named]:
    """All kinds of units over one source, named by IoU and by words.

    The right name is the class of an output unit, the concept of a planted one, and of `layer5` what IoU
    calls it: there it counts how often both say the same.
    """
    reading = Reading("mean", "stretch", None, Machine(), None)
    seen = read_both(network, source, ["head", HIDDEN], model, tuple(words), ("{}",), reading)
    classes = [Concept(1, name, "scene") for name in network.classes]
    by_iou = name_by_iou(network, source, ["head", HIDDEN])
    yield count_right(OUTPUT, IOU, seed, _label(by_iou["head"]), classes)
    yield from _by_words(OUTPUT, seen, seen.pooled.responses["head"], words, classes, seed, draws)
    yield from _by_words(HIDDEN, seen, seen.pooled.responses[HIDDEN], words, by_iou[HIDDEN], seed, draws)
    truth = read_truth(source)
    known = [source.vocabulary[int(number)] for number in truth.ids]
    for way, how in follow_each(WAYS.items(), "planting", "ways"):
        maps = plant(truth, how, seed)
        planted = PlantedNetwork(maps, (64, 64))
        by_iou = name_by_iou(planted, source, [LAYER])
        kind = f"{PLANTED}, {way}"
        yield count_right(kind, IOU, seed, _label(by_iou[LAYER]), known)
        response = maps.mean((2, 3), dtype=np.float64).astype(np.float32)
        yield from _by_words(kind, seen, response, words, known, seed, draws)


def name_by_iou(
    network: Network, source: ConceptSource, layers: Sequence[str]
) -> dict[str, list[Concept | None]]:
    """The concepts that a dissection gives to units."""
    run = dissect(network, source, layers, confidences=Confidences(0, 20))
    return {layer: [unit.concept for unit in run[layer]] for layer in layers}


def _label(concepts: Sequence[Concept | None]) -> list[str | None]:
    return [None if one is None else one.label for one in concepts]


def _by_words(
    kind: str,
    seen: Seen,
    response: Float32[np.ndarray, "image unit"],
    words: Sequence[str],
    meant: Sequence[Concept | None],
    seed: int,
    draws: int,
) -> Iterator[Named]:
    rng = np.random.default_rng([seed, *kind.encode()])
    turned = [rng.permutation(len(response)) for _ in range(CONTROLS)]
    for method, top_k in METHODS:
        usual = settle_parameters(method, {}).get("top_k")
        count = top_k or usual
        parameters: dict[str, int | float] = {} if count is None else {"top_k": min(count, len(response))}
        ask = partial(judge_words, seen.images, seen.words, method=method, parameters=parameters, seed=seed)
        judged = ask(response=response, draws=draws, redraws=0)
        shuffled = [ask(response=response[rows], draws=draws, redraws=0) for rows in turned]
        names = [None if word == NONE else words[word] for word in judged.word.tolist()]
        yield count_right(kind, name_method(method, top_k), seed, names, meant, judged, shuffled)


def count_right(
    kind: str,
    method: str,
    seed: int,
    names: Sequence[str | None],
    meant: Sequence[Concept | None],
    judged: Judged | None = None,
    shuffled: Sequence[Judged] = (),
) -> Named:
    """How many names are right, and how many of those that are sure.

    >>> street = Concept(1, "street-s", "scene")
    >>> found = count_right("output units", "IoU", 0, ["street", "sky", None], [street] * 3)
    >>> found.named, found.right
    (2, 1)
    """
    right = np.array(
        [
            name is not None and concept is not None and is_name(name, concept)
            for name, concept in zip(names, meant, strict=True)
        ]
    )
    sure = np.zeros(len(names), bool) if judged is None else judged.q_value < 0.05
    return Named(
        *(kind, method, seed, len(names), sum(name is not None for name in names), int(right.sum())),
        *(int(sure.sum()), int((sure & right).sum())),
        low=float(np.mean([(one.p_value < 0.05).mean() for one in shuffled])) if shuffled else float("nan"),
        false=sum(int((one.q_value < 0.05).sum()) for one in shuffled) / max(len(shuffled), 1),
    )
