"""The paint server in process: what it answers, what it refuses, and that nothing that is sent breaks it."""

import asyncio
import io
import json
import os
import random
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from generated import PAINTS, planted_studio
from unitscope.concepts.segmented import SegmentedSource
from unitscope.errors import UsageError
from unitscope.interventions import invert_picture, open_studio
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting.edit_lists import describe_painting
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
from unitscope.networks.generators import GeneratedImages, with_seed
from unitscope.views.app.project import open_project
from unitscope.views.app.requests import Guard
from unitscope.views.app.server import make_app
from unitscope.views.app.work_queue import BusyError, RecentValues, WorkQueue

REQUESTS = int(os.environ.get("UNITSCOPE_FUZZ", "1000"))
HOME = "http://127.0.0.1"


@pytest.fixture(scope="module")
def project():
    return open_project(planted_studio(), images=64)


@pytest.fixture(scope="module")
def client(project):
    with TestClient(make_app(project), base_url=HOME) as opened:
        yield opened


@pytest.fixture
def edits(project):
    ball = next(paint.concept for paint in project.paints if paint.concept.name == "ball")
    stroke = Stroke("maps", PAINTS[2], Bitmap(16, 16, (0, 256)), concept=ball)
    return describe_painting(Painting(3, (stroke,)), project.easel)


def post(client, path, value, **options):
    return client.post(path, content=value if isinstance(value, bytes) else json.dumps(value), headers={
        "content-type": "application/json", **options})  # fmt: skip


def read(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_the_page_gets_what_it_asks_for(client, project, edits):
    assert "<canvas" in client.get("/").text
    for name in ("paint.js", "paint.css", "paint.svg"):
        assert client.get(f"/assets/{name}").status_code == 200
    told = client.get("/api/project").json()
    assert told["paints"][0]["layers"][0]["name"] == "maps"
    samples = read(client.get("/api/samples/0.png"))
    assert samples.shape == (16, 16 * told["block"], 3)
    assert np.array_equal(samples[:, :16], project.easel.generator.generate(0, 1)[0])
    assert read(client.get("/api/icons.png")).shape == (64, 64 * len(told["paints"]), 3)
    units = len(told["paints"][0]["layers"][0]["units"])
    assert read(client.get("/api/units/0/0.png")).shape == (64, 64 * units, 3)
    before = read(post(client, "/api/render", {**edits, "strokes": []}))
    assert np.array_equal(before, project.easel.generator.generate(3, 1)[0])
    after = read(post(client, "/api/render", edits))
    assert not np.array_equal(before, after)
    changes = {one["name"]: one for one in post(client, "/api/changes", edits).json()["changes"]}
    assert changes["ball"]["after"] == 256
    assert changes["ball"]["gained"] == sum(changes["ball"]["gained_runs"][1::2])
    assert post(client, "/api/changes", {**edits, "strokes": []}).json()["changes"] == []


def test_a_picture_from_outside_is_painted_like_a_sample(project, edits):
    generator = project.easel.generator
    photo = invert_picture(generator, 255 - generator.generate(5, 1)[0], steps=Steps(1, 5, 1))
    with TestClient(make_app(project.place(photo)), base_url=HOME) as client:
        [told] = client.get("/api/project").json()["photos"]
        assert told["photo"] == photo.key
        assert [row["stage"] for row in told["stages"]] == ["latent", "maps"]
        assert np.array_equal(read(client.get(f"/api/photos/{photo.key}.png")), photo.picture)
        assert client.get("/api/photos/none.png").status_code == 404
        assert told["can"] == photo.verdict.startswith(f"{generator.name} can make")
        on_photo = {**edits, "image": photo.key}
        before = read(post(client, "/api/render", {**on_photo, "strokes": []}))
        assert np.array_equal(before, photo.picture)
        assert not np.array_equal(read(post(client, "/api/render", on_photo)), before)
        assert post(client, "/api/changes", on_photo).json()["changes"]
        answer = post(client, "/api/render", {**edits, "image": "none"})
        assert (answer.status_code, "not open here" in answer.json()["error"]) == (400, True)


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for path in ("/", "/api/project", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nowhere", 404),
        ("/api", 404),
        ("/api/project/", 404),
        ("/api/project?x=1", 400),
        ("/api/samples/99999999999999999999.png", 404),
        ("/api/samples/-1.png", 404),
        ("/api/units/99/0.png", 404),
        ("/api/units/0/9.png", 404),
        ("/assets/none.js", 404),
        ("/assets/..%2f..%2fserver.py", 404),
        ("/assets/%2e%2e/server.py", 404),
        ("/assets/%2fetc%2fpasswd", 404),
        ("/../../../etc/passwd", 404),
        ("/api/render", 405),
    ],
)
def test_unknown_addresses_get_one_line(client, path, status):
    answer = client.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": ""}, 421),
        ({"host": "["}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-length": "99999999"}, 413),
        ({"content-length": "x"}, 413),
    ],
)
def test_no_other_site_acts_and_nothing_large_is_read(client, edits, headers, status):
    answer = post(client, "/api/render", edits, **headers)
    assert answer.status_code == status
    assert "\n" not in answer.json()["error"]


