"""The towers of pictures and texts: what is written is true, what is read is known, what ships can tell."""

import hashlib
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import unitscope as us
from unitscope.concepts.union.colors import name_colors
from unitscope.errors import NetworkError, UsageError
from unitscope.lab.world.names import SCENES, drawn_vocabulary
from unitscope.lab.zoo import weights_files
from unitscope.lab.zoo.captioned import load_captioned
from unitscope.lab.zoo.captioned_measures import measure_retrieval, measure_scenes, measure_words, read_facts
from unitscope.lab.zoo.cards import grade_zoo
from unitscope.lab.zoo.contrasting import contrast
from unitscope.lab.zoo.pictures import PLANES, PictureSet, paint_pictures
from unitscope.lab.zoo.texts import (
    COUNT,
    JOINTS,
    NAMES,
    OWN,
    SEEN,
    SILENT,
    UNSEEN,
    WORDS,
    Writer,
    find_facts,
    find_places,
    read_texts,
)
from unitscope.lab.zoo.weights_files import save_weights

HELD_OUT = PictureSet(SCENES, 240, 3000)


@pytest.fixture(scope="module")
def model():
    return load_captioned()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return paint_pictures(HELD_OUT, tmp_path_factory.mktemp("held-out"))


@pytest.fixture(scope="module")
def facts(pictures):
    return read_facts(pictures)


@pytest.fixture(scope="module")
def embedded(model, pictures):
    return model.embed_images(pictures.images)


def words_of(text):
    """The names in a text, from its places."""
    return [(*WORDS, *JOINTS)[place - 1] for place in find_places(text)[0]]


# What is read


def test_every_name_of_the_drawn_world_is_a_word_but_for_those_too_small_to_be_seen():
    concepts = {concept.name.removesuffix("-s").removesuffix("-c") for concept in drawn_vocabulary()}
    assert {word.replace("_", " ") for word in WORDS} == {
        name.replace("_", " ") for name in concepts - set(UNSEEN)
    }
    assert len(set(WORDS)) == len(WORDS)
    assert not set(WORDS) & {*JOINTS, *SILENT}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_read_as_itself_however_it_is_joined(word):
    assert words_of(word) == [word]
    for joint in " _-":
        assert words_of(f"The {word.replace('_', joint).replace(' ', joint).upper()}!") == [word]


@settings(max_examples=80)
@given(st.lists(st.sampled_from([*WORDS, *JOINTS, *SILENT]), max_size=9), st.sampled_from([" ", "  ", ", "]))
def test_texts_are_read_from_left_to_right_the_longest_names_first(words, between):
    spelled = between.join(words).replace("_", " ").replace("-", " ").replace(",", " ").split()
    names = {tuple(name.replace("_", " ").replace("-", " ").split()): name for name in (*WORDS, *JOINTS)}
    wanted = []
    while spelled:
        known = [name for length in (3, 2, 1) if (name := names.get(tuple(spelled[:length])))]
        wanted += known[:1]
        spelled = spelled[len(known[0].replace("_", " ").replace("-", " ").split()) if known else 1 :]
    assert words_of(between.join(words)) == wanted


def test_unknown_words_are_named_with_what_is_near(model):
    with pytest.raises(
        UsageError, match=r"does not know 'tre' \(near names: tree, street\); say it with the"
    ):
        model.embed_texts(["a tre"])
    with pytest.raises(UsageError, match=r"'railway' \(near names: rail, railway_station\)"):
        model.embed_texts(["sky", "railway"])
    many = [f"{letter}{number}" for letter in "qx" for number in range(50_000)]
    with pytest.raises(UsageError, match="'q0', 'q1', 'q2', 'q3', 'q4' and 99995 more words"):
        model.embed_texts(many)
    with pytest.raises(UsageError, match="does not know 'hand'"):
        model.embed_texts(UNSEEN)


@pytest.mark.parametrize("text", ["", " ", "...", "a photo of the", "with and in"])
def test_a_text_that_says_nothing_is_refused(text, model):
    with pytest.raises(UsageError, match="says nothing; wanted a word such as tree"):
        model.embed_texts(["sky", text])


# What is written


def count_pixels(pictures, row, category, name):
    """The share of the pixels of a picture that have a name, one by one."""
    if category == "scene":
        return float(SCENES[pictures.kinds[row]] == name)
    place = NAMES[category].index(name) + 1
    if category == "color":
        return float((name_colors(pictures.images[row]) == place).mean())
    return float((pictures.labels[row, PLANES.index(category)] == place).mean())


