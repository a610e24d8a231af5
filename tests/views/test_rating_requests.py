"""The rating server in process: what it answers and refuses, and that nothing that is sent breaks it."""

import json
import random

import pytest
from starlette.testclient import TestClient

import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.studies.questionnaire import draw_questions
from unitscope.views.rating.booth import open_booth
from unitscope.views.rating.server import MOST_TEXT, make_app

HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def booth(tmp_path_factory):
    source = us.open_source("drawn:count=40,seed=2000,size=64")
    network = us.load_network("zoo:scene-classifier")
    run = us.dissect(network, source, ["layer5"], confidences=Confidences(shifts=0))
    asked = draw_questions(run, units=5, repeats=1, decoys=1, images=3)
    return open_booth(run, source, asked, tmp_path_factory.mktemp("ratings"))


@pytest.fixture(scope="module")
def client(booth):
    with TestClient(make_app(booth), base_url=HOME) as opened:
        yield opened


def post(client, path, value, **headers):
    content = value if isinstance(value, bytes) else json.dumps(value)
    return client.post(path, content=content, headers={"content-type": "application/json", **headers})


def test_the_page_and_its_pictures_are_served(client, booth):
    assert "<noscript>" in client.get("/").text
    for name in ("rating.js", "rating.css", "masks.js", "look.css"):
        assert client.get(f"/assets/{name}").status_code == 200
    state = post(client, "/api/begin", {"name": "Ada"}).json()
    assert (state["place"], state["total"]) == (0, 7)
    # Nothing that gives the answer away.
    assert set(state["question"]) == {"phrase", "category", "color", "mask", "tiles"}
    picture = client.get(f"/api/pictures/{state['question']['tiles'][0]['picture']}.jpg")
    assert picture.content[:2] == b"\xff\xd8"
    assert client.get("/api/pictures/99999.jpg").status_code == 404
    assert client.get("/assets/../server.py").status_code == 404


def test_an_answer_counts_once_and_out_of_turn_not_at_all(client):
    assert post(client, "/api/answer", {"name": "Bea", "place": 0, "answer": "yes"}).json()["place"] == 1
    assert post(client, "/api/answer", {"name": "Bea", "place": 0, "answer": "yes"}).json()["place"] == 1
    assert post(client, "/api/answer", {"name": "Bea", "place": 0, "answer": "no"}).status_code == 409
    assert post(client, "/api/answer", {"name": "Bea", "place": 5, "answer": "no"}).status_code == 409
    assert post(client, "/api/undo", {"name": "Bea", "place": 1}).json()["place"] == 0
    assert post(client, "/api/undo", {"name": "Bea", "place": 1}).json()["place"] == 0
    assert post(client, "/api/undo", {"name": "Bea", "place": 0}).status_code == 409


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/api/begin", {"name": ""}, {}, 400),
        ("/api/begin", {"name": "x" * 41}, {}, 400),
        ("/api/begin", {"name": "a", "more": 1}, {}, 400),
        ("/api/begin", b"[" * 3000, {}, 400),
        ("/api/begin", b"x" * (MOST_TEXT + 1), {}, 413),
        ("/api/begin", {"name": "a"}, {"content-type": "text/plain"}, 415),
        ("/api/begin", {"name": "a"}, {"host": "elsewhere.org"}, 421),
        ("/api/begin", {"name": "a"}, {"origin": "https://elsewhere.org"}, 403),
        ("/api/answer", {"name": "a", "place": True, "answer": "yes"}, {}, 400),
        ("/api/answer", {"name": "a", "place": -1, "answer": "yes"}, {}, 400),
        ("/api/answer", {"name": "a", "place": 0, "answer": "maybe"}, {}, 400),
        ("/api/answer", {"name": "a", "place": 0, "answer": ["yes"]}, {}, 400),
        ("/api/begin?name=a", {"name": "a"}, {}, 400),
    ],
)
def test_what_is_refused(client, path, body, headers, status):
    answer = post(client, path, body, **headers)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_nothing_that_is_sent_breaks_it(client):
    dice = random.Random(0)
    values = [None, True, 0, 1, -1, 10**30, 1.5, "", "Ada", "=1+1", "\u202e", "yes", "no", [], {}, ["x"] * 9]
    for _ in range(600):
        path = dice.choice(["/api/begin", "/api/answer", "/api/undo", "/api/pictures/0.jpg", "/assets/x"])
        keys = dice.sample(["name", "place", "answer", "extra"], dice.randint(0, 4))
        body = json.dumps({key: dice.choice(values) for key in keys}).encode()
        if dice.random() < 0.3:
            place = dice.randrange(len(body))
            body = body[:place] + bytes([dice.randrange(256)]) + body[place + 1 :]
        answer = post(client, path, body)
        assert answer.status_code < 500
