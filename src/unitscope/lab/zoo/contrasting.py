"""How the two towers are taught: each picture of a batch finds its text, and each text its picture.

The loss is CLIP's, the symmetric InfoNCE (Radford et al., "Learning transferable visual models from natural
language supervision", 2021, section 2.3), for a sentence, a phrase and two bare words about every picture.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unitscope.lab.zoo.pictures import Pictures
from unitscope.lab.zoo.recipes import Recipe
from unitscope.lab.zoo.texts import Writer, find_facts, read_texts
from unitscope.lab.zoo.towers import Towers
from unitscope.lab.zoo.training_steps import Batch, NetworkTrainer, draw_batch, half_precision

KINDS = ("sentence", "phrase", "word", "word")
"""The texts about each picture of a batch; those of one kind are contrasted with each other."""

STEEPEST = math.log(100)
"""The scale of cosines stays below 100, as in CLIP."""


class TowersTrainer(NetworkTrainer):
    """Both towers, over texts that are written anew in every step; the moving average is kept."""

    def __init__(self, recipe: Recipe, pictures: Pictures, seed: int) -> None:
        self.towers = Towers()
        super().__init__(self.towers, recipe.rate, 1e-2, averaged=True)
        self.pictures, self.batch, self.seed = pictures, recipe.batch, seed

    def find_loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The mean loss over the kinds of texts; the share of sentences that their pictures find."""
        batch = draw_batch(self.pictures, self.batch, self.seed, step)
        with half_precision():
            images = self.towers(batch.images)
        scale = self.towers.scale.clamp(max=STEEPEST).exp()
        losses, found = [], []
        for places in self._write(batch, step):
            loss, right = contrast(scale * images @ self.towers.text(places).T, places)
            losses.append(loss)
            found.append(right)
        loss = torch.stack(losses).mean()
        return loss, {"loss": loss.item(), "sentences": found[0], "words": found[-1], "scale": scale.item()}

    def _write(self, batch: Batch, step: int) -> list[Int64[Tensor, "n word"]]:
        pictures = ((batch.images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        facts = find_facts(pictures, batch.labels.numpy(), batch.kinds.numpy())
        writer = Writer(np.random.default_rng((self.seed, step, 1)), facts)
        return [torch.from_numpy(read_texts(writer.write(kind))) for kind in KINDS]


def contrast(logits: Float[Tensor, "image text"], places: Int64[Tensor, "text word"]) -> tuple[Tensor, float]:
    """The loss of logits in whose diagonal pictures meet their texts, and the share of pictures that find it.

    The mean of two cross-entropies, over the texts of a picture and over the pictures of a text. Texts that
    say the same count as right together: their share of the target is equal.

    >>> loss, right = contrast(20 * torch.eye(3), torch.tensor([[1, 2], [1, 0], [3, 0]]))
    >>> bool(loss < 1e-6), right
    (True, 1.0)
    """
    same = (places[:, None] == places[None]).all(2)
    wanted = same.to(logits) / same.sum(1, keepdim=True)
    towards = [-(wanted * side.log_softmax(1)).sum(1).mean() for side in (logits, logits.T)]
    right = same.gather(1, logits.argmax(1, keepdim=True)).float().mean().item()
    return (towards[0] + towards[1]) / 2, right
