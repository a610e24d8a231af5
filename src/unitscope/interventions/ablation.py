"""A classifier without some of its units: what it still names right."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64, UInt8
from torch import Tensor, nn
from tqdm import tqdm

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.interventions.edits import Edit, count_units, edited
from unitscope.interventions.replay import replay
from unitscope.interventions.scores import ClassScores, add_logits, empty_scores
from unitscope.networks.network import Input, Network
from unitscope.networks.trace import evaluation

Method = Literal["fastest", "closed", "replay", "plain"]
Masks = Bool[np.ndarray, "removal unit"]
_BATCH = 16
_VERSIONS = 32
"""More versions a batch do not fit the processor's cache: twice as slow at 112 as at 32."""
_CLOSE = 1e-5


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
    places = {_plain(name): place for place, name in enumerate(network.classes)}
    classes = {c.id: places[name] for c in source.vocabulary if (name := _plain(c.name)) in places}
    images, targets = [], []
    for index in tqdm(range(len(source)), desc="finding the classes", unit="image", disable=None):
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


def _plain(name: str) -> str:
    # Broden's writers put "-s" after names of scenes; folders have underscores for spaces.
    return name.removesuffix("-s").replace("_", " ").lower()


def single_units(units: int) -> Masks:
    """Every unit removed by itself."""
    return np.eye(units, dtype=bool)


def score_removals(
    network: Network, layer: str, trial: Trial, masks: Masks, *, method: Method = "fastest"
) -> tuple[ClassScores, ClassScores]:
    """How the network names the images of a trial: with all units, and with those of each mask set to 0.

    The first scores have one row, the second one a mask. `method` decides how, not what:

    - "closed": where the layer's units reach a last linear layer one by one (after pooling, say), a removal
      takes one term off the logits; two passes in all, however many removals.
    - "replay": the network up to the layer runs once an image, its rest once a removal, in large batches.
    - "plain": the whole network, once a removal: slow, and the definition.
    - "fastest": "closed" where it holds, else "replay".

    Raises `UsageError` for an unknown layer or masks of another number of units, `NetworkError` where
    `method` cannot serve this network.
    """
    units = count_units(network, layer)
    if masks.shape[1] != units:
        raise UsageError(f"the masks are for {masks.shape[1]} units; {layer} has {units}")
    head = _find_head(network, layer, trial) if method in ("fastest", "closed") else None
    if method == "closed" and head is None:
        raise NetworkError(f"the units of {layer} do not reach a last linear layer one by one; use replay")
    if head is not None:
        runs = _run_closed(network, layer, trial, masks, head)
    elif method == "plain":
        runs = _run_plain(network, layer, trial, masks)
    else:
        runs = _run_replay(network, layer, trial, masks)
    base: ClassScores | None = None
    total: ClassScores | None = None
    with tqdm(total=len(trial), desc=f"removing units of {layer}", unit="image", disable=None) as bar:
        for target, whole, without in runs:
            base = base or empty_scores(1, len(whole))
            total = total or empty_scores(len(masks), len(whole))
            add_logits(base, whole[None], target)
            add_logits(total, without, target)
            bar.update()
    if base is None or total is None:
        raise UsageError("there are no images to score; give a source with images of the network's classes")
    return base, total


Runs = Iterator[tuple[int, Float64[np.ndarray, "classes"], Float64[np.ndarray, "removal classes"]]]


def read_images(
    network: Network, trial: Trial, size: int
) -> Iterator[tuple[Int64[np.ndarray, "some"], Input]]:
    """Batches of a trial as the network reads them, with their targets."""
    device = str(next(network.module.parameters(), torch.empty(0)).device)
    for start in range(0, len(trial), size):
        chosen = slice(start, start + size)
        pictures = _load(network, trial, chosen)
        yield trial.targets[chosen], network.feed(pictures, start, device)


def _load(network: Network, trial: Trial, chosen: slice) -> UInt8[np.ndarray, "some y x 3"]:
    pictures = [trial.source[int(i)].image for i in trial.images[chosen]]
    size = network.preprocessing.size or pictures[0].shape[:2]
    frame = Frame(size, size)
    return np.stack([frame.fit_image(picture) for picture in pictures])


@dataclass(frozen=True, eq=False)
class _Head:
    """The last linear layer of a network whose every input belongs to one unit of the layer."""

    name: str
    weight: Float64[np.ndarray, "classes unit"]


@torch.no_grad()
def _read_features(network: Network, head: str, batch: Input) -> tuple[Tensor, Tensor, Tensor]:
    """What a linear layer reads, what it gives, and what the network gives."""
    seen: list[tuple[Tensor, Tensor]] = []
    module = network.module.get_submodule(head)
    hook = module.register_forward_hook(lambda _m, args, output: seen.append((args[0], output)))
    try:
        output = network.module(*(batch if isinstance(batch, tuple) else (batch,)))
    finally:
        hook.remove()
    if not seen:
        return torch.empty(0), torch.empty(0), output
    return (*seen[-1], output)


