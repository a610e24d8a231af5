"""A classifier without some of its units: what it still names right."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.interventions.classes import ClassScores, add_logits, empty_scores, match_classes
from unitscope.interventions.edits import Reach, check_reach, count_units, edited
from unitscope.interventions.linear_head import LinearHead, find_head, read_head, read_numbers, remove_units
from unitscope.interventions.replay import Replay, can_replay, replay
from unitscope.networks.feeding import stack_images
from unitscope.networks.network import Input, Network, number_images
from unitscope.networks.randomness import limit_batch
from unitscope.networks.shared_work import Specification, share
from unitscope.networks.specifications import specify_network, specify_source
from unitscope.networks.trace import evaluation
from unitscope.progress import follow, follow_each

Method = Literal["fastest", "closed", "replay", "plain"]
Masks = Bool[np.ndarray, "removal unit"]
_BATCH = 16
_TRIED = 4
_PART = 512
"""So many versions of images are replayed at least before what came of them is handed on."""
_VERSIONS = 32
"""More versions a batch do not fit the processor's cache: twice as slow at 112 as at 32."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Images of known class for a network: `images` are indices in the source, `targets` its classes."""

    source: ConceptSource
    images: Int64[np.ndarray, "n"]
    targets: Int64[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.images)

    def split(self) -> tuple["Trial", "Trial"]:
        """Two halves with the same classes: of every class the images in turn."""
        first = np.zeros(len(self), bool)
        for target in np.unique(self.targets):
            first[np.flatnonzero(self.targets == target)[::2]] = True
        return self.keep(first), self.keep(~first)

    def keep(self, chosen: Bool[np.ndarray, "n"]) -> "Trial":
        """Only the images chosen."""
        return Trial(self.source, self.images[chosen], self.targets[chosen])


def find_targets(network: Network, source: ConceptSource, *, least: int = 2) -> Trial:
    """The images of the source whose label as a whole is a class of the network, by name.

    Raises `UsageError` where the network has no class names or none of them labels an image, `SourceError`
    where a class has fewer than `least` images.
    """
    if not network.classes:
        raise UsageError(f"{network.name} has no class names; give some with Network(..., classes=(...))")
    classes = match_classes(network, source.vocabulary)
    images, targets = [], []
    for index in follow_each(range(len(source)), "finding the classes"):
        found = {classes[one] for one in source[index].ids if one in classes}
        if len(found) == 1:
            images.append(index)
            targets.append(found.pop())
    if not images:
        named = ", ".join(network.classes[:3])
        raise UsageError(f"no image is labelled with a class of {network.name} ({named}, ...)")
    for target, count in zip(*np.unique(targets, return_counts=True), strict=True):
        if count < least:
            name = network.classes[target]
            raise SourceError(f"class {name!r} has {count} image; wanted {least} or more")
    return Trial(source, np.array(images, np.int64), np.array(targets, np.int64))


def open_trial(network: Network, images: ConceptSource | Trial) -> Trial:
    """The images of a source with the network's classes, or those given; raises what `find_targets` does."""
    return images if isinstance(images, Trial) else find_targets(network, images, least=1)


def single_units(units: int) -> Masks:
    """Every unit removed by itself."""
    return np.eye(units, dtype=bool)