def test_another_site_may_link_to_the_page_but_not_ask_for_more(client):
    headers = {"sec-fetch-site": "cross-site", "referer": "http://elsewhere.example"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.get("/api/project", headers=headers).status_code == 403


def test_a_server_for_others_goes_by_its_addresses(project):
    with TestClient(Guard(make_app(project).app, "0.0.0.0"), base_url=HOME) as client:
        assert client.get("/", headers={"host": "192.168.1.7:8765"}).status_code == 200
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421


def test_a_body_that_is_too_long_or_never_ends_is_not_kept(project, edits):
    def endless():
        while True:
            yield b" " * 65536

    with TestClient(make_app(project, patience=0.2), base_url=HOME) as client:
        kind = {"content-type": "application/json"}
        assert client.post("/api/render", content=endless_once(endless), headers=kind).status_code == 413
        assert post(client, "/api/render", edits).status_code == 200


def endless_once(parts):
    for place, part in enumerate(parts()):
        if place == 40:
            return
        yield part


def test_a_flood_is_slowed_and_then_served_again(project, edits):
    queue = WorkQueue(most=2)
    hold, started = threading.Event(), threading.Event()

    async def flood():
        first = asyncio.create_task(queue.do(lambda: (started.set(), hold.wait(5))))
        second = asyncio.create_task(queue.do(lambda: "second"))
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError):
            await queue.do(lambda: "third")
        hold.set()
        await first
        return await second

    assert asyncio.run(flood()) == "second"
    assert asyncio.run(WorkQueue(most=1).do(lambda: 7)) == 7
    with TestClient(make_app(project, queue=WorkQueue(most=0)), base_url=HOME) as client:
        answer = post(client, "/api/render", edits)
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"


def test_shelves_forget_the_oldest():
    recent, made = RecentValues(2), []
    for key in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(key, lambda key=key: made.append(key) or key) == key
    assert made == ["a", "b", "c", "b"]
    assert len(recent) == 2


def test_projects_that_cannot_be_are_refused(project):
    studio = planted_studio()
    other = with_seed(studio.generator, 4)
    source = SegmentedSource(GeneratedImages(studio.generator, 64), studio.segmenter)
    opened = open_studio(other, studio.run, source)
    assert open_project(opened, images=64).easel.generator.seed == 0
    assert open_project(opened, images=64, seed=9).easel.generator.seed == 9
    with pytest.warns(UserWarning, match="differs"), pytest.raises(UsageError, match="labels"):
        open_studio(studio.generator, studio.run, GeneratedImages(studio.generator, 64))


# --- fuzz -------------------------------------------------------------------------------------------------

ODD = [None, True, -1, 0, 1, 2**63, 10**40, 0.5, -0.0, 1e308, "", "x" * 300, "\u0000", "é\ud83d"]
ODD += [[], {}, [[]], {"a": 1}, ["x"], "mean", "maps", "tree"]
PATHS = ["/", "/api/project", "/api/icons.png", "/api/samples/0.png", "/api/units/0/0.png"]
BODIES = ["/api/render", "/api/changes"]
WRONG = ["/api/samples/x.png", "/api/units/0/zz.png", "/api/units/1e9/0.png", "/favicon.ico", "//", "/%00"]
WRONG += ["/%ff%fe", "/api/samples/1.png/..", "/api/../api/project", "/assets/paint.js/"]
NAMES = ["host", "origin", "sec-fetch-site", "content-type", "content-length", "expect", "accept", "range"]
NAMES += ["transfer-encoding"]
VALUES = ["", "x", "127.0.0.1", "[::1", "http://", "0", "-5", "cross-site", "bytes=0-", "gzip", "a" * 2000]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"]


def mutate(rng, value):
    """The value with a part of it replaced, removed or repeated."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: part for name, part in value.items() if name != key}
        if rng.random() < 0.1:
            return {**value, rng.choice(["", "__proto__", "x"]): 1}
        return {**value, key: mutate(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value * rng.randrange(3) + value[place:]
        return [*value[:place], mutate(rng, value[place]), *value[place + 1 :]]
    return rng.choice(ODD)


def draw_body(rng, edits):
    kind = rng.random()
    if kind < 0.08:
        return rng.randbytes(rng.randrange(300))
    value = json.loads(json.dumps(edits))
    for _ in range(rng.randrange(4)):
        value = mutate(rng, value)
    text = json.dumps(value)
    if kind < 0.2:
        cut = rng.randrange(len(text))
        text = (
            text[:cut] + rng.choice(["", "\\", '"', "]", "}", "NaN", "[" * 5000, "1e999"]) + text[cut + 1 :]
        )
    return text.encode("utf-8", "replace")


def draw_headers(rng):
    headers = {"content-type": "application/json"} if rng.random() < 0.9 else {}
    if rng.random() < 0.1:
        headers[rng.choice(NAMES)] = rng.choice(VALUES)
    return headers


def test_nothing_that_is_sent_breaks_the_server(client, edits):
    rng = random.Random(0)
    seen = {}
    for _ in range(REQUESTS):
        method = "POST" if rng.random() < 0.7 else rng.choice(METHODS)
        path = rng.choice(BODIES if method == "POST" and rng.random() < 0.9 else PATHS + BODIES + WRONG)
        answer = client.request(method, HOME + path, content=draw_body(rng, edits), headers=draw_headers(rng))
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (method, path, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert "\n" not in answer.json()["error"]
    assert seen[200] > REQUESTS // 50
    assert seen[400] > REQUESTS // 50
    assert post(client, "/api/render", edits).status_code == 200
