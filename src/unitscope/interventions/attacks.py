"""Attacks: small changes of an image after which the network names another class.

Images are the module's pixels, RGB in [0, 1], before normalization: bounds and norms are in that space, and
normalization belongs to the function that is attacked. Images are attacked one by one, in batches of one: a
convolution's last bits depend on how many images it is given, and an attack makes much of the last bits.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from unitscope.errors import NetworkError, UsageError
from unitscope.executors.calls import Arrays, Work
from unitscope.executors.jobs import Executor
from unitscope.interventions.linear_head import read_logits
from unitscope.networks.network import Network, number_images
from unitscope.networks.shared_work import share
from unitscope.networks.specifications import specify_network
from unitscope.networks.trace import evaluation
from unitscope.networks.weights import one_line
from unitscope.progress import follow, follow_each, silence
from unitscope.statistics.threads import open_threads

Pixels = Float32[Tensor, "band y x"]
Logits = Float[Tensor, "classes"]
Classifier = Callable[[Pixels], Logits]

_INSIDE = 0.999999
_CHECKS = 10
_PATIENCE = 10
_PROGRESS = 0.9999
_PART = 4
"""So many images are attacked before what came of them is handed on, where workers share them."""


@dataclass(frozen=True)
class CarliniWagner:
    """The smallest change by L2: minimizes ||x' - x||^2 + c max(0, confidence - margin(x')).

    margin = logit of the target minus the highest other one, x' = (tanh w + 1) / 2 keeps the bounds, Adam
    moves w by `stepsize` (Carlini and Wagner 2017, sections V.D and VI.A). c starts at `initial_const` and is
    searched in `binary_search_steps` rounds of `steps` steps, for every image by itself: times 10 until the
    attack succeeds, then halfway between the largest c that failed and the smallest that succeeded. With
    `abort_early` a round ends when the lowest loss has not fallen by 0.01 % in a tenth of its steps, and in
    10 steps.

    The defaults are for a CPU: 48 gradients an image. Four times as many take about a fifth off the change.
    `stepsize` is 1 / sqrt(height * width) by default, so that a step is as long in images of any size.
    """

    binary_search_steps: int = 3
    steps: int = 16
    stepsize: float | None = None
    confidence: float = 0.0
    initial_const: float = 0.3
    abort_early: bool = True

    def __post_init__(self) -> None:
        _check_settings(self)
        if not 0 <= self.confidence < math.inf:
            raise UsageError(f"the confidence of an attack is {self.confidence}; give 0 or more")


@dataclass(frozen=True)
class ProjectedGradient:
    """The likeliest target within reach: descends the cross entropy of the target, projected on a ball.

    The ball has radius `eps` around the image, in the norm named; every step is `stepsize` long, along the
    gradient divided by its length (l2) or along its signs (linf) (Madry et al. 2018, section 2.1). With a
    `seed` the start is random in the ball, from the seed and the image's key. The best of all steps counts.

    By default `eps` is 8 / 255 (linf) or sqrt(height * width) / 64 (l2), `stepsize` 2.5 eps / steps.
    """

    norm: Literal["l2", "linf"]
    eps: float | None = None
    steps: int = 20
    stepsize: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.norm not in ("l2", "linf"):
            raise UsageError(f"there is no norm {self.norm!r}; wanted l2 or linf")
        _check_settings(self)


Attack = CarliniWagner | ProjectedGradient


def _check_settings(attack: object) -> None:
    for name, value in vars(attack).items():
        if name.endswith("steps") and value < 1:
            raise UsageError(f"the {name} of an attack are {value}; give 1 or more")
        if name in ("eps", "stepsize", "initial_const") and value is not None and not 0 < value < math.inf:
            raise UsageError(f"the {name} of an attack is {value}; give a number above 0")


@dataclass(frozen=True, eq=False)
class Attacked:
    """One image after an attack.

    `source` is the class that the network named before, `target` the one it was to name; `success` says
    whether it does so for `image` (by more than the attack's confidence). Where it does not, `image` is the
    best try: the one closest to success.
    """

    key: str
    source: int
    target: int
    success: bool
    original: Pixels
    image: Pixels

    @property
    def l2(self) -> float:
        """The length of the change, over all pixels and colors, in pixels of [0, 1]."""
        return float((self.image - self.original).double().square().sum().sqrt())

    @property
    def linf(self) -> float:
        """The largest change of a color of a pixel, in pixels of [0, 1]."""
        return float((self.image - self.original).abs().max())


def attack_images(
    network: Network,
    images: Sequence[Pixels],
    targets: Sequence[int],
    attack: Attack,
    *,
    keys: Sequence[str] | None = None,
    numbers: Sequence[int] | None = None,
    executor: Executor | None = None,
) -> list[Attacked]:
    """Attacks every image by itself; what comes out does not depend on what else is attacked.

    `keys` name the images (by default their places) and seed random starts; `numbers`, those of the images in
    their source (by default all 0), are what a random network draws by. As many images as torch has threads
    are attacked at a time, each on one thread, so results do not depend on their number either; the
    module's `forward` must not keep anything from one call to the next. `executor` has workers that share
    the images, which changes nothing either. Parameters, their gradients and the module's mode are as before
    afterwards, also after an error. Raises `UsageError` for a class that the network does not have, pixels
    outside [0, 1] or a network that workers cannot open, `NetworkError` where the network gives no logits, or
    no gradient of its pixels.

    >>> from torch import nn
    >>> net = Network(nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False)))
    >>> net.module[1].weight.data = torch.tensor([[1.0] * 12, [-1.0] * 12])
    >>> attack = ProjectedGradient("linf", eps=0.5)
    >>> one = attack_images(net, [torch.full((3, 2, 2), 0.25)], [1], attack)[0]
    >>> one.source, one.success, one.image.max().item()
    (0, False, 0.0)
    """
    names = [str(number) for number in range(len(images))] if keys is None else list(keys)
    drawn = [0] * len(images) if numbers is None else list(numbers)
    if not len(images) == len(targets) == len(names) == len(drawn):
        counts = f"{len(images)} images, {len(targets)} targets, {len(names)} keys, {len(drawn)} numbers"
        raise UsageError(f"{counts}; wanted equally many")
    if executor is not None:
        return _share_images(network, images, targets, attack, names, drawn, executor)
    count = torch.get_num_threads()
    with ExitStack() as after, evaluation(network), open_threads(count) as threads:
        after.callback(torch.set_num_threads, count)
        torch.set_num_threads(1)
        found = threads.pool.map(partial(_attack_image, network, attack), names, images, targets, drawn)
        return list(follow_each(found, "attacking", total=len(names)))


def _share_images(
    network: Network,
    images: Sequence[Pixels],
    targets: Sequence[int],
    attack: Attack,
    keys: Sequence[str],
    numbers: Sequence[int],
    executor: Executor,
) -> list[Attacked]:
    originals = [image.detach().float().cpu() for image in images]
    given = {
        "network": network,
        "images": [image.numpy() for image in originals],
        "targets": list(targets),
        "attack": attack,
        "keys": keys,
        "numbers": numbers,
    }
    count = -(-len(images) // _PART)
    parts = share(prepare_attacks, given, count, executor, lambda: {"network": specify_network(network)})
    found: list[Attacked] = []
    with follow(len(images), "attacking") as work, closing(parts):
        for part in parts:
            before = len(found)
            for place, (source, success) in enumerate(part["ends"].tolist(), before):
                image = torch.from_numpy(part[f"image/{place}"].copy())  # what is read may be read-only
                about = keys[place], source, targets[place], bool(success)
                found.append(Attacked(*about, originals[place], image))
            work.update(len(found) - before)
    return found


def prepare_attacks(
    network: Network,
    images: Sequence[Float32[np.ndarray, "band y x"]],
    targets: Sequence[int],
    attack: Attack,
    keys: Sequence[str],
    numbers: Sequence[int],
) -> Work:
    """What attacks one part of the images after the other: of each how it ends, and the image then."""

    def work(number: int) -> Arrays:
        first = number * _PART
        part = slice(first, first + _PART)
        pixels = [torch.from_numpy(image.copy()) for image in images[part]]
        with silence():
            found = attack_images(
                network, pixels, targets[part], attack, keys=keys[part], numbers=numbers[part]
            )
        ends = np.array([(one.source, one.success) for one in found], np.int64)
        return {
            "ends": ends,
            **{f"image/{place}": one.image.numpy() for place, one in enumerate(found, first)},
        }

    return work


def classify_pixels(network: Network, image: Pixels, number: int = 0) -> Logits:
    """The network's logits for one image of pixels in [0, 1]; a random network draws by its `number`.

    Raises `NetworkError` where it gives anything else than finite logits.
    """
    device = next(network.module.parameters(), image).device
    batch = number_images(network.preprocessing.normalize(image[None].to(device)), [number])
    logits = read_logits(network.run(batch))
    if logits.shape[1] == 1:
        raise NetworkError(f"{network.name} gives no logits of several classes; an attack needs two")
    return logits[0]


def _attack_image(
    network: Network, attack: Attack, key: str, image: Pixels, target: int, number: int
) -> Attacked:
    image = image.detach().float().cpu()
    if not (image.min() >= 0 and image.max() <= 1):
        low, high = float(image.min()), float(image.max())
        raise UsageError(f"the pixels of image {key} go from {low:g} to {high:g}; wanted 0 to 1")
    with torch.enable_grad():
        logits = classify_pixels(network, image.clone().requires_grad_(), number)
        if not logits.requires_grad:
            raise NetworkError(f"no gradient of the logits of {network.name} reaches the pixels")
        if not 0 <= target < len(logits):
            raise UsageError(f"there is no class {target}; {network.name} has {len(logits)}")
        tries = _Tries(target, attack.confidence if isinstance(attack, CarliniWagner) else 0.0)

        def classify(pixels: Pixels) -> Logits:
            return classify_pixels(network, pixels, number).cpu()

        if isinstance(attack, CarliniWagner):
            _carlini_wagner(classify, image, tries, attack)
        else:
            _projected_gradient(classify, image, tries, attack, key)
    assert tries.image is not None
    return Attacked(key, int(logits.argmax()), target, tries.success, image, tries.image)


@dataclass
class _Tries:
    """The best image so far: any success before any failure, then the lowest cost."""

    target: int
    confidence: float
    image: Pixels | None = None
    success: bool = False
    cost: float = math.inf

    def margin(self, logits: Logits) -> Float[Tensor, ""]:
        """The logit of the target minus the highest other one."""
        others = logits.clone()
        others[self.target] = -math.inf
        return logits[self.target] - others.max()

    def offer(self, image: Pixels, success: bool, cost: float) -> None:
        """Keeps an image if it is better."""
        if (not success, cost) < (not self.success, self.cost):
            self.image, self.success, self.cost = image.detach().clone(), success, cost


def _carlini_wagner(classify: Classifier, image: Pixels, tries: _Tries, attack: CarliniWagner) -> None:
    const, low, high = attack.initial_const, 0.0, math.inf
    for _ in range(attack.binary_search_steps):
        done = _descend(classify, image, const, tries, attack)
        low, high = (low, const) if done else (const, high)
        const = const * 10 if high == math.inf else (low + high) / 2


def _descend(classify: Classifier, image: Pixels, const: float, tries: _Tries, attack: CarliniWagner) -> bool:
    """One round of the search, with one constant: whether it has succeeded."""
    # tanh reaches the bounds 0 and 1 only at infinity.
    start = torch.atanh((2 * image - 1) * _INSIDE)
    shift = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([shift], lr=attack.stepsize or 1 / _side(image))
    every = max(_PATIENCE, math.ceil(attack.steps / _CHECKS))
    lowest, before, found = math.inf, math.inf, False
    for step in range(attack.steps):
        changed = (torch.tanh(start + shift) + 1) / 2
        size = (changed - image).square().sum()
        margin = tries.margin(classify(changed))
        loss = size + const * (attack.confidence - margin).clamp_min(0)
        success = margin.item() > attack.confidence
        found |= success
        # Among failures the one nearest to success is the best, however large its change.
        tries.offer(changed, success, size.item() if success else -margin.item())
        lowest = min(lowest, loss.item())
        if attack.abort_early and step % every == 0:
            if lowest > _PROGRESS * before:
                break
            before = lowest
        shift.grad = _differentiate(loss, shift)
        adam.step()
    return found


def _projected_gradient(
    classify: Classifier, image: Pixels, tries: _Tries, attack: ProjectedGradient, key: str
) -> None:
    eps = attack.eps or (8 / 255 if attack.norm == "linf" else _side(image) / 64)
    stepsize = attack.stepsize or 2.5 * eps / attack.steps
    changed = image
    if attack.seed is not None:
        changed = (image + _draw_start(image, attack.norm, eps, attack.seed, key)).clamp(0, 1)
    for step in range(attack.steps + 1):
        changed = changed.detach().requires_grad_()
        logits = classify(changed)
        loss = torch.logsumexp(logits, 0) - logits[tries.target]
        tries.offer(changed, tries.margin(logits).item() > 0, loss.item())
        if step == attack.steps:
            return
        slope = _differentiate(loss, changed)
        move = slope.sign() if attack.norm == "linf" else slope / slope.norm().clamp_min(1e-12)
        change = changed.detach() - stepsize * move - image
        if attack.norm == "linf":
            change = change.clamp(-eps, eps)
        else:
            change *= min(1.0, eps / max(change.norm().item(), 1e-12))
        changed = (image + change).clamp(0, 1)


def _side(image: Pixels) -> float:
    """The side of a square of as many pixels."""
    return math.sqrt(image.shape[1] * image.shape[2])


def _draw_start(image: Pixels, norm: str, eps: float, seed: int, key: str) -> Pixels:
    """A random change, evenly distributed in the ball, the same for a seed and a key wherever drawn."""
    digest = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")
    rng, shape = np.random.default_rng([seed, digest]), tuple(image.shape)
    if norm == "linf":
        change = rng.uniform(-eps, eps, shape)
    else:
        # The volume within a radius grows with its n-th power.
        way = rng.standard_normal(shape)
        change = way * (eps * rng.random() ** (1 / way.size) / np.linalg.norm(way))
    return torch.from_numpy(change.astype(np.float32))


def _differentiate(loss: Float[Tensor, ""], value: Pixels) -> Pixels:
    """The gradient with respect to one tensor alone: no parameter's gradient is touched."""
    try:
        return torch.autograd.grad(loss, value)[0]
    except RuntimeError as error:
        raise NetworkError(f"no gradient of the logits reaches the pixels: {one_line(error)}") from error