def _find_head(network: Network, layer: str, trial: Trial) -> _Head | None:
    """The network's last linear layer, if removing units changes only their own inputs of it.

    That is tried out on images of the trial, for three random halves of the units.
    """
    linear = [name for name, part in network.module.named_modules() if isinstance(part, nn.Linear)]
    units = count_units(network, layer)
    if not linear or not len(trial):
        return None
    name = linear[-1]
    module = network.module.get_submodule(name)
    assert isinstance(module, nn.Linear)
    some = trial.keep(np.arange(len(trial)) < 4)
    _, batch = next(read_images(network, some, 4))
    with evaluation(network.module):
        read, gave, output = _read_features(network, name, batch)
        if read.shape[1:] != (units,) or not isinstance(output, Tensor) or not torch.equal(gave, output):
            return None
        with edited(network, _removal(layer, np.ones(units, bool))):
            none, _, _ = _read_features(network, name, batch)
        rng = np.random.default_rng(0)
        for _ in range(3):
            mask = rng.random(units) < 0.5
            with edited(network, _removal(layer, mask)):
                half, _, _ = _read_features(network, name, batch)
            wanted = torch.where(torch.from_numpy(mask).to(read.device), none, read)
            if not torch.allclose(half, wanted, rtol=_CLOSE, atol=_CLOSE * float(read.abs().max())):
                return None
    return _Head(name, module.weight.detach().double().cpu().numpy())


def _removal(layer: str, mask: Bool[np.ndarray, "unit"]) -> Edit:
    strength = torch.from_numpy(mask.astype(np.float32))[None, :, None, None]
    return Edit(layer, strength, torch.zeros(1, 1, 1, 1))


def _run_closed(network: Network, layer: str, trial: Trial, masks: Masks, head: _Head) -> Runs:
    alone = masks.sum(1) == 1
    which, taken = masks[alone].argmax(1), masks[~alone].astype(np.float64)
    with evaluation(network.module):
        for targets, batch in read_images(network, trial, _BATCH):
            read, _, output = _read_features(network, head.name, batch)
            with edited(network, _removal(layer, np.ones(masks.shape[1], bool))):
                none, _, _ = _read_features(network, head.name, batch)
            lost = (read.double() - none.double()).cpu().numpy()
            for target, logits, terms in zip(targets, _numbers(output), lost, strict=True):
                share = terms[:, None] * head.weight.T
                without = np.empty((len(masks), len(logits)))
                without[alone], without[~alone] = logits - share[which], logits - taken @ share
                yield int(target), logits, without


def _run_replay(network: Network, layer: str, trial: Trial, masks: Masks) -> Runs:
    with replay(network, layer) as rest:
        for targets, image in read_images(network, trial, 1):
            maps, output = rest.start(image)
            # Taking away a unit that is 0 all over the image changes nothing: what is left to run is fewer.
            live = (maps != 0).flatten(2).any(2)[0].cpu().numpy()
            some, places = _distinct(masks & live)
            parts = [_numbers(rest.finish(_without(maps, part))) for part in _chunks(some)]
            yield int(targets[0]), _numbers(output)[0], np.concatenate(parts)[places]


def _distinct(masks: Masks) -> tuple[Bool[np.ndarray, "some unit"], Int64[np.ndarray, "removal"]]:
    """The different ones among the masks, and which of them each is."""
    _, first, places = np.unique(np.packbits(masks, axis=1), axis=0, return_index=True, return_inverse=True)
    return masks[first], places.reshape(-1)


def _chunks(masks: Masks) -> Iterator[Bool[np.ndarray, "some unit"]]:
    return (masks[start : start + _VERSIONS] for start in range(0, len(masks), _VERSIONS))


def _without(maps: Tensor, masks: Masks) -> Tensor:
    """The maps once a mask, without its units; channels last, which convolutions on a CPU take quicker."""
    keep = torch.from_numpy(~masks)[:, :, None, None].to(maps.device)
    return (maps * keep).contiguous(memory_format=torch.channels_last)


def _run_plain(network: Network, layer: str, trial: Trial, masks: Masks) -> Runs:
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(evaluation(network.module))
        for targets, batch in read_images(network, trial, _BATCH):
            parts = batch if isinstance(batch, tuple) else (batch,)
            whole = _numbers(network.module(*parts))
            without = np.zeros((len(masks), *whole.shape))
            for place, mask in enumerate(masks):
                with edited(network, _removal(layer, mask)):
                    without[place] = _numbers(network.module(*parts))
            for image, target in enumerate(targets):
                yield int(target), whole[image], without[:, image]


def _numbers(output: object) -> Float64[np.ndarray, "n classes"]:
    logits = getattr(output, "logits", output)
    if not (isinstance(logits, Tensor) and logits.ndim == 2):
        raise NetworkError("the network gives no logits [images, classes]; only classifiers can be scored")
    if not bool(torch.isfinite(logits).all()):
        raise NetworkError("the network gives logits that are not finite; look at its input and weights")
    return logits.detach().double().cpu().numpy()
