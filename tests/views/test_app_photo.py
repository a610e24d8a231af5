"""Pictures that visitors open, in process: few are kept, and others cannot ask for them."""

import asyncio
import base64
import io
import json
import os
import random
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from generated import PAINTS, planted_studio
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions import invert_picture
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting.edit_lists import MOST_TEXT, describe_painting, parse_painting
from unitscope.interventions.painting.photos import MOST_BYTES, find_features
from unitscope.interventions.painting.strokes import Bitmap, Painting, Stroke
from unitscope.progress import follow
from unitscope.views.app import album
from unitscope.views.app.album import Album, Opening, weigh
from unitscope.views.app.project import open_project
from unitscope.views.app.server import make_app
from unitscope.views.app.work_queue import BusyError, WorkQueue

REQUESTS = int(os.environ.get("UNITSCOPE_FUZZ", "150"))
HOME = "http://127.0.0.1"
STEPS = Steps(1, 3, 1)


@pytest.fixture(scope="module")
def project():
    return open_project(planted_studio(), images=64)


@pytest.fixture(scope="module")
def client(project):
    with TestClient(make_app(project, steps=STEPS), base_url=HOME) as opened:
        yield opened


@pytest.fixture
def edits(project):
    ball = next(paint.concept for paint in project.paints if paint.concept.name == "ball")
    stroke = Stroke("maps", PAINTS[2], Bitmap(16, 16, (0, 256)), concept=ball)
    return describe_painting(Painting(3, (stroke,)), project.easel)


