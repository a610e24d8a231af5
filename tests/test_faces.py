"""The how-to on a generator of one's own, where that of faces, and photographs of faces, are at hand."""

from importlib.util import find_spec

import numpy as np
import pytest

import unitscope as us
from test_docs import DOCS, read_blocks
from unitscope.concepts.sources import open_concepts
from unitscope.lab.zoo.masked import halve_masked
from unitscope.lab.zoo.parser import grade_parser, save_parser, train_parser


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The file of the page that wraps the generator."""
    if find_spec("gan_face_generate") is None:
        pytest.skip("no generator of faces; pip install --no-deps gan-face-generate==1.1.1")
    blocks = read_blocks(DOCS / "how-to" / "own-generator.md")
    (text,) = (block.text for block in blocks if block.text.startswith("# faces.py"))
    file = tmp_path_factory.mktemp("faces") / "faces.py"
    file.write_text(text, "utf-8")
    return f"{file}:build"


def test_the_page_wraps_the_generator(faces):
    generator = us.load_network(faces)
    assert isinstance(generator, us.Generator)
    images = generator.generate(0, 4)
    assert images.shape == (4, 64, 64, 3)
    assert images.std() > 30
    assert np.array_equal(generator.generate(2, 2), images[2:])
    shapes = {layer.name: layer.shape for layer in us.list_layers(generator)}
    assert [shapes[f"main.{i}"] for i in (2, 5, 8, 11)] == [
        (512, 4, 4),
        (256, 8, 8),
        (128, 16, 16),
        (64, 32, 32),
    ]


def test_few_photographs_teach_a_segmenter_for_it(faces, photographs, tmp_path):
    learned, held_out = halve_masked(open_concepts(f"folder:{photographs / 'fasseg'}"), 0.8)
    made, _ = train_parser(learned, tmp_path / "run", steps=40)
    scores = {score.concept.name: score.iou for score in grade_parser(made, held_out)}
    assert scores["skin"] > 0.5
    save_parser(made, tmp_path / "own.safetensors")
    generator = us.load_network(faces)
    source = us.open_source(f"segmenter:{tmp_path}/own.safetensors,count=32", generator)
    run = us.dissect(generator, source, layers=["main.8"], convention="pnas")
    assert run["main.8"].iou.max() > 0.05
