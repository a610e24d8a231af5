"""The study of words, over few scenes and with a text model that sees the means of colors only."""

import csv
import re

import numpy as np
import pytest

from unitscope.lab.studies import words_finding
from unitscope.lab.studies.trained_groups import Setting
from unitscope.lab.studies.word_names import IOU, METHODS, WAYS, Named, name_method
from unitscope.lab.studies.words_finding import judge_study, study_words
from unitscope.lab.world import open_drawn


class Blocks:
    """Embeds pictures by the means of 4 x 4 blocks, and every word somewhere."""

    name = "blocks"

    def embed_images(self, images):
        n, y, x, _ = images.shape
        means = images.reshape(n, 4, y // 4, 4, x // 4, 3).mean((2, 4)).reshape(n, -1)
        return self.place(means - 110)

    def embed_texts(self, texts):
        return self.place(np.stack([np.random.default_rng(len(text)).normal(size=48) for text in texts]))

    def place(self, values):
        return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_a_quick_study_counts_all_kinds_and_methods(tmp_path, monkeypatch):
    monkeypatch.setattr(words_finding, "open_drawn", lambda count, *_, **__: open_drawn(40, 5000, 64))
    found = study_words(Setting(tmp_path, quick=True), Blocks())
    assert found.quick
    folder = found.save(tmp_path / "words")
    rows = list(csv.DictReader((folder / "names.csv").read_text().splitlines()))
    methods = [name_method(*method) for method in METHODS]
    kinds = ["output units", "layer5", *(f"planted, {way}" for way in WAYS)]
    assert {(row["kind"], row["method"]) for row in rows} == {
        (kind, method) for kind in kinds for method in (*methods, IOU) if (kind, method) != ("layer5", IOU)
    }
    pure = next(row for row in rows if (row["kind"], row["method"]) == ("planted, pure", IOU))
    assert int(pure["right"]) > 0.5 * int(pure["units"])
    assert all(int(row["sure_right"]) <= int(row["right"]) <= int(row["named"]) for row in rows)
    figure = found.page(tmp_path / "page").read_text()
    assert not re.search(r"\bnan\b", figure)
    assert "**replicates**" not in found.spell()


def make_rows(right, low):
    """Two seeds of output units of two methods."""
    return [
        Named("output units", method, seed, 24, 24, right[method] + seed, 3, 3, low, 0.0)
        for method in right
        for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("right", "low", "verdicts"),
    [
        ({"soft-wpmi": 20, "cosine": 4}, 0.04, ["replicates", "replicates"]),
        ({"soft-wpmi": 4, "cosine": 20}, 0.09, ["does not replicate at this scale"] * 2),
    ],
)
def test_verdicts_follow_the_numbers(right, low, verdicts):
    found = judge_study(make_rows(right, low))
    assert [claim.verdict for claim in found.claims] == verdicts
