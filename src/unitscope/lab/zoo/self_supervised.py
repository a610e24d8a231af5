"""What a network can be trained to do without labels: tasks made from the pictures themselves."""

from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from unitscope.lab.zoo.augmentation import look, place_cameras, vary
from unitscope.lab.zoo.tasks import Figures, Reader, Rng, Task, classify, pooled
from unitscope.lab.zoo.training_steps import Batch

ORDERS = tuple(permutations(range(4)))
_MOVES = 3
_EDGES = torch.tensor([-0.4, -0.12, 0.12, 0.4])


class Jigsaw(Task):
    """Four tiles in another order: which order? (Noroozi and Favaro, 2016, with two by two tiles)"""

    def head(self, units: int, dropout: float) -> nn.Module:
        """Reads the means of four tiles, one after the other."""
        return _Together(units, 4, len(ORDERS))

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over the 24 orders; tiles are cut with a gap, so that lines do not go on."""
        images, count, half = batch.images, len(batch.images), batch.images.shape[-1] // 2
        side = half - half // 8
        places = [(y, x) for y in (0, half) for x in (0, half)]
        gaps = rng.integers(0, half - side + 1, (4, 2))
        tiles = torch.stack(
            [
                images[:, :, y + v : y + v + side, x + u : x + u + side]
                for (y, x), (v, u) in zip(places, gaps, strict=True)
            ],
            1,
        )
        wanted = torch.from_numpy(rng.integers(0, len(ORDERS), count))
        order = torch.tensor(ORDERS)[wanted]
        tiles = tiles[torch.arange(count)[:, None], order].flatten(0, 1)
        maps = student.features(tiles)
        return classify(student.head(maps), wanted)


class _Together(nn.Module):
    """A two-layer head over the means of several pictures that belong together."""

    def __init__(self, units: int, pictures: int, answers: int) -> None:
        super().__init__()
        self.pictures = pictures
        self.read = nn.Sequential(nn.Linear(units * pictures, 128), nn.ReLU(), nn.Linear(128, answers))

    def forward(self, maps: Float[Tensor, "m unit y x"]) -> Tensor:
        means = maps.mean((2, 3)).reshape(len(maps) // self.pictures, -1)
        answer: Tensor = self.read(means)
        return answer


class Turns(Task):
    """The picture turned by a quarter, a half, three quarters: by how much? (Gidaris et al., 2018)"""

    answers = 4

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over the four turns."""
        wanted = torch.from_numpy(rng.integers(0, 4, len(batch.images)))
        turned = batch.images.clone()
        for quarter in range(1, 4):
            turned[wanted == quarter] = turned[wanted == quarter].rot90(quarter, (2, 3))
        return classify(student.head(student.features(turned)), wanted)


