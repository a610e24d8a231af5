"""Words for units: the whole path against slow twins, costs, chance, what is kept, what is refused."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unitscope as us
from made import Stored
from towers import COLORS, Colors
from unitscope.concepts.vocabulary import Example
from unitscope.dissection.pooling import check_pool
from unitscope.errors import NetworkError, RunError, UsageError
from unitscope.experiments.describing.judging import NONE, judge_words
from unitscope.networks.network import Network
from unitscope.networks.text_models import settle_text_model
from unitscope.statistics.text_scores import DEFAULTS, settle_parameters, text_scores
from unitscope.statistics.word_draws import draw_shifts, pair_truly, redraw_images

SMALL = {"soft-wpmi": {"top_k": 10}, "wpmi": {"top_k": 10}, "rank-reorder": {"top_fraction": 0.2}}
WORDS = ["red", "green", "blue", "white", "red green", "blue white"]
IMAGES = 40


class Counting(nn.Module):
    """Units that answer to red, green, blue, nothing, and both green and blue; counts images."""

    def __init__(self):
        super().__init__()
        self.units = nn.Conv2d(3, 5, 3, padding=1)
        self.images = 0
        with torch.no_grad():
            self.units.weight.zero_()
            self.units.bias.zero_()
            for unit, color in enumerate([(1, -1, -1), (-1, 1, -1), (-1, -1, 1), (0, 0, 0), (-1, 1, 1)]):
                self.units.weight[unit, :, 1, 1] = torch.tensor(color)

    def forward(self, batch):
        self.images += len(batch)
        return self.units(batch)


@pytest.fixture
def network():
    return Network(Counting(), us.Preprocessing((12, 12)))


def make_pictures(count=IMAGES, seed=0, sizes=((12, 12), (16, 10))):
    """Pictures of one of four colors each, of several sizes, with noise."""
    rng = np.random.default_rng(seed)
    colors = np.array(list(COLORS.values()))[rng.integers(0, 4, count)]
    found = []
    for number, color in enumerate(colors):
        noise = rng.integers(-50, 50, (*sizes[number % len(sizes)], 3))
        found.append((60 + color / 2 + noise).astype(np.uint8))
    return found


def describe(network, pictures, text=None, **options):
    return us.describe(network, pictures, ["units"], WORDS, text or Colors(), **{"draws": 20, **options})


def read_slowly(network, pictures):
    """What both networks make of the pictures, one by one."""
    maps = us.read_activations(network, pictures, ["units"]).arrays()["units"]
    colors = Colors()
    images = np.concatenate([colors.embed_images(one[None]) for one in pictures])
    similarity = images.astype(np.float64) @ colors.embed_texts(WORDS).astype(np.float64).T
    return similarity, maps.mean((2, 3), dtype=np.float64).astype(np.float32)


def lift_slowly(similarity, response, method, options):
    """By unit the lift of the best word."""
    scores = text_scores(similarity, response, method, **options)
    best = np.nan_to_num(scores, nan=-np.inf).argmax(1)
    if "wpmi" not in method:
        return scores[np.arange(len(best)), best]
    known = settle_parameters(method, options)
    likely = np.exp(known["a"] * similarity)
    likely /= likely.sum(1, keepdims=True)
    count, found = known["top_k"], []
    for unit, word in enumerate(best):
        images = np.argsort(-response[:, unit], kind="stable")[: int(count)]
        start, end = known.get("p_start", 1), known.get("p_end", 1)
        weights = start - np.arange(count)[:, None] / count * (start - end)
        logs = np.log(1 + weights * (likely[:, word] - 1) + known["min_prob"])
        found.append(sum(logs[rank, image] for rank, image in enumerate(images)) - logs.mean(1).sum())
    return np.array(found)


@pytest.mark.parametrize("method", sorted(DEFAULTS))
def test_every_method_is_its_slow_twin_through_the_whole_path(network, method):
    pictures, options = make_pictures(), SMALL.get(method, {})
    found = describe(network, pictures, method=method, **options)["units"].judged
    similarity, response = read_slowly(network, pictures)
    wanted = text_scores(similarity, response, method, **options)
    assert found.word[3] == NONE
    assert np.isnan(found.score[3])
    null = [
        lift_slowly(similarity, response[pairing.answered], method, options)
        for pairing in [pair_truly(IMAGES), *draw_shifts(IMAGES, 20, 0)]
    ]
    drawn = redraw_images(IMAGES, 20, 1)
    boots = [text_scores(similarity[one.seen], response[one.seen], method, **options) for one in drawn]
    for unit in (0, 1, 2, 4):
        order = np.argsort(-wanted[unit], kind="stable")
        assert (found.word[unit], found.runner_up[unit]) == tuple(order[:2])
        np.testing.assert_allclose(
            [found.score[unit], found.runner_up_score[unit]], wanted[unit][order[:2]], rtol=1e-6
        )
        reached = sum(one[unit] >= null[0][unit] - 1e-12 for one in null)  # the truth reaches itself
        np.testing.assert_allclose(found.p_value[unit], reached / len(null))
        ranks = sorted(1 + int((one[unit] > one[unit][order[0]] + 1e-12).sum()) for one in boots)
        assert ranks[0] <= found.rank_low[unit] <= found.rank_high[unit] <= ranks[-1]
    assert [WORDS[word] for word in found.word[:3]] == ["red", "green", "blue"] or method in (
        "wpmi",
        "cosine",
    )


def test_both_networks_see_every_image_once(network):
    pictures, colors = make_pictures(), Colors()
    before = network.module.images
    describe(network, pictures, colors, top_k=10, batch_size=8)
    assert colors.images == IMAGES
    assert colors.texts == len(WORDS)
    # Besides the pass a few images tell shapes, places and how images are passed.
    read = network.module.images
    assert IMAGES <= read - before <= IMAGES + 16
    us.read_activations(network, pictures, ["units"], batch_size=8).arrays()
    assert read - before <= network.module.images - read + 4


def test_what_is_kept_runs_no_network_again(network, tmp_path):
    source = us.open_source("drawn:count=40,size=32")
    network = Network(network.module, us.Preprocessing((32, 32)))
    first = describe(network, source, colors := Colors(), cache=tmp_path, top_k=10)
    assert len(list(tmp_path.iterdir())) == 3
    seen, texts, images = network.module.images, colors.texts, colors.images
    again = describe(network, source, colors, cache=tmp_path, top_k=10)
    assert again.rows() == first.rows()
    other = describe(network, source, colors, cache=tmp_path, method="cosine")
    assert network.module.images == seen
    assert other.rows() == describe(network, source, method="cosine").rows()
    # What tells the text model from others is one picture and one text a call.
    assert (colors.images - images, colors.texts - texts) == (2, 2)
    words = us.describe(network, source, ["units"], ["red", "blue"], colors, cache=tmp_path, draws=0, top_k=5)
    assert (colors.images - images, len(words.words)) == (3, 2)
    # Other images, weights or ways to pool are other responses.
    pooled = describe(network, source, colors, cache=tmp_path, pool="max", top_k=10)
    assert pooled.rows() == describe(network, source, pool="max", top_k=10).rows()
    with torch.no_grad():
        network.module.units.weight *= -1
    turned = describe(network, source, colors, cache=tmp_path, top_k=10)
    assert turned.rows() == describe(network, source, top_k=10).rows()
    [kept] = [path for path in tmp_path.iterdir() if path.name.startswith("words-images")]
    kept.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"words-images-\w+\.safetensors is damaged; delete it"):
        describe(network, source, colors, cache=tmp_path, top_k=10)


def test_pictures_without_a_digest_are_not_taken_for_others(network, tmp_path):
    source, other = make_pictures(), make_pictures(seed=1)
    other[0], other[-1] = source[0], source[-1]
    describe(network, source, cache=tmp_path, top_k=10)
    found = describe(network, other, cache=tmp_path, top_k=10)
    assert found.rows() == describe(network, other, top_k=10).rows()


@settings(max_examples=12)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(["soft-wpmi", "wpmi", "cosine-cubed"]))
def test_the_order_of_images_and_units_changes_no_name(seed, method):
    images, words, response = make_chance(seed, images=60, units=7)
    options = {} if method == "cosine-cubed" else {"top_k": 9}
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(60), rng.permutation(7)
    one = judge_words(images, words, response, method, options, draws=0)
    other = judge_words(images[rows], words, response[rows][:, columns], method, options, draws=0)
    np.testing.assert_array_equal(one.word[columns], other.word)
    np.testing.assert_allclose(one.score[columns], other.score, rtol=1e-9, atol=1e-12)


def make_chance(seed, images=120, words=30, units=24, width=8):
    """Responses that have nothing to do with the images, but with each other: units come in pairs."""
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((count, width)) + 0.4 for count in (images, words)]
    embedded = [(one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for one in parts]
    half = rng.gamma(0.5, size=(images, units // 2 + units % 2))
    response = np.concatenate([half, half + 0.3 * rng.random(half.shape)], 1)[:, :units]
    return (*embedded, np.maximum(response - 0.3, 0).astype(np.float32))


@pytest.mark.parametrize(
    ("method", "options", "layers"), [("soft-wpmi", {"top_k": 20}, 40), ("cosine-cubed", {}, 20)]
)
def test_p_values_of_unrelated_images_are_uniform(method, options, layers):
    p = np.concatenate(
        [judge_words(*make_chance(seed), method, options, draws=99, seed=seed).p_value for seed in range(40)]
    )
    assert 0.03 < (p < 0.05).mean() < 0.07
    places = np.linspace(0.1, 0.9, 9)
    shares = np.array([(p <= place).mean() for place in places])
    # Units of one layer are not independent: they come in pairs.
    np.testing.assert_allclose(shares, places, atol=0.07)


def test_shuffled_images_name_no_more_units_than_chance(network):
    p, q = [], []
    for seed in range(30):
        pictures = make_pictures(seed=seed)
        images = Colors().embed_images(np.stack([one[:10, :10] for one in pictures]))
        texts = Colors().embed_texts(WORDS)
        _, response = read_slowly(network, pictures)
        shuffled = response[np.random.default_rng(seed).permutation(IMAGES)]
        found = judge_words(images, texts, shuffled, "soft-wpmi", {"top_k": 10}, draws=200, seed=seed)
        p.append(found.p_value)
        q.append(found.q_value)
    assert np.mean(np.concatenate(p) < 0.05) <= 0.08  # 150 units
    assert np.mean([(one < 0.05).any() for one in q]) <= 0.2


def test_a_strong_match_is_found_and_its_rank_is_sure(network):
    found = describe(network, make_pictures(200), draws=200, top_k=20)["units"].judged
    assert (found.q_value[:3] < 0.05).all()
    assert (found.rank_low[:3] == 1).all()
    assert (found.rank_high[:3] <= 2).all()
    assert found.q_value[3] == found.p_value[3] == 1


def test_a_layer_of_one_live_unit_has_no_name_by_what_compares_units():
    images, words, response = make_chance(0)
    alone = judge_words(images, words, response[:, :1], "soft-wpmi", {"top_k": 9}, draws=30)
    assert alone.word.tolist() == [NONE]  # with lam = 1 all words score 0
    assert alone.p_value.tolist() == alone.q_value.tolist() == [1.0]
    assert judge_words(images, words, response[:, :1], "cosine", {}, draws=30).word[0] != NONE
    dead = judge_words(images, words, np.zeros((120, 3), np.float32), "cosine", {}, draws=30)
    assert dead.word.tolist() == [NONE] * 3


def test_dead_units_change_no_other():
    images, words, response = make_chance(3)
    known = judge_words(images, words, response, "soft-wpmi", {"top_k": 9}, draws=30)
    more = np.concatenate([np.zeros((120, 4), np.float32), response], 1)
    found = judge_words(images, words, more, "soft-wpmi", {"top_k": 9}, draws=30)
    np.testing.assert_allclose(found.score[4:], known.score, rtol=1e-12)
    np.testing.assert_array_equal(found.p_value[4:], known.p_value)
    np.testing.assert_array_equal(found.q_value[4:], known.q_value)


def test_without_draws_there_are_no_chances(network):
    found = describe(network, make_pictures(), draws=0, top_k=10)
    row = found.rows()[0]
    assert (row["word"], row["p_value"], row["q_value"], row["rank_low"]) == ("red", None, None, None)
    assert "above chance" not in str(found)


def test_fewer_images_than_draws_are_shifted_as_often_as_they_can(network):
    assert describe(network, make_pictures(12), draws=100, top_k=4)["units"].judged.draws == 11


def test_prompts_are_averaged(network):
    one = describe(network, make_pictures(), prompts=["{}", "a {} picture"], top_k=10)
    assert one.rows() == describe(network, make_pictures(), top_k=10).rows()  # to it they say the same
    two = describe(network, make_pictures(), prompts=["{}", "{} white"], method="cosine")
    colors = Colors()
    parts = [
        colors.embed_texts([prompt.replace("{}", word) for word in WORDS]) for prompt in ("{}", "{} white")
    ]
    mean = np.mean(parts, 0, dtype=np.float64)
    mean = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    pictures = make_pictures()
    images = np.concatenate([colors.embed_images(one[None]) for one in pictures]).astype(np.float64)
    _, response = read_slowly(network, pictures)
    wanted = text_scores(images @ mean.T, response, "cosine")
    np.testing.assert_allclose(two["units"].judged.score[0], wanted[0].max(), rtol=1e-6)


def test_result_has_tables_files_and_words(network, tmp_path):
    found = describe(network, make_pictures(), top_k=10, out=tmp_path / "found")
    rows = found.rows()
    assert [row["word"] for row in rows[:4]] == ["red", "green", "blue", None]
    assert (tmp_path / "found" / "words.csv").read_text().splitlines()[0].startswith("layer,unit,word,score")
    about = json.loads((tmp_path / "found" / "about.json").read_text())
    assert about["parameters"]["top_k"] == 10
    assert about["parameters"]["a"] == 10
    assert about["pooled"] == {"units": "mean of the map"}
    assert found.describe()["layers"][0]["named"] == 4
    printed = str(found)
    assert "units: 5 units, mean of the map" in printed
    assert "1 without a name" in printed
    page = found.page(tmp_path / "page", pictures=make_pictures())
    assert page.read_text().count('<th scope="row">') == 4
    assert len(list((tmp_path / "page" / "pictures").iterdir())) == 4
    assert "<img" not in found.page(tmp_path / "bare").read_text()
    with pytest.raises(UsageError, match="the page was given 3 pictures; give the 40 that were described"):
        found.page(tmp_path / "page", pictures=make_pictures(3))


def test_a_dissection_stands_beside_the_words(network):
    words = us.Vocabulary((us.Concept(1, "red-c", "color"), us.Concept(2, "green-c", "color")))
    pictures = make_pictures(sizes=((12, 12),))
    examples = []
    for number, picture in enumerate(pictures):
        reddest = picture.mean((0, 1))[:2].argmax() + 1
        examples.append(Example(f"{number}", picture, np.full((1, 12, 12), reddest, np.uint16)))
    source = Stored(examples, words)
    run = us.dissect(network, source, ["units"], confidences=us.Confidences(shifts=0))
    found = describe(network, source, run=run, top_k=10)
    rows = found.rows()
    assert (rows[0]["concept"], rows[0]["agrees"]) == ("red", 1)
    assert (rows[2]["word"], rows[2]["agrees"]) == ("blue", 0)
    assert (rows[3]["concept"], rows[3]["agrees"]) == (None, None)
    assert "words are the name that the run gives" in str(found)
    other = Network(Counting(), us.Preprocessing((12, 12)))
    with torch.no_grad():
        other.module.units.weight += 1
    with pytest.raises(UsageError, match="the run is of network with other weights"):
        describe(other, source, run=run, top_k=10)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"words": []}, "the list has no words; give at least two"),
        ({"words": ["", " "]}, "the list has no words"),
        ({"words": ["red", "red", ""]}, "the list has 1 word, 'red'"),
        ({"words": "red"}, "the words are the text 'red'"),
        ({"words": ["red", "dragon"]}, "colors knows no color in 'dragon'"),
        ({"scale_p": 1.0}, "soft-wpmi has no parameter 'scale_p'"),
        ({"top_k": 50}, "top_k is 50, but there are 40 images"),
        ({"pool": "class"}, "layer units of network has no class token"),
        ({"draws": -1}, "draws is -1"),
        ({"seed": -1}, "the seed is -1"),
        ({"prompts": []}, r"the prompts are \[\]"),
        ({"prompts": ["a photo"]}, "the prompt 'a photo' has 0 places for the word"),
        ({"layers": ["unit"]}, "has no layer 'unit'; near names: units"),
        ({"layers": []}, "no layer was named"),
        ({"text": "clip"}, "there is no text model 'clip'"),
    ],
)
def test_bad_input_is_one_line(network, options, told):
    asked = {"layers": ["units"], "words": WORDS, "text": Colors(), "top_k": 10, **options}
    with pytest.raises(UsageError, match=told) as refusal:
        us.describe(network, make_pictures(), **asked)
    assert "\n" not in str(refusal.value)


def test_without_a_list_the_words_are_those_that_the_model_knows(network):
    with pytest.raises(UsageError, match="colors has no list of words of its own; give one, a word a line"):
        us.describe(network, make_pictures(), ["units"], None, Colors(), top_k=10)
    text = Colors()
    text.words = ("red", "green_blue", "white")
    found = us.describe(network, make_pictures(), ["units"], None, text, top_k=10, draws=0)
    assert found.words == ("red", "green blue", "white")


def test_names_that_are_none_are_one_line():
    with pytest.raises(UsageError, match="there is no method 'wpmy'; near names: wpmi"):
        settle_parameters("wpmy", {})
    with pytest.raises(UsageError, match="pool is 'median'; it is one of mean, max, class"):
        check_pool("median")
    with pytest.raises(UsageError, match="the text model is a int; wanted a model with name"):
        settle_text_model(3)


class Wrong(Colors):
    def __init__(self, found):
        super().__init__()
        self.found = found

    def embed_images(self, images):
        return self.found


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (np.ones((1, 3), np.float32), "gave an array of shape"),
        (np.full((8, 3), np.nan, np.float32), "gave an embedding of norm nan"),
        (np.full((8, 3), 2, np.float32), "gave an embedding of norm 3.464"),
    ],
)
def test_a_text_model_that_gives_something_else_is_told(network, found, told):
    pictures = make_pictures(sizes=((12, 12),))
    with pytest.raises(NetworkError, match=told):
        describe(network, pictures, Wrong(found), top_k=10, batch_size=8)


def test_a_hundred_thousand_words_are_scored_in_blocks():
    images, _, response = make_chance(0, images=60, units=6)
    rng = np.random.default_rng(1)
    words = rng.standard_normal((100_000, 8)).astype(np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    found = judge_words(images, words, response, "soft-wpmi", {"top_k": 5}, draws=4, memory=1 << 26)
    similarity = images.astype(np.float64) @ words.astype(np.float64).T
    wanted = text_scores(similarity, response, "soft-wpmi", top_k=5)
    np.testing.assert_allclose(found.score, wanted.max(1), rtol=1e-6)
    np.testing.assert_array_equal(found.word, wanted.argmax(1))