def file_of(picture, kind="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind)
    return buffer.getvalue()


def some_picture(seed=0, side=16):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def send(client, data, **headers):
    kind = {"content-type": "application/octet-stream"}
    return client.post("/api/photos", content=data, headers={**kind, **headers})


def open_one(client, picture):
    answer = send(client, file_of(picture))
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert {line["stage"] for line in lines[:-1]} <= {"waiting", "start", "latent", "layer", "maps"}
    return lines[-1]["photo"]


def invert_alone(project, picture):
    generator, segmenter = project.easel.generator, project.easel.segmenter
    seen = find_features(segmenter)
    return invert_picture(generator, picture, features=seen, segmenter=segmenter, steps=STEPS)


def post(client, path, value):
    kind = {"content-type": "application/json"}
    return client.post(path, content=json.dumps(value), headers=kind)


def read(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_an_opened_picture_is_painted_on_and_without_a_stroke_is_what_it_was(client, project, edits):
    picture = some_picture()
    told = open_one(client, picture)
    assert [row["stage"] for row in told["stages"]] == ["latent", "maps"]
    assert told["can"] == ("cannot" not in told["verdict"])
    on_it = {**edits, "image": told["photo"]}
    assert np.array_equal(read(post(client, "/api/render", {**on_it, "strokes": []})), picture)
    assert np.array_equal(read(client.get(f"/api/photos/{told['photo']}.png")), picture)
    painted = read(post(client, "/api/render", on_it))
    assert not np.array_equal(painted, picture)
    assert post(client, "/api/changes", on_it).json()["changes"]
    alone = invert_alone(project, picture)
    easel = project.easel.place(alone)
    drawn = parse_painting(json.dumps({**edits, "image": alone.key}), easel)
    assert (told["key"], project.easel.photos) == (alone.key, {})
    assert np.array_equal(painted, easel.show(drawn))


def test_names_are_the_same_again_but_not_to_be_guessed(project, edits):
    told = []
    for _ in range(2):
        with TestClient(make_app(project, steps=STEPS), base_url=HOME) as client:
            first, again = open_one(client, some_picture()), open_one(client, some_picture())
            assert first == again
            assert client.get(f"/api/photos/{first['key']}.png").status_code == 404
            assert post(client, "/api/render", {**edits, "image": first["key"]}).status_code == 400
            assert client.get("/api/project").json()["photos"] == []
            told.append(first)
    assert told[0]["key"] == told[1]["key"]
    assert told[0]["photo"] != told[1]["photo"]
    assert len(told[0]["photo"]) == 32


def test_what_the_server_itself_opened_is_not_inverted_again(project, monkeypatch):
    picture = some_picture(3)
    own = invert_alone(project, picture)
    monkeypatch.setattr(album, "invert_picture", None)
    with TestClient(make_app(project.place(own), steps=STEPS), base_url=HOME) as client:
        assert open_one(client, picture)["key"] == own.key


def test_few_are_kept_and_a_forgotten_one_can_be_opened_again(project, edits):
    with TestClient(make_app(project, steps=STEPS, album=Album(most=2)), base_url=HOME) as client:
        names = [open_one(client, some_picture(seed))["photo"] for seed in range(2)]
        assert post(client, "/api/render", {**edits, "image": names[0]}).status_code == 200
        open_one(client, some_picture(2))
        answers = [post(client, "/api/render", {**edits, "strokes": [], "image": name}) for name in names]
        assert [answer.status_code for answer in answers] == [200, 400]
        assert "not open here" in answers[1].json()["error"]
        assert open_one(client, some_picture(1))["photo"] == names[1]
        assert post(client, "/api/render", {**edits, "image": names[1]}).status_code == 200


def test_an_album_keeps_the_newest_within_its_bytes(project):
    one = invert_picture(project.easel.generator, some_picture(), steps=STEPS)
    kept = Album(most_bytes=2 * weigh(one))
    names = [kept.keep(replace(one, key=key)) for key in "abc"]
    assert list(kept.photos) == names[1:]
    kept.keep(replace(one, key="b"))
    assert list(kept.photos) == [names[2], names[1]]
    tight = Album(most_bytes=1)
    assert [len(tight.photos) for key in "ab" if tight.keep(replace(one, key=key))] == [1, 1]


TEXT = b"just some text, renamed .png"


@pytest.mark.parametrize(
    ("data", "headers", "status", "said"),
    [
        (TEXT, {}, 400, "cannot be read as a picture"),
        (b"", {}, 400, "cannot be read as a picture"),
        (file_of(some_picture(side=8)), {}, 400, "wanted 16 or more"),
        (b"x", {"content-length": str(MOST_BYTES + 1)}, 413, "bytes"),
        (TEXT, {"content-type": "image/png"}, 415, "application/octet-stream"),
        (TEXT, {"origin": "http://evil.example"}, 403, "another site"),
        (TEXT, {"sec-fetch-site": "cross-site"}, 403, "another site"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(client, data, headers, status, said):
    answer = send(client, data, **headers)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


def test_a_generator_that_fails_is_told_in_the_last_line(project, monkeypatch):
    def fail(*_args, **_options):
        raise NetworkError("it broke\nin two lines")

    monkeypatch.setattr(album, "invert_picture", fail)
    with TestClient(make_app(project), base_url=HOME) as client:
        last = json.loads(send(client, file_of(some_picture(9))).text.splitlines()[-1])
        assert list(last) == ["error"]
        assert "\n" not in last["error"]


async def ask(app, data, stays=None):
    """Status, headers and body of what is answered to a file, until the end or so many seconds later."""
    headers = {"host": "127.0.0.1", "content-type": "application/octet-stream"}
    scope = {"type": "http", "method": "POST", "path": "/api/photos", "query_string": b"", "root_path": ""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    arriving, said = [{"type": "http.request", "body": data}], []

    async def receive():
        if arriving:
            return arriving.pop()
        await (asyncio.Event().wait() if stays is None else asyncio.sleep(stays))
        return {"type": "http.disconnect"}

    async def send(message):
        said.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in said)
    return said[0]["status"], dict(said[0]["headers"]), body.decode()


def test_a_thousand_at_once_are_refused_in_a_line_and_then_served_again(project):
    app, data = make_app(project, steps=STEPS), file_of(some_picture(11))

    async def flood():
        seen = await asyncio.gather(*(ask(app, data) for _ in range(1000)))
        return [*seen, await ask(app, data)]

    seen = asyncio.run(flood())
    served = [text.splitlines()[-1] for status, _, text in seen if status == 200]
    refused = [(headers[b"retry-after"], text) for status, headers, text in seen if status == 429]
    assert (len(served), len(refused)) == (5, 996)
    assert set(refused) == {(b"1", '{"error":"too much at once; ask again soon"}')}
    assert len(set(served)) == 1
    assert "photo" in json.loads(served[0])


def test_who_leaves_makes_room_for_others(project):
    queue = WorkQueue()
    app = make_app(project, steps=Steps(1, 1_000_000, 1), queue=queue)

    async def come_and_go():
        for seed in range(3):
            sent = [ask(app, file_of(some_picture(seed)), stays=0.3) for _ in range(4)]
            assert {status for status, _, _ in await asyncio.gather(*sent)} == {200}
        while queue.busy:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(come_and_go(), 30))


def test_one_is_worked_on_at_a_time_and_who_leaves_ends_the_work():
    queue = WorkQueue()
    opening = Opening(queue)
    ended, started = [], threading.Event()

    def endless():
        with follow(None, "inverting", "steps") as work:
            started.set()
            try:
                while True:
                    work.update()
            finally:
                ended.append(True)

    async def leave():
        lines = opening.follow(endless, lambda done: "layer")
        seen = [json.loads(await anext(lines))["stage"]]
        await asyncio.to_thread(started.wait, 5)
        other = opening.follow(lambda: {"photo": 1}, lambda done: "layer")
        assert json.loads(await anext(other))["stage"] == "waiting"
        seen += [json.loads(await anext(lines))["stage"] for _ in range(2)]
        await lines.aclose()
        return seen, [json.loads(line) async for line in other][-1]

    seen, last = asyncio.run(leave())
    assert (seen[-1], last, ended) == ("layer", {"photo": 1}, [True])
    assert queue.busy == 0


def test_only_some_may_be_on_their_way():
    opening = Opening(WorkQueue(), most=2)
    opening.enter()
    opening.enter()
    with pytest.raises(BusyError):
        opening.enter()
    opening.leave()
    opening.enter()


def test_a_saved_file_may_hold_its_picture(project, edits):
    photo = invert_picture(project.easel.generator, some_picture(), steps=STEPS)
    easel = project.easel.place(photo)
    saved = {**edits, "image": photo.key, "picture": base64.b64encode(bytes(3 * MOST_TEXT)).decode()}
    painting = parse_painting(json.dumps(saved), easel)
    assert painting == parse_painting(json.dumps({**edits, "image": photo.key}), easel)
    for wrong, said in (
        ({**saved, "picture": 1}, "must be text"),
        ({**saved, "image": 3}, "nothing else"),
        ({**saved, "strokes": ["x" * MOST_TEXT]}, "1000000 at most"),
    ):
        with pytest.raises(UsageError, match=said):
            parse_painting(json.dumps(wrong), easel)


def test_no_file_that_is_sent_breaks_the_server(client):
    rng, seen = random.Random(0), {}
    files = [file_of(some_picture(5), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]
    names = ["content-type", "content-length", "expect", "transfer-encoding", "range"]
    for _ in range(REQUESTS):
        data = bytearray(rng.choice(files) if rng.random() < 0.95 else rng.randbytes(200))
        for _ in range(rng.randrange(6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            data = data[: rng.randrange(len(data))]
        odd = {rng.choice(names): rng.choice(["", "x", "0", "-1", "gzip"])} if rng.random() < 0.1 else {}
        answer = send(client, bytes(data), **odd)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert "\n" not in answer.json()["error"]
        else:
            assert json.loads(answer.text.splitlines()[-1]).keys() <= {"photo", "error"}
        name = rng.choice(["x", "..", "%2e%2e", "a" * 900, "%00", "é"])
        assert client.get(f"/api/photos/{name}.png").status_code in (400, 404)
    assert min(seen[200], seen[400]) > REQUESTS // 20