def oppose(images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n 3 y x"]:
    """Lightness, red against green, yellow against blue."""
    red, green, blue = images.unbind(1)
    return torch.stack([images.mean(1), red - green, (red + green) / 2 - blue], 1)


class Gray(nn.Module):
    """The picture without its colors, three times."""

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n 3 y x"]:
        return images.mean(1, keepdim=True).expand(-1, 3, -1, -1)


class Opposed(nn.Module):
    """The lightness three times, then the two opponent colors and nothing: what two half networks look at."""

    def forward(self, images: Float[Tensor, "n 3 y x"]) -> Float[Tensor, "n 6 y x"]:
        channels = oppose(images)
        light, color = channels[:, :1], channels[:, 1:]
        return torch.cat([light.expand(-1, 3, -1, -1), color, torch.zeros_like(light)], 1)


def _bin(values: Float[Tensor, "n c y x"], cells: int) -> Tensor:
    """The means over `cells` by `cells` regions, in five bins a channel."""
    return torch.bucketize(functional.adaptive_avg_pool2d(values, cells), _EDGES)


class Colorize(Task):
    """The colors of a gray picture (Zhang et al., 2016)."""

    def preprocess(self) -> nn.Module:
        """The picture without its colors."""
        return Gray()

    def head(self, units: int, dropout: float) -> nn.Module:
        """25 colors in each of 16 by 16 regions."""
        return nn.Sequential(nn.Conv2d(units, 100, 1), nn.PixelShuffle(2))

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over 25 bins of color."""
        logits = student.head(student.features(batch.images))
        return classify(logits, name_colors_of(batch.images, logits.shape[-1]))


def name_colors_of(images: Float[Tensor, "n 3 y x"], cells: int) -> Tensor:
    """Which of 25 bins of opponent colors each region has."""
    bins = _bin(oppose(images)[:, 1:], cells)
    return bins[:, 0] * 5 + bins[:, 1]


class CrossChannel(Task):
    """Two half networks: colors from lightness, lightness from colors (Zhang et al., 2017)."""

    split = True
    pictures = 0.5

    def preprocess(self) -> nn.Module:
        """Lightness for one half, colors for the other."""
        return Opposed()

    def head(self, units: int, dropout: float) -> nn.Module:
        """25 colors and 5 levels of lightness in each of 16 by 16 regions."""
        return nn.Sequential(nn.Conv2d(units, 4 * 30, 1, groups=2), nn.PixelShuffle(2))

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """The sum of both cross-entropies."""
        maps = student.features(batch.images)
        half = maps.shape[1] // 2
        nothing = torch.zeros_like(maps[:, :half])
        # Each answer is read from the half that has not seen it.
        by_light = student.head(torch.cat([maps[:, :half], nothing], 1))[:, :15]
        by_color = student.head(torch.cat([nothing, maps[:, half:]], 1))[:, 15:]
        bins = _bin(oppose(batch.images), by_light.shape[-1])
        losses = [
            functional.cross_entropy(by_light[:, :5].float(), bins[:, 1]),
            functional.cross_entropy(by_light[:, 5:10].float(), bins[:, 2]),
            functional.cross_entropy(by_color[:, :5].float(), bins[:, 0]),
        ]
        loss = torch.stack(losses).sum()
        return loss, {"loss": loss.item(), "color": losses[0].item(), "light": losses[2].item()}


class Autoencode(Task):
    """The picture again, through sixteen channels of eight by eight cells."""

    def head(self, units: int, dropout: float) -> nn.Module:
        """A narrow layer and a decoder."""
        return nn.Sequential(
            nn.Conv2d(units, 16, 1),
            *(nn.Conv2d(16, 256, 3, padding=1), nn.ReLU(), nn.PixelShuffle(2)),
            *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.PixelShuffle(2)),
            *(nn.Conv2d(32, 12, 3, padding=1), nn.PixelShuffle(2)),
        )

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """The mean absolute difference."""
        loss = functional.l1_loss(student.head(student.features(batch.images)).float(), batch.images)
        return loss, {"loss": loss.item()}


class Contrast(Task):
    """Two views of a picture are alike, views of others are not (Chen et al., 2020)."""

    pictures = 0.75
    warmth = 0.2

    def head(self, units: int, dropout: float) -> nn.Module:
        """A two-layer projection."""
        return nn.Sequential(*pooled(units, 128)[:-1], nn.Linear(units, 128), nn.ReLU(), nn.Linear(128, 64))

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy of finding the other view among all."""
        views = torch.cat([vary(rng, batch.images, 0.4), vary(rng, batch.images, 0.4)])
        codes = functional.normalize(student.head(student.features(views)).float())
        alike = codes @ codes.T / self.warmth
        count = len(batch.images)
        alike.fill_diagonal_(-1e4)
        return classify(alike, torch.arange(2 * count).roll(count))


class FrameOrder(Task):
    """Three frames of a clip: in their order, or not? (Misra et al., 2016)

    A clip is a camera that moves on over a still picture; played backwards it is in order too.
    """

    pictures = 0.5

    def head(self, units: int, dropout: float) -> nn.Module:
        """Reads the means of three frames."""
        return _Together(units, 3, 2)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over in order and not."""
        count = len(batch.images)
        start = place_cameras(rng, count, 0.5, 0.75)
        x, y = rng.uniform(-0.3, 0.3, count), rng.uniform(-0.3, 0.3, count)
        zoom = np.exp(rng.uniform(-0.2, 0.2, count))
        frames = [look(batch.images, start.moved(x * t, y * t, zoom**t)) for t in (-1, 0, 1)]
        wanted = torch.from_numpy(rng.integers(0, 2, count))
        shuffled = wanted[:, None, None, None] == 0
        first, middle, last = frames
        shown = [first, torch.where(shuffled, last, middle), torch.where(shuffled, middle, last)]
        maps = student.features(torch.stack(shown, 1).flatten(0, 1))
        return classify(student.head(maps), wanted)


class Egomotion(Task):
    """Two frames of a clip: where did the camera go? (Agrawal et al., 2015)"""

    pictures = 0.5

    def head(self, units: int, dropout: float) -> nn.Module:
        """Reads the means of two frames: three moves across, three up and down, three of the zoom."""
        return _Together(units, 2, _MOVES**3)

    def find_loss(self, student: Reader, batch: Batch, rng: Rng) -> tuple[Tensor, Figures]:
        """Cross-entropy over 27 movements."""
        count = len(batch.images)
        moves = rng.integers(0, _MOVES, (3, count))
        x, y, zoom = (moves - 1) * np.array([[0.25], [0.25], [0.25]])
        start = place_cameras(rng, count, 0.5, 0.75)
        frames = [look(batch.images, start), look(batch.images, start.moved(x, y, np.exp(zoom)))]
        maps = student.features(torch.stack(frames, 1).flatten(0, 1))
        wanted = torch.from_numpy(moves[0] * 9 + moves[1] * 3 + moves[2])
        return classify(student.head(maps), wanted)
