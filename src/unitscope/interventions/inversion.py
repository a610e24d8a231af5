"""A given picture in a generator: a latent near it, then a layer's units, then maps added to later layers.

What a generator makes from a latent is near a given picture at best. Units of a layer can be fitted so
that the rest of the generator makes nearly the given picture; what is still missing is added to later layers,
before they are rectified, and to the pixels (in the manner of GAN Paint's adaptation of a generator to one
picture, paper B, fig. 6). Units that were fitted no longer stand for things as they do in the generator's own
pictures: whoever edits them gives the place back to the generator first (`painting.given_back`).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from unitscope.axes import Picture
from unitscope.concepts.segmented import Segmenter
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.inversion_result import Inversion, compare_pictures
from unitscope.interventions.kinds import see_kind
from unitscope.interventions.picture_loss import Features, compare_with
from unitscope.interventions.replay import Replay, replay
from unitscope.interventions.stages import Stage, choose_stage, find_stages
from unitscope.networks.generators import BLOCK, Generator, to_pixels, with_seed
from unitscope.networks.network import number_images
from unitscope.networks.tokens import Layout
from unitscope.networks.trace import evaluation, hook_layer
from unitscope.networks.unit_maps import read_others, read_units, write_units
from unitscope.progress import Follower, follow
from unitscope.version import __version__

INVERTING = "inverting"
"""What this work is called where it is told how far it is."""
_TRIAL = 10
"""Steps for every kind, where no classifier says which one the picture shows."""

Loss = Callable[[Tensor], Tensor]
"""A number for each of some pictures, as the generator makes them."""


@dataclass(frozen=True)
class Steps:
    """How many steps each stage is fitted, by Adam, and at which rate.

    Rates of the layer and of maps are in standard deviations of their units over the generator's own
    pictures. Raises `UsageError` for numbers below 0.
    """

    latent: int = 40
    layer: int = 60
    maps: int = 45
    latent_rate: float = 0.12
    layer_rate: float = 0.15
    maps_rate: float = 0.03

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value >= 0:
                raise UsageError(f"steps: {name} is {value}; it must be 0 or more")

    def name_stage(self, done: int) -> str:
        """What is fitted once so many steps are done.

        >>> [Steps().name_stage(done) for done in (0, 39, 40, 99, 100, 130)]
        ['latent', 'latent', 'layer', 'layer', 'maps', 'maps']
        """
        return "latent" if done < self.latent else "layer" if done < self.latent + self.layer else "maps"


def invert_picture(
    generator: Generator,
    picture: Picture,
    *,
    layer: str | None = None,
    features: Features | None = None,
    segmenter: Segmenter | None = None,
    steps: Steps = Steps(),
) -> Inversion:
    """A picture in a generator, of the size that it makes, so that it can be painted on with its units.

    First a latent is fitted, from 0 on, of the kind that the network of `features` sees in the picture, or
    the segmenter (`see_kind`), or that comes nearest in a few steps; then the units of `layer`, from what the
    latent gives; then maps added at the ends of later stages, before they are rectified. `layer` ends a stage
    (`find_stages`), by default the last with at most half of the picture's rows. Pictures are compared
    by their colors, and by the first layers of a network if `features` are given (`compare_with`).
    `segmenter` says how much of what came out is named as in the picture.

    The same picture, weights and number of threads give the same inversion, whatever the generator's seed.
    Raises `UsageError` for a picture of another size or a layer that ends no stage, `NetworkError` for a
    generator that has no gradients or whose rest cannot be run by itself.
    """
    generator = with_seed(generator, 0)  # its first pictures show how far units go
    picture = np.array(picture)  # what Pillow gives cannot be written to, which torch warns of
    height, width = find_size(generator)
    if picture.shape != (height, width, 3) or picture.dtype != np.uint8:
        seen, wanted = f"{picture.dtype} of shape {picture.shape}", f"uint8 of shape {(height, width, 3)}"
        raise UsageError(f"the picture is {seen}; wanted {wanted}: see `fit_photo`")
    stages = find_stages(generator)
    stage, *later = stages[choose_stage(stages, height, layer) :]
    given = to_colors(picture, generator)
    classifier = None if features is None else features.network
    kind = see_kind(generator, picture, classifier, segmenter)
    total = steps.latent + steps.layer + (steps.maps if later else 0)
    with (
        evaluation(generator),
        torch.no_grad(),
        compare_with(_center(given, generator), features) as compare,
        follow(total, INVERTING, "steps") as work,
    ):

        def loss(images: Tensor) -> Tensor:
            return compare(_center(images.float(), generator))

        kind = _try_kinds(generator, loss, steps) if kind is None else kind
        latent = _fit_latent(generator, kind, loss, steps, work)
        inputs = join_inputs(generator, latent, kind)
        with replay(generator, stage.layer) as rest:
            generated, first = rest.start(inputs)
            fitted = _fit_layer(rest, stage, generated, loss, steps, work)
            second = rest.finish(fitted)
            maps, last = _fit_maps(generator, rest, later, fitted, loss, steps, work)
    names = ["latent", stage.layer, *(["maps"] if later else [])]
    made = [to_pixels(one, generator.low, generator.high)[0] for one in (first, second, last)]
    return Inversion(
        key=name_inversion(generator, picture, stage.layer, features, segmenter, steps),
        generator=generator.name,
        digest=generator.digest,
        picture=picture,
        latent=latent,
        kind=kind,
        layer=stage.layer,
        generated=generated,
        fitted=fitted,
        maps=maps,
        residual=given - last.float(),
        fits=[
            compare_pictures(name, one, picture, segmenter) for name, one in zip(names, made, strict=False)
        ],
        kind_name="" if kind is None else generator.kinds[kind],
    )


def find_size(generator: Generator) -> tuple[int, int]:
    """Height and width of what a generator makes."""
    height, width = generator.generate(0, 1).shape[1:3]
    return int(height), int(width)


def name_inversion(
    generator: Generator,
    picture: UInt8[np.ndarray, "y x 3"],
    layer: str | None = None,
    features: Features | None = None,
    segmenter: Segmenter | None = None,
    steps: Steps = Steps(),
) -> str:
    """The key of an inversion, by all that decides it but the rounding of processors."""
    layer = layer or choose_layer(generator)
    seen = None if features is None else (features.network.digest, features.layers)
    judge = None if segmenter is None else segmenter.digest
    facts = f"{generator.digest} {picture.shape} {layer} {seen} {judge} {steps} {__version__}"
    return hashlib.sha256(facts.encode() + picture.tobytes()).hexdigest()[:16]


def choose_layer(generator: Generator) -> str:
    """The layer that a picture is brought into if none is named. Raises what `find_stages` raises."""
    stages = find_stages(generator)
    return stages[choose_stage(stages, find_size(generator)[0])].layer


def to_colors(picture: UInt8[np.ndarray, "y x 3"], generator: Generator) -> Float32[Tensor, "1 3 y x"]:
    """The picture in the numbers that the generator makes."""
    pixels = torch.from_numpy(np.array(picture)).to(generator.device).permute(2, 0, 1)[None]
    colors = pixels.float() * ((generator.high - generator.low) / 255) + generator.low
    return colors.contiguous(memory_format=torch.channels_last)


def _center(images: Tensor, generator: Generator) -> Tensor:
    """Colors from -1 to 1."""
    if (generator.low, generator.high) == (-1.0, 1.0):
        return images
    return (images - generator.low) * (2 / (generator.high - generator.low)) - 1


def join_inputs(generator: Generator, latents: Tensor, kind: int | None) -> tuple[Tensor, ...]:
    """What the generator is called with for latents of one kind."""
    latents = latents.to(generator.device, generator.dtype)
    number_images(latents, [0] * len(latents))
    if kind is None:
        return (latents,)
    return latents, torch.full((len(latents),), kind, device=generator.device)


def _try_kinds(generator: Generator, loss: Loss, steps: Steps) -> int | None:
    """The kind whose latent comes nearest to the picture in a few steps; None where there are no kinds."""
    count, losses = len(generator.kinds), []
    if count < 2:
        return 0 if count else None
    for start in range(0, count, BLOCK):
        numbers = torch.arange(start, min(start + BLOCK, count), device=generator.device)
        latents = torch.zeros(len(numbers), *generator.latent, device=generator.device).requires_grad_()
        run = partial(_run_kinds, generator, latents, numbers, loss)
        _descend([latents], steps.latent_rate, run, _TRIAL)
        losses.append(run())
    return int(torch.cat(losses).argmin())


def _run_kinds(generator: Generator, latents: Tensor, numbers: Tensor, loss: Loss) -> Tensor:
    return loss(generator.run((latents.to(generator.dtype), numbers)))


def _descend(
    variables: Sequence[Tensor],
    rate: float,
    loss: Callable[[], Tensor],
    steps: int,
    work: Follower | None = None,
    limit: Callable[[], object] | None = None,
) -> None:
    """Moves the variables down the loss by Adam, within what `limit` leaves them."""
    adam = torch.optim.Adam(variables, lr=rate)
    for _ in range(steps):
        with torch.enable_grad():
            found = loss().sum()
            if not found.requires_grad:
                raise NetworkError("no gradient comes back through the generator, so nothing can be fitted")
            gradients = torch.autograd.grad(found, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.grad = gradient
        adam.step()
        if limit is not None:
            limit()
        if work is not None:
            work.update()


def _fit_latent(
    generator: Generator, kind: int | None, loss: Loss, steps: Steps, work: Follower
) -> Float32[Tensor, "1 ..."]:
    latent = torch.zeros(1, *generator.latent, device=generator.device).requires_grad_()
    _descend(
        [latent],
        steps.latent_rate,
        lambda: loss(generator.run(join_inputs(generator, latent, kind))),
        steps.latent,
        work,
    )
    return latent.detach()


def _fit_layer(
    rest: Replay,
    stage: Stage,
    generated: Float32[Tensor, "1 unit cell_y cell_x"],
    loss: Loss,
    steps: Steps,
    work: Follower,
) -> Float32[Tensor, "1 unit cell_y cell_x"]:
    """The units of the layer, moved in steps that are a share of how far each goes; none falls below 0."""
    size, start = _sizes(stage.spread), generated.contiguous(memory_format=torch.channels_last)
    moved = torch.zeros_like(start).requires_grad_()

    def limit() -> None:
        moved.clamp_(min=-start / size)

    _descend(
        [moved],
        steps.layer_rate,
        lambda: loss(rest.finish(start + moved * size)),
        steps.layer,
        work,
        limit if stage.rectified else None,
    )
    fitted = (start + moved * size).detach()
    return (fitted.clamp_min(0) if stage.rectified else fitted).contiguous()


def _fit_maps(
    generator: Generator,
    rest: Replay,
    later: Sequence[Stage],
    fitted: Float32[Tensor, "1 unit cell_y cell_x"],
    loss: Loss,
    steps: Steps,
    work: Follower,
) -> tuple[dict[str, Tensor], Tensor]:
    """The maps by the places where they are added, and what the generator makes with them."""
    sizes = [_sizes(stage.spread_before) for stage in later]
    zeros = [torch.zeros(1, *stage.shape, device=fitted.device) for stage in later]
    moved = [one.contiguous(memory_format=torch.channels_last).requires_grad_() for one in zeros]

    def scale() -> dict[str, Tensor]:
        parts = zip(later, moved, sizes, strict=True)
        return {stage.before: one * size for stage, one, size in parts}

    now = scale()
    with add_maps(generator, now):

        def run() -> Tensor:
            now.update(scale())
            return rest.finish(fitted)

        if later:
            _descend(moved, steps.maps_rate, lambda: loss(run()), steps.maps, work)
        last = run()
    return {place: one.detach().contiguous() for place, one in scale().items()}, last


@contextmanager
def add_maps(generator: Generator, maps: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside the block, what some places give has the map of their name added."""

    def change(place: str, raw: Tensor, layout: Layout) -> Tensor:
        units, others = read_units(raw, layout, place), read_others(raw, layout, place)
        return write_units(raw, units + maps[place].to(units.device), layout, place, others)

    with ExitStack() as hooks:
        for place in maps:
            hooks.enter_context(hook_layer(generator, place, partial(change, place)))
        yield


def _sizes(spread: Float32[Tensor, "unit"]) -> Float32[Tensor, "unit 1 1"]:
    """How far a step of 1 moves a unit; those that stand still move a little, too."""
    return spread.clamp_min(1e-3 * max(float(spread.mean()), 1e-6))[:, None, None]