def test_facts_are_those_of_the_pixels(pictures, facts):
    for row in (0, 7, 41):
        objects = pictures.labels[row, 0]
        for category, names in NAMES.items():
            assert facts.shares[category].shape == (240, len(names))
            for place, name in enumerate(names):
                share = facts.shares[category][row, place]
                assert share == pytest.approx(count_pixels(pictures, row, category, name))
        for category in ("part", "material", "texture", "color"):
            colors = name_colors(pictures.images[row])
            plane = colors if category == "color" else pictures.labels[row, PLANES.index(category)]
            for one in np.unique(objects[objects > 0]):
                own = facts.owned[category][row, one - 1]
                wanted = [(plane[objects == one] == place + 1).mean() for place in range(len(own))]
                np.testing.assert_allclose(own, wanted)


def test_facts_do_not_depend_on_how_pictures_are_parted(pictures, facts):
    one = find_facts(pictures.images[30:33], pictures.labels[30:33], pictures.kinds[30:33])
    for category in NAMES:
        np.testing.assert_array_equal(one.shares[category], facts.shares[category][30:33])


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from(["word", "phrase", "sentence"]))
def test_all_that_is_written_is_true_and_can_be_read(pictures, facts, seed, kind):
    written = Writer(np.random.default_rng(seed), facts).write(kind)
    assert written == Writer(np.random.default_rng(seed), facts).write(kind)
    read_texts(written)
    for row in range(0, 240, 9):
        names = [name for name in words_of(written[row]) if name not in JOINTS]
        assert names
        assert kind != "word" or len(names) == 1
        assert kind != "sentence" or SCENES[pictures.kinds[row]] in names
        for name in names:
            found = [category for category in NAMES if name in NAMES[category]]
            # What only an object has may cover less than what is told by itself.
            least = {category: min(SEEN.get(category, 1), SEEN["object"] * OWN) for category in found}
            assert any(count_pixels(pictures, row, one, name) >= least[one] for one in found), written[row]


# How it is learned


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_the_loss_is_that_of_clip_with_equal_texts_counted_together(seed, count):
    rng = np.random.default_rng(seed)
    logits = 5 * rng.standard_normal((count, count))
    said = rng.integers(1, 4, (count, 1))
    loss, right = contrast(torch.from_numpy(logits), torch.from_numpy(said))
    total, found = 0.0, 0
    for table in (logits, logits.T):
        for one in range(count):
            chances = np.exp(table[one]) / np.exp(table[one]).sum()
            same = [other for other in range(count) if said[other, 0] == said[one, 0]]
            total -= float(sum(np.log(chances[other]) for other in same)) / len(same) / count / 2
    for one in range(count):
        found += int(said[int(logits[one].argmax()), 0] == said[one, 0])
    assert float(loss) == pytest.approx(total, rel=1e-9)
    assert right == pytest.approx(found / count, rel=1e-6)
    if len(set(said[:, 0])) == count:
        wanted = torch.arange(count)
        plain = [torch.nn.functional.cross_entropy(torch.from_numpy(t), wanted) for t in (logits, logits.T)]
        assert float(loss) == pytest.approx(float(sum(plain)) / 2, rel=1e-9)


# What ships


def test_embeddings_have_norm_1_and_do_not_depend_on_their_company(model, pictures, embedded):
    said = ["tree", "a red car in a street", "a park with a brown bench, a tree and grass."]
    written = model.embed_texts(said * 400)
    for found, count in ((embedded, 240), (written, 1200)):
        assert (found.shape, found.dtype) == ((count, 128), np.float32)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for place in (0, 57, 239):
        alone = model.embed_images(pictures.images[place : place + 1])
        np.testing.assert_allclose(alone[0], embedded[place], atol=1e-5)
    for place, text in enumerate(said):
        np.testing.assert_allclose(model.embed_texts([text])[0], written[place], atol=1e-5)
        np.testing.assert_allclose(written[place + 3 * 399], written[place], atol=1e-5)
    assert model.embed_images(pictures.images[:0]).shape == (0, 128)
    assert model.embed_texts([]).shape == (0, 128)


def test_what_leads_up_to_words_changes_nothing(model):
    one, *others = model.embed_texts(["railway_station", "A photo of a railway station.", "Railway-Station"])
    for other in others:
        np.testing.assert_allclose(other, one, atol=1e-6)
    np.testing.assert_allclose(*model.embed_texts(["gray sky", "a grey sky"]), atol=1e-6)
    same, swapped = model.embed_texts(["a red car and a blue house", "a blue car and a red house"])
    assert same @ swapped < 0.98


