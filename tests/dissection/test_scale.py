"""What a dissection holds does not grow with its images: measured in a process of its own."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, re, sys, threading
import numpy as np, torch
from torch import nn
from unitscope import Concept, Example, Network, Vocabulary, dissect
from unitscope.dissection.dissect import Confidences
from unitscope.statistics.scan import Machine

WORDS = Vocabulary(tuple(Concept(i, f"concept {i}", "object") for i in range(1, 40)))
DRAWN = np.random.default_rng(0).integers(1, 40, (50, 1, 4, 4)).repeat(6, 2).repeat(6, 3).astype(np.uint16)

class Made:
    vocabulary = WORDS
    def __init__(self, images):
        self.images = images
    def __len__(self):
        return self.images
    def __getitem__(self, number):
        picture = np.zeros((24, 24, 3), np.uint8)
        picture[0, 0] = number % 256, number // 256, 0
        return Example(str(number), picture, DRAWN[number % 50])

class Noise(nn.Module):  # every cell its own value, so that the most must be kept
    def __init__(self):
        super().__init__()
        self.maps = nn.Identity()
        self.register_buffer("noise", torch.randn(200_000, generator=torch.Generator().manual_seed(0)))
    def forward(self, pictures):
        numbers = (pictures[:, :2, 0, 0] * 255).round().long() @ torch.tensor([1, 256])
        starts = (numbers * 7919) % (len(self.noise) - 64 * 49)
        maps = torch.stack([self.noise[start : start + 64 * 49] for start in starts.tolist()])
        return self.maps(maps.view(-1, 64, 7, 7)).sum((2, 3))

def anonymous():
    with open("/proc/self/status") as file:
        return int(re.search(r"RssAnon:\\s+(\\d+) kB", file.read())[1])

def measure(images):
    peak, done = [anonymous()], threading.Event()
    def watch():
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous())
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        dissect(Network(Noise()), Made(images), ["maps"], convention=sys.argv[1], batch_size=32,
                confidences=Confidences(0), machine=Machine(threads=1, memory=128 << 20))
    finally:
        done.set()
        watcher.join()
    return peak[0]

print(json.dumps([measure(images) for images in map(int, sys.argv[2:])]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells the memory of a process apart")
@pytest.mark.parametrize(
    ("convention", "images"), [("netdissect-lite", (2000, 8000)), ("pnas", (1000, 4000))]
)
def test_memory_stays_put_with_four_times_the_images(convention, images):
    words = [sys.executable, "-c", PROGRAM, convention, *map(str, images)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    fewer, more = json.loads(done.stdout)
    assert more < 1.1 * fewer
