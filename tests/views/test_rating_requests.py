"""The rating server in process: what it keeps, what it refuses, and that nothing that is sent breaks it."""

import json
import random

import pytest
from made_dissection import MadeSource, made_dissection
from starlette.testclient import TestClient
from test_app_requests import BODIES, METHODS, NAMES, ODD, VALUES, WRONG, mutate

from unitscope.experiments.questionnaire import draw_questions
from unitscope.experiments.ratings import load_ratings
from unitscope.views.rating.rating_session import open_session
from unitscope.views.rating.server import make_app

HOME = "http://127.0.0.1"


@pytest.fixture
def booth(tmp_path):
    run = made_dissection()
    return open_session(run, MadeSource(), draw_questions(run), tmp_path)


@pytest.fixture
def client(booth):
    with TestClient(make_app(booth), base_url=HOME) as opened:
        yield opened


def post(client, path, value, **options):
    body = value if isinstance(value, bytes) else json.dumps(value)
    return client.post(path, content=body, headers={"content-type": "application/json", **options})


def test_the_page_gets_what_it_asks_for(client, booth):
    assert "Does the phrase fit?" in client.get("/").text
    for name in ("rating.js", "rating.css", "rating.svg", "look.css", "masks.js"):
        assert client.get(f"/assets/{name}").status_code == 200
    told = post(client, "/api/begin", {"name": " Ada  L "}).json()
    assert (told["name"], told["place"], told["total"]) == ("Ada L", 0, 48)
    assert set(told["question"]) == {"phrase", "category", "color", "mask", "tiles"}
    picture = told["question"]["tiles"][0]["picture"]
    assert client.get(f"/api/pictures/{picture}.jpg").content.startswith(b"\xff\xd8")
    assert not booth.ledger.path.exists()


def test_answers_go_one_by_one_and_can_be_sent_twice(client, booth, tmp_path):
    def answer(place, word):
        return post(client, "/api/answer", {"name": "Ada", "place": place, "answer": word})

    assert answer(0, "yes").json()["place"] == 1
    assert answer(0, "yes").json()["place"] == 1
    assert answer(0, "no").status_code == 409
    assert answer(2, "no").status_code == 409
    assert answer(1, "no").json()["place"] == 2
    undo = {"name": "Ada", "place": 2}
    assert post(client, "/api/undo", undo).json()["place"] == 1
    assert post(client, "/api/undo", undo).json()["place"] == 1
    assert post(client, "/api/undo", {"name": "Bob", "place": 0}).status_code == 409
    for place in range(1, 48):
        last = answer(place, "yes")
    assert last.json()["question"] is None
    assert answer(48, "yes").status_code in (400, 409)
    assert len(load_ratings(tmp_path)[1]["Ada"]) == 48


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-length": "99999999"}, 413),
    ],
)
def test_no_other_site_acts_and_nothing_large_is_read(client, headers, status):
    answer = post(client, "/api/begin", {"name": "Ada"}, **headers)
    assert answer.status_code == status
    assert "\n" not in answer.json()["error"]
    assert post(client, "/api/begin", b" " * 5000).status_code == 413


def test_nothing_that_is_sent_breaks_the_server(client, booth):
    rng, seen = random.Random(0), {}
    paths = ["/api/begin", "/api/answer", "/api/undo"]
    names = ["Ada", "=1+1", "<img src=x onerror=alert(1)>", "a\nb", "'", '"', *ODD]
    for _ in range(600):
        value = {"name": "Ada" if rng.random() < 0.4 else rng.choice(names)}
        path = rng.choice([*3 * paths, *WRONG, *BODIES, "/", "/api/pictures/9.jpg"])
        valid = rng.random() < 0.2
        if path != "/api/begin":
            value |= {"place": 0 if valid else rng.choice([0, 1, 2, 47, 48, 49, *ODD])}
        if path == "/api/answer":
            value |= {"answer": rng.choice(["yes", "no", *ODD])}
        if rng.random() < 0.3:
            value = mutate(rng, value)
        body = rng.choice([b"[" * 3000, b"\xff", b"{", b"NaN"]) if rng.random() < 0.1 else value
        body = body if isinstance(body, bytes) else json.dumps(body).encode("utf-8", "replace")
        headers = {"content-type": "application/json"}
        if rng.random() < 0.1:
            headers[rng.choice(NAMES)] = rng.choice(VALUES)
        method = "POST" if rng.random() < 0.8 else rng.choice(METHODS)
        answer = client.request(method, HOME + path, content=body, headers=headers)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (method, path, answer.text)
    assert seen[200] > 20
    booth.ledger.read()
