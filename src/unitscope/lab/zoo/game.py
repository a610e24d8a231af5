"""How the generator on trial learns: the game of a generator and a critic that sees with the zoo's segmenter.

Both losses compare pairs of a painted and a generated picture of one kind of scene (relativistic pairing,
Jolicoeur-Martineau 2019): the critic's is softplus(D(generated) - D(painted)), the generator's the mirror
image. The critic's slope is penalized at painted and at generated pictures (R1 and R2; Huang et al.,
NeurIPS 2024). That the critic reads the maps of a trained network is Projected GAN's idea (Sauer et al.,
NeurIPS 2021): what is where need not be learned from the game.
"""

import copy
import math
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.zoo import training_steps
from unitscope.lab.zoo.generator import Encoder, GrainGenerator, SeeingCritic
from unitscope.lab.zoo.networks import LATENT
from unitscope.lab.zoo.pictures import Pictures
from unitscope.lab.zoo.recipes import Game, Recipe
from unitscope.lab.zoo.training_steps import draw_batch, half_precision, move_average, take_step
from unitscope.lab.zoo.weights_files import load_zoo_module

PENALTY_EVERY = 2
PENALIZED = 4
"""How many painted pictures, and how many generated ones, a penalty reads."""
STEEP, FLAT, RELAXED = 1.0, 0.2, 4_250
"""The weight of the penalties at the beginning, from step `RELAXED` on, and that step.

Before it, the weight follows half a cosine that would reach `FLAT` with step 14,000, or with the last step of
a shorter training.
"""
SETTLED = 64
"""From how many batches the average's batch normalization takes its means and variances."""

Images = Float32[Tensor, "n 3 y x"]


class GameTrainer:
    """Generator and critic in training; what is kept is the exponential moving average of the generator."""

    def __init__(self, recipe: Recipe, pictures: Pictures, seed: int) -> None:
        game = recipe if isinstance(recipe, Game) else Game(**vars(recipe))
        self.recipe, self.pictures, self.batch, self.seed = game, pictures, recipe.batch, seed
        self.kinds = len(recipe.scenes)
        dtype = torch.bfloat16 if training_steps.HALF else torch.float32
        self.encoder = Encoder(load_zoo_module("segmenter"), dtype)
        self.generator = GrainGenerator(self.kinds, game.norm).to(memory_format=torch.channels_last)
        self.critic = SeeingCritic(self.kinds, spread=game.spread).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator).eval()
        self.modules = {"generator": self.generator, "critic": self.critic, "average": self.average}
        adam: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
        self.optimizers = {
            name: adam(self.modules[name].parameters(), recipe.rate, betas=(0.0, 0.99))
            for name in ("generator", "critic")
        }

    def learn(self, step: int, rate: float) -> dict[str, float]:
        batch = draw_batch(self.pictures, self.batch, self.seed, step)
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        latents = torch.randn(len(batch.kinds), LATENT, generator=rng)
        with half_precision():
            generated = self.generator(latents, batch.kinds).float()
        seen = self.encoder(generated)
        still = [one.detach() for one in seen]
        with half_precision():
            painted = self.critic(batch.images, self.encoder(batch.images), batch.kinds)
            fake = self.critic(generated.detach(), still, batch.kinds)
        game = functional.softplus(fake - painted).mean()
        loss = game
        if step % PENALTY_EVERY == 0:
            steep = self._steepness(batch.images, batch.kinds), self._steepness(generated, batch.kinds)
            loss = game + PENALTY_EVERY * self._weigh_penalty(step) / 2 * (steep[0] + steep[1])
        take_step(self.optimizers["critic"], loss, rate)
        self.critic.requires_grad_(False)
        with half_precision():
            score = self.critic(generated, seen, batch.kinds)
        answer = functional.softplus(painted.detach() - score).mean()
        take_step(self.optimizers["generator"], answer, rate)
        self.critic.requires_grad_(True)
        move_average(self.average, self.generator, step)
        margin = (painted - fake).mean()
        return {"critic": game.item(), "margin": margin.item(), "generator": answer.item()}

    def _weigh_penalty(self, step: int) -> float:
        if step >= RELAXED:
            return FLAT
        return FLAT + (STEEP - FLAT) * (1 + math.cos(math.pi * step / min(self.recipe.steps, 14_000))) / 2

    def _steepness(self, images: Images, kinds: Int64[Tensor, "n"]) -> Tensor:
        """The mean squared gradient of the critic's score at some pictures, through what the encoder sees."""
        images = images.detach()[:PENALIZED].requires_grad_(True)
        with half_precision():
            score = self.critic(images, self.encoder(images), kinds[:PENALIZED])
        (slope,) = torch.autograd.grad(score.sum(), images, create_graph=True)
        return slope.pow(2).sum((1, 2, 3)).mean()

    def result(self) -> nn.Module:
        return settle(self.average, self.kinds, self.batch)


@torch.no_grad()
def settle(network: nn.Module, kinds: int, size: int) -> nn.Module:
    """A copy of a generator whose batch normalization has the means and variances of its own pictures.

    They are taken from batches of `size` pictures, as in training. Those that a moving average of weights
    takes over belong to other weights.
    """
    made = copy.deepcopy(network)
    norms = [part for part in made.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    rng = torch.Generator().manual_seed(kinds)
    for _ in range(SETTLED if norms else 0):
        made(torch.randn(size, LATENT, generator=rng), torch.arange(size) % kinds)
    for norm in norms:
        norm.momentum = 0.1
        cast("Tensor", norm.num_batches_tracked).fill_(SETTLED)
    return made.eval()
