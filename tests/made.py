"""Small sources and networks made for the tests, whose every number is known."""

import numpy as np
import torch
from torch import nn

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary
from unitscope.networks.network import Network, Preprocessing

WORDS = Vocabulary(
    (
        Concept(1, "cat", "object"),
        Concept(2, "sky", "object"),
        Concept(3, "ear", "part"),
        Concept(5, "red-c", "color"),
        Concept(6, "blue-c", "color"),
        Concept(9, "street-s", "scene"),
        Concept(11, "never", "object"),
    )
)


class Stored:
    """Examples in a list as a source."""

    def __init__(self, examples, vocabulary=WORDS):
        self.examples = examples
        self.vocabulary = vocabulary

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]


def label_image(rng, mask_size, key="image", size=None, void=True):
    """An example with two object planes that may repeat a concept, colors, a scene and void."""
    height, width = mask_size

    def patches(ids):
        plane = np.zeros(mask_size, np.uint16)
        for _ in range(4):
            y, x = rng.integers(0, height), rng.integers(0, width)
            plane[y : y + rng.integers(1, height), x : x + rng.integers(1, width)] = rng.choice(ids)
        return plane

    planes = np.stack(
        [patches([0, 1, 2]), patches([0, 1, 3]), rng.choice([5, 6], mask_size).astype(np.uint16)]
    )
    planes = planes[: rng.integers(0, 4)]
    ids = (9,) if rng.random() < 0.4 else ()
    ids += (1,) if rng.random() < 0.3 else ()
    unknown = patches([0, 1]).astype(bool) if void and rng.random() < 0.5 else None
    image = rng.integers(0, 256, (*(size or mask_size), 3)).astype(np.uint8)
    return Example(key, image, planes.astype(np.uint16), ids, unknown)


def make_source(images=12, mask_size=(12, 12), size=(24, 24), seed=0, void=True):
    """A source of random labels over noise images."""
    rng = np.random.default_rng(seed)
    return Stored([label_image(rng, mask_size, f"i{k}", size, void) for k in range(images)])


class Lookup(nn.Module):
    """A network whose layer `maps` gives stored activations: the top left pixel says which."""

    def __init__(self, maps):
        super().__init__()
        self.register_buffer("stored", torch.as_tensor(maps))
        self.maps = nn.Identity()

    def forward(self, x):
        number = (x[:, 0, 0, 0] * 255).round().long() + 256 * (x[:, 1, 0, 0] * 255).round().long()
        return self.maps(self.stored[number.clamp(max=len(self.stored) - 1)]).sum((2, 3))


def wire(source, maps):
    """A network that gives maps[i] for example i; the images of the source are marked for it."""
    for number, example in enumerate(source.examples):
        example.image[0, 0, :2] = number % 256, number // 256
    return Network(Lookup(np.asarray(maps, np.float32)), Preprocessing(), name="lookup")


def frame(size, mask_size):
    """The frame that stretches nothing."""
    return Frame(tuple(size), tuple(mask_size))


def valid(example, mask_size):
    """Where the truth of an example is known, at mask size."""
    fitted = frame(example.image.shape[:2], mask_size).fit(example)
    return np.ones(mask_size, bool) if fitted.void is None else ~fitted.void