def score_removals(
    network: Network,
    layer: str,
    trial: Trial,
    masks: Masks,
    *,
    method: Method = "fastest",
    tokens: Reach = "all",
    executor: Executor | None = None,
) -> tuple[ClassScores, ClassScores]:
    """How the network names the images of a trial: with all units, and with those of each mask set to 0.

    The first scores have one row, the second one a mask. `method` decides how, not what:

    - "closed": where the layer's units reach a last linear layer one by one (after pooling, say), a removal
      takes one term off the logits; two passes in all, however many removals.
    - "replay": the network up to the layer runs once an image, its rest once a removal, in large batches.
    - "plain": the whole network, once a removal: slow, and the definition.
    - "fastest": "closed" where it holds, else "replay", or "plain" where the layer is not a module's output.

    `tokens` are those of a sequence that units are removed from: class tokens, registers and patches ("all"),
    "patches", or "class". `executor` has workers that share the images: the scores are the same to the last
    bit (`unitscope.networks.shared_work.share`).

    Raises `UsageError` for an unknown layer, masks of another number of units, or tokens that the layer does
    not have, and for a network or images that workers cannot open; `NetworkError` where `method` cannot serve
    this network.
    """
    check_reach(tokens)
    units = count_units(network, layer)
    if masks.shape[1] != units:
        raise UsageError(f"the masks are for {masks.shape[1]} units; {layer} has {units}")
    if not len(trial):
        raise UsageError("there are no images to score; give a source with images of the network's classes")
    method, head = _settle_method(network, layer, trial, method, tokens)
    size = max(1, min(_BATCH, _PART // max(len(masks), 1))) if method == "replay" else _BATCH
    given = {
        "network": network,
        "source": trial.source,
        "images": trial.images,
        "targets": trial.targets,
        "layer": layer,
        "masks": masks,
        "method": method,
        "head": head,
        "tokens": tokens,
        "size": size,
    }
    count = -(-len(trial) // size)
    parts = share(prepare_removals, given, count, executor, lambda: specify_trial(network, trial))
    scores: tuple[ClassScores, ClassScores] | None = None
    with follow(len(trial), f"removing units of {layer}") as work, closing(parts):
        for part in parts:
            found = _read_scores(part, "whole"), _read_scores(part, "without")
            scores = found if scores is None else (scores[0].merge(found[0]), scores[1].merge(found[1]))
            work.update(int(found[0].images.sum()))
    assert scores is not None
    return scores


def _settle_method(
    network: Network, layer: str, trial: Trial, method: Method, tokens: Reach
) -> tuple[Method, LinearHead | None]:
    head = None
    if method in ("fastest", "closed"):
        head = find_head(network, layer, next(read_images(network, trial, _TRIED))[1], tokens)
    if method == "closed" and head is None:
        raise NetworkError(f"the units of {layer} do not reach a last linear layer one by one; use replay")
    if head is not None:
        return "closed", head
    if method == "fastest":
        return ("replay" if can_replay(network, layer) else "plain"), None
    return method, None


def specify_trial(network: Network, trial: Trial) -> Mapping[str, Specification]:
    """A network and the images of a trial as workers open them; raises `UsageError` where they cannot."""
    return {"network": specify_network(network), "source": specify_source(trial.source)}


def prepare_removals(
    network: Network,
    source: ConceptSource,
    images: Int64[np.ndarray, "n"],
    targets: Int64[np.ndarray, "n"],
    *,
    layer: str,
    masks: Masks,
    method: Method,
    head: LinearHead | None,
    tokens: Reach,
    size: int,
) -> Work:
    """What scores part after part of a trial, of `size` images each, as `score_removals` does."""
    trial = Trial(source, images, targets)

    def work(number: int) -> Arrays:
        part = trial.keep(np.arange(len(trial)) // size == number)
        if head is not None:
            runs = _run_closed(network, layer, part, masks, head, tokens)
        elif method == "plain":
            runs = _run_plain(network, layer, part, masks, tokens)
        else:
            runs = _run_replay(network, layer, part, masks, tokens)
        scores: list[ClassScores] = []
        for target, whole, without in runs:
            scores = scores or [empty_scores(count, len(whole)) for count in (1, len(masks))]
            add_logits(scores[0], whole[None], target)
            add_logits(scores[1], without, target)
        kinds = zip(("whole", "without"), scores, strict=True)
        return {f"{kind}/{name}": array for kind, one in kinds for name, array in vars(one).items()}

    return work


def _read_scores(arrays: Arrays, kind: str) -> ClassScores:
    return ClassScores(*(arrays[f"{kind}/{one.name}"] for one in fields(ClassScores)))


Runs = Iterator[tuple[int, Float64[np.ndarray, "classes"], Float64[np.ndarray, "removal classes"]]]


def read_images(
    network: Network, trial: Trial, size: int
) -> Iterator[tuple[Int64[np.ndarray, "some"], Input]]:
    """Batches of a trial as the network reads them, with their targets; of one image if it is random."""
    size = limit_batch(network, size)
    for start in range(0, len(trial), size):
        chosen = slice(start, start + size)
        examples = [trial.source[int(i)] for i in trial.images[chosen]]
        pictures, keys = [example.image for example in examples], [example.key for example in examples]
        shape = network.preprocessing.size or pictures[0].shape[:2]
        fitted = stack_images([Frame(shape, shape).fit_image(picture) for picture in pictures], keys)
        batch = network.feed(fitted, start, network.device)
        yield trial.targets[chosen], number_images(batch, trial.images[chosen].tolist())


def _run_closed(
    network: Network, layer: str, trial: Trial, masks: Masks, head: LinearHead, tokens: Reach
) -> Runs:
    alone = masks.sum(1) == 1
    which, taken = masks[alone].argmax(1), masks[~alone].astype(np.float64)
    for targets, batch in read_images(network, trial, _BATCH):
        read = read_head(network, layer, head, batch, tokens)
        for target, logits, terms in zip(targets, read.logits, read.lost, strict=True):
            share = np.ascontiguousarray(head.weigh(terms).T)
            without = np.empty((len(masks), len(logits)))
            without[alone], without[~alone] = logits - share[which], logits - taken @ share
            yield int(target), logits, without


def _run_replay(network: Network, layer: str, trial: Trial, masks: Masks, tokens: Reach) -> Runs:
    with replay(network, layer) as rest:
        for targets, image in read_images(network, trial, 1):
            maps, output = rest.start(image)
            # Taking away a unit that is 0 all over the image changes nothing: what is left to run is fewer.
            live = (maps != 0).flatten(2).any(2)[0].cpu().numpy()
            if rest.others.shape[2]:
                live |= (rest.others != 0).flatten(2).any(2)[0].cpu().numpy()
            packed = np.packbits(masks & live, axis=1)
            _, first, places = np.unique(packed, axis=0, return_index=True, return_inverse=True)
            chunks = (first[start : start + _VERSIONS] for start in range(0, len(first), _VERSIONS))
            parts = [read_numbers(run_without(rest, maps, (masks & live)[some], tokens)) for some in chunks]
            yield int(targets[0]), read_numbers(output)[0], np.concatenate(parts)[places.reshape(-1)]


def run_without(rest: Replay, maps: Tensor, masks: Masks, tokens: Reach = "all", fast: bool = True) -> Tensor:
    """The outputs of a replay of one image, once a mask, without its units in those tokens.

    With `fast` the maps have their channels last, which convolutions on a CPU take quicker.
    """
    keep = torch.from_numpy(~masks)[:, :, None, None].to(maps.device)
    without = maps.expand(len(masks), -1, -1, -1) if tokens == "class" else maps * keep
    if fast:
        without = without.contiguous(memory_format=torch.channels_last)
    if tokens != "class" and not rest.others.shape[2]:
        return rest.finish(without)
    edit = remove_units(rest.layer, masks, tokens)
    return rest.finish(
        without, edit.apply_others(rest.others.expand(len(masks), -1, -1, -1), rest.layout.classes)
    )


def _run_plain(network: Network, layer: str, trial: Trial, masks: Masks, tokens: Reach) -> Runs:
    with evaluation(network), torch.no_grad():
        for targets, batch in read_images(network, trial, _BATCH):
            whole = read_numbers(network.run(batch))
            without = np.zeros((len(masks), *whole.shape))
            for place, mask in enumerate(masks):
                with edited(network, remove_units(layer, mask, tokens)):
                    without[place] = read_numbers(network.run(batch))
            for image, target in enumerate(targets):
                yield int(target), whole[image], without[:, image]