def test_pictures_of_every_size_are_brought_to_64_pixels(model):
    pictures = [us.open_source(f"drawn:count=6,seed=5,size={size}") for size in (64, 128, 224)]
    small, *others = (model.embed_images(np.stack([one[row].image for row in range(6)])) for one in pictures)
    for other in others:
        cosines = other @ small.T
        assert (cosines.argmax(1) == np.arange(6)).all()
    assert model.embed_images(np.zeros((1, 48, 100, 3), np.uint8)).shape == (1, 128)


def test_sentences_scenes_and_words_are_told_far_above_chance(model, embedded, facts):
    # By chance 1 of 100, 1 of 24, and .5; of a picture's true sentences only one counts.
    assert min(measure_retrieval(model, embedded, facts)) > 0.3
    assert measure_scenes(model, embedded, facts) > 0.75
    words = measure_words(model, embedded, facts)
    least = {"scene": 0.95, "object": 0.85, "part": 0.8, "material": 0.75, "texture": 0.75, "color": 0.75}
    shuffled = measure_words(model, np.random.default_rng(0).permutation(embedded), facts)
    for category, wanted in least.items():
        assert words.mean(category) > wanted
        assert abs(shuffled.mean(category) - 0.5) < 0.1
    tables = words.summarize(), words.tabulate()
    assert [row[0] for row in tables[0].rows] == list(NAMES)
    assert len(tables[1].rows) == sum(row[2] for row in tables[0].rows)
    with pytest.raises(UsageError, match="there are 99 pictures; wanted 100 or more"):
        measure_retrieval(model, embedded[:99], facts)


def test_words_that_few_pictures_show_are_not_measured(model, embedded, facts):
    words = measure_words(model, embedded, facts)
    for category, auroc in words.auroc.items():
        counts = np.rint(words.share[category] * 240)
        assert (np.isnan(auroc) == (np.minimum(counts, 240 - counts) < 10)).all()


def test_a_category_of_which_no_word_is_measured_has_no_mean(model, embedded, pictures):
    some = find_facts(pictures.images[:48], pictures.labels[:48], pictures.kinds[:48])
    words = measure_words(model, embedded[:48], some)
    assert math.isnan(words.mean("scene"))
    assert words.summarize().rows[0][1:3] == (24, 0)
    assert words.summarize().rows[0][-1] == "none"


def test_the_card_has_all_figures_and_words(tmp_path):
    card = grade_zoo("captioned", tmp_path, count=100)
    assert len(card.figures) == 9
    assert card.figures["its sentence among 100, for a picture"] > 0.3
    assert card.figures["AUROC of a bare word, object"] > 0.85
    assert "| object | 66 | " in card.text()
    assert re.search(r"\| tree \| object \| \d+\.\d% \| 0\.\d{3} \|", card.text())
    with pytest.raises(UsageError, match="there are 99 pictures; wanted 100 or more"):
        grade_zoo("captioned", tmp_path, count=99)


def test_the_same_towers_come_back_from_their_file(model, tmp_path, embedded, pictures):
    save_weights(model.towers, tmp_path / "a.safetensors")
    again = load_captioned(weights=tmp_path / "a.safetensors")
    np.testing.assert_array_equal(again.embed_images(pictures.images), embedded)
    np.testing.assert_array_equal(again.embed_texts(WORDS), model.embed_texts(WORDS))
    assert (again.name, again.words) == ("zoo:captioned", WORDS)


def test_a_changed_file_is_refused(monkeypatch):
    monkeypatch.setattr(weights_files, "shipped_digests", lambda: {"captioned.safetensors": "0"})
    with pytest.raises(NetworkError, match="not the file that was shipped"):
        load_captioned()


def test_the_tower_of_pictures_is_a_network_to_be_dissected(model, pictures, embedded):
    network = us.load_network("zoo:captioned")
    shown = {row.name: row.shape for row in us.list_layers(network)}
    assert shown["layer5"] == (192, 8, 8)
    assert {name for name, shape in shown.items() if shape is None} >= {"text", "text.words", "text.cell"}
    with torch.inference_mode():
        found = network.module(network.preprocessing.tensor(np.array(pictures.images[:4])))
    np.testing.assert_allclose(found.numpy(), embedded[:4], atol=1e-5)


def test_the_drawn_world_is_left_where_it_is():
    code = (
        "import sys, unitscope; sys.exit(any(name.startswith('unitscope.lab.zoo') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_words_are_in_the_order_in_which_what_ships_learned_them(model):
    # Where a name of the drawn world comes, goes or moves, the towers are to be trained again.
    assert model.towers.text.words.num_embeddings == COUNT == len(WORDS) + len(JOINTS) + 1
    listed = "\n".join((*WORDS, *JOINTS)).encode()
    assert hashlib.sha256(listed).hexdigest()[:16] == "90a29c689463d974"
