"""The server of the live microscope in process: its numbers, its visitors, and what strangers may send."""

import asyncio
import base64
import hashlib
import io
import json
import os
import random
import re
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient
from test_app_requests import METHODS, NAMES, VALUES, endless_once, mutate

from looked import tiny_lens, tiny_source
from unitscope.errors import UsageError
from unitscope.interventions import compare_sights, prepare_slide, see, turn
from unitscope.interventions.looking.evidence import weigh_classes
from unitscope.interventions.looking.lens import OtherName
from unitscope.interventions.looking.switches import Switch
from unitscope.views.app.work_queue import WorkQueue
from unitscope.views.look import uploads, visitors
from unitscope.views.look.kept import MOST_PICTURES, HeavyValues
from unitscope.views.look.project import LookProject
from unitscope.views.look.server import make_app
from unitscope.views.look.sessions import save_session
from unitscope.views.look.uploads import decode_upload
from unitscope.views.look.visitors import Bucket, Visitors

REQUESTS = int(os.environ.get("UNITSCOPE_FUZZ", "500"))
HOME = "http://127.0.0.1"
BRUSH = {"rows": 2, "columns": 2, "runs": [1, 2, 1]}
MOSS = {"text": "moss", "iou": None, "score": 2.5, "q": 0.25}
OFF = {"layer": "second", "units": [1, 4], "level": 0, "strength": 1, "place": None}


@pytest.fixture(scope="module")
def project():
    source, names = tiny_source(), {"word": {"second": {3: OtherName("moss", score=2.5, q_value=0.25)}}}
    return LookProject(tiny_lens(names=names), source, source)


class Patient(Visitors):
    """Visitors who may come and ask as fast as they like."""

    def begin(self):
        self.bucket = Bucket(1e9, 1e9)
        token = super().begin()
        self.visits[token].bucket = Bucket(1e9, 1e9)
        return token


@pytest.fixture(scope="module")
def client(project):
    with TestClient(make_app(project, visitors=Patient()), base_url=HOME) as opened:
        yield opened


class Guest:
    """A visitor of the page."""

    def __init__(self, client):
        self.client = client
        self.token = client.post("/api/visit", json={}).json()["visit"]

    def ask(self, path, value, status=200, **headers):
        kind = {"content-type": "application/json", "x-visit": self.token, **headers}
        answer = self.client.post(f"/api/{path}", content=json.dumps(value), headers=kind)
        assert answer.status_code == status, answer.text
        return answer.json()

    def send(self, data, status=200, name=None, **headers):
        kind = {"content-type": "image/png", "x-visit": self.token, **headers}
        where = "/api/pictures" if name is None else f"/api/pictures/{name}"
        answer = self.client.request("POST" if name is None else "PUT", where, content=data, headers=kind)
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, path, status=200):
        answer = self.client.get(path, headers={"x-visit": self.token})
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def guest(client):
    return Guest(client)


def draw(seed=0, size=(40, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def encode(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_project_says_what_is_there(client, project):
    told = client.get("/api/project").json()
    assert [one["layer"] for one in told["layers"]] == ["first", "second", "last"]
    assert told["layers"][1]["named"] == {"formula": False, "word": True}
    assert told["samples"] == 14
    assert told["count"] == len(told["classes"]) == 4
    units = client.get("/api/layers/1").json()["units"]
    run = project.lens.run["second"]
    assert [one["iou"] for one in units] == run.labels.best_iou.tolist()
    assert [one["threshold"] for one in units] == run.thresholds.tolist()
    assert [one["word"] for one in units] == [None] * 3 + [MOSS] + [None] * 4
    assert {one["q"] for one in units} == {None}
    for concept in told["concepts"]:
        for layer, chosen in concept["units"].items():
            labels = project.lens.run[layer].labels
            assert {labels.best[unit] for unit in chosen} == {concept["concept"]}
    strip = Image.open(io.BytesIO(client.get("/api/samples/0.jpg").content))
    assert strip.size == (96 * 14, 96)
    for path in ("/", "/assets/look.js", "/assets/look.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["permissions-policy"] == "camera=(self)"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_numbers_are_those_of_the_functions(guest, project):
    lens, pixels = project.lens, [draw(1), draw(2)]
    told = [guest.send(encode(one), **{"x-name": "a%20b.png"}) for one in pixels]
    slides = [prepare_slide(lens, one) for one in pixels]
    for answer, slide in zip(told, slides, strict=True):
        assert answer["name"] == "a b.png"
        chances = {one["class"]: one["probability"] for one in answer["classes"]}
        assert np.allclose([chances[one] for one in range(4)], slide.probabilities, atol=1e-6)
    ids = [answer["picture"] for answer in told]
    for layer in lens.layers:
        for target in (None, 2):
            answer = guest.ask("see", {"picture": ids[0], "layer": layer, "class": target})
            sight = see(lens, slides[0], layer, target=target)
            found = sight.explanation
            assert answer["sum"]["method"] == found.method
            numbers = [answer[key] for key in ("class", "logit", "probability")]
            assert np.allclose(
                numbers, [found.target, found.logit, found.probabilities[found.target]], atol=1e-6
            )
            assert {one["unit"]: one["runs"] for one in answer["units"]} == {
                one.unit: list(one.outline.runs) for one in sight.firings
            }
            for one in answer["units"]:
                assert abs(one["contribution"] - found.contributions[one["unit"]]) < 1e-6
                assert abs(one["peak"] - sight.peaks[one["unit"]]) < 1e-6
            whole = answer["sum"]
            parts = sum(one["contribution"] for one in whole["shown"]) + whole["others"]
            assert np.isclose(whole["rest"] + parts - whole["gap"], found.logit, atol=1e-6)
            assert len(whole["shown"]) + whole["other_units"] == len(found.contributions)
        compared = guest.ask("compare", {"pictures": ids, "layer": layer})
        wanted = compare_sights(lens, *(see(lens, slide, layer) for slide in slides))
        for row in compared["rows"]:
            assert np.allclose(row["peak"], wanted.peaks[row["unit"]], atol=1e-6)
            assert np.allclose(row["relative"], wanted.relative[row["unit"]], atol=1e-6)
        assert compared["both"] + sum(compared["only"]) == wanted.fires.any(1).sum()


def test_a_switch_gives_the_functions_probabilities(guest, project):
    lens = project.lens
    name = guest.send(encode(draw(3)))["picture"]
    slide = prepare_slide(lens, draw(3))
    up = {**OFF, "layer": "first", "units": [0], "level": 1.5, "strength": 0.5, "place": BRUSH}
    for edits, switches in (
        ([], []),
        ([OFF], [Switch("second", (1, 4))]),
        ([OFF, up], [Switch("second", (1, 4)), Switch("first", (0,), 1.5, 0.5, read_brush(BRUSH))]),
    ):
        for draws in (0, 1, 3):
            answer = guest.ask("turn", {"picture": name, "edits": edits, "draws": draws})
            found = turn(lens, slide, switches, draws=draws)
            assert answer["from"] == found.start
            assert (answer["units"], answer["control_units"]) == (found.units, found.control_units)
            for row in answer["classes"]:
                both = found.probabilities[:, row["class"]]
                assert np.allclose([row["before"], row["after"]], both, atol=1e-6)
                control = found.control_probabilities[:, row["class"]] if draws else None
                assert row["control"] == (
                    None if control is None else pytest.approx(control.mean(), abs=1e-6)
                )
    concept = next(iter(lens.detectors))
    edit = {"concept": concept, "layer": None, "level": 0, "strength": 1, "place": None}
    answer = guest.ask("turn", {"picture": name, "edits": [edit], "draws": 1})
    assert answer["units"] == sum(map(len, lens.detectors[concept].values()))


def read_brush(told):
    from unitscope.interventions.painting.strokes import Bitmap

    return Bitmap(told["rows"], told["columns"], tuple(told["runs"]))


def test_a_unit_has_a_card(guest, project):
    card = guest.ask("unit", {"layer": "second", "unit": 3})
    run = project.lens.run
    assert card["word"] == MOSS
    top = run["second"].exemplars
    assert [one["peak"] for one in card["tops"]] == top.peaks[3, : len(card["tops"])].tolist()
    for rank, one in enumerate(card["tops"]):
        covered = np.repeat(np.arange(len(one["runs"])) % 2 == 1, one["runs"]).reshape(one["mask"])
        wanted = np.zeros(one["mask"], bool)
        for row, start, stop in top.mask_runs(3, rank).tolist():
            wanted[row, start:stop] = True
        assert np.array_equal(covered, wanted)
        assert guest.get(one["image"]).headers["content-type"] == "image/jpeg"
    pictures = [project.source[int(index)].image for index in top.images[3, : len(card["tops"])]]
    lost = weigh_classes(project.lens, "second", 3, pictures)
    assert np.allclose([one["lost"] for one in card["classes"]], np.sort(lost)[::-1], atol=1e-6)
    assert [one["category"] for one in card["categories"]] == list(run.vocabulary.categories)
    guest.get("/api/tops/1/3/99.jpg", 400)
    guest.get("/api/tops/1/99/0.jpg", 404)
    guest.get("/api/tops/9/0/0.jpg", 404)


def test_without_the_runs_images_there_are_no_top_images(project):
    alone = LookProject(project.lens, lack="the images of the run are not here")
    with TestClient(make_app(alone), base_url=HOME) as client:
        told = client.get("/api/project").json()
        assert (told["samples"], told["samples_note"]) == (0, "the images of the run are not here")
        guest = Guest(client)
        card = guest.ask("unit", {"layer": "last", "unit": 0})
        assert (card["tops"], card["tops_note"]) == ([], "the images of the run are not here")
        guest.ask("samples", {"index": 0}, 400)
        guest.get("/api/samples/0.jpg", 404)


def test_a_sample_knows_its_class(guest, project):
    classes = {"cat": 0, "street-s": 1, "sky": 2}
    for index in range(6):
        ids = project.source[index].ids
        named = {classes[c.name] for c in project.source.vocabulary if c.id in ids and c.name in classes}
        told = guest.ask("samples", {"index": index})
        assert told["truth"] == (named.pop() if len(named) == 1 else None)


def test_an_attack_runs_beside_and_can_be_cancelled(guest):
    name = guest.send(encode(draw(4)))
    target = name["classes"][1]["class"]
    switched = {"picture": name["picture"], "edits": [OFF], "draws": 1}
    before = guest.ask("turn", switched)["classes"]
    begun = guest.ask("attacks", {"picture": name["picture"], "class": target, "method": "pgd-l2"})
    for _ in range(300):
        for now, then in zip(guest.ask("turn", switched)["classes"], before, strict=True):
            assert np.allclose([now["after"], now["control"]], [then["after"], then["control"]], atol=1e-6)
        told = guest.get(f"/api/attacks/{begun['attack']}").json()
        if told["state"] not in ("waiting", "running"):
            break
        time.sleep(0.02)
    assert told["state"] == "done", told
    assert told["steps"] == 22
    assert not told["picture"]["exact"]
    assert told["success"] == (told["picture"]["classes"][0]["class"] == target)
    again = guest.get(f"/api/attacks/{begun['attack']}").json()
    assert again["picture"]["picture"] == told["picture"]["picture"]
    seen = guest.ask("see", {"picture": told["picture"]["picture"], "layer": "last", "class": None})
    assert seen["class"] == told["picture"]["classes"][0]["class"]
    begun = guest.ask("attacks", {"picture": name["picture"], "class": target, "method": "pgd-l2"})
    where = f"/api/attacks/{begun['attack']}"
    assert guest.client.delete(where, headers={"x-visit": guest.token}).status_code == 200
    for _ in range(300):
        told = guest.get(where).json()
        if told["state"] not in ("waiting", "running"):
            break
        time.sleep(0.02)
    assert told["state"] in ("cancelled", "done")
    first = name["classes"][0]["class"]
    guest.ask("attacks", {"picture": name["picture"], "class": first, "method": "cw"}, 400)
    Guest(guest.client).get(where, 404)


def test_a_session_is_taken_home_whole(guest, project, client):
    ids = [guest.send(encode(draw(seed)))["picture"] for seed in (5, 6)]
    asked = {"pictures": ids, "layers": ["second", "last"], "class": None, "edits": [OFF],
             "cards": [{"layer": "second", "unit": 3}], "compare": [0, 1],
             "state": {"note": "</script><!--\ud83d", "big": [1e300]}}  # fmt: skip
    session = guest.ask("session", asked)
    assert session["format"] == "unitscope look"
    assert session["project"] == client.get("/api/project").json()
    for place, name in enumerate(ids):
        kept = session["pictures"][place]
        assert kept["picture"]["picture"] == str(place)
        for layer in asked["layers"]:
            seen = guest.ask("see", {"picture": name, "layer": layer, "class": None})
            assert kept["sees"][layer] == {key: seen[key] for key in seen if key != "picture"}
        assert kept["turned"] == guest.ask("turn", {"picture": name, "edits": [OFF], "draws": 8})
        fitted = base64.b64decode(kept["fitted"].partition(",")[2])
        again = guest.send(fitted, **{"x-fitted": "1"})
        assert again["classes"] == kept["picture"]["classes"]
    assert set(session["compared"]) == {"second", "last"}
    assert session["cards"][0]["tops"][0]["image"].startswith("data:image/jpeg;base64,")
    answer = client.post("/api/session.html", json={**asked, "state": {"note": "</script><!--"}},
                         headers={"x-visit": guest.token})  # fmt: skip
    assert answer.status_code == 200
    page = answer.text
    data = re.search(r'<script type="application/json" id="session">(.*?)</script>', page, re.DOTALL)
    inside = json.loads(data[1])
    assert inside["state"] == {"note": "</script><!--"}
    assert inside["pictures"] == session["pictures"]
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page.replace(data[0], "").replace(script, ""))
    asked = {**asked, "state": "x" * 70_000}
    assert "wanted 65536" in guest.ask("session", asked, 400)["error"]
    deep = json.dumps({**asked, "state": None}).replace('"state": null', f'"state": {"[" * 900}{"]" * 900}')
    answer = client.post("/api/session", content=deep,
                         headers={"x-visit": guest.token, "content-type": "application/json"})  # fmt: skip
    assert answer.status_code in (200, 400)


def test_a_session_is_written_without_a_server(project, tmp_path, guest):
    lens, pictures = project.lens, {"one": draw(5), "two": draw(6)}
    switches = [Switch("second", (1, 4)), Switch("first", (0,), 1.0, 0.5, read_brush(BRUSH))]
    wanted = {"source": project.source, "layers": ["second"], "switches": switches, "cards": [("second", 3)]}
    path = save_session(lens, pictures, tmp_path / "inside" / "look.html", **wanted)
    page = path.read_text("utf-8")
    told = json.loads(re.search(r'id="session">(.*?)</script>', page, re.DOTALL)[1])
    assert [one["picture"]["name"] for one in told["pictures"]] == ["one", "two"]
    ids = [guest.send(encode(one))["picture"] for one in pictures.values()]
    body = {"picture": ids[0], "edits": told["edits"], "draws": 8}
    assert guest.ask("turn", body) == told["pictures"][0]["turned"]
    assert guest.ask("compare", {"pictures": ids, "layer": "second"}) == told["compared"]["second"]

    async def save_again():
        return save_session(lens, pictures, tmp_path / "again.html", **wanted)

    assert path.read_bytes() == asyncio.run(save_again()).read_bytes()  # as in a notebook, whose loop runs
    for wrong in ({}, dict.fromkeys(map(str, range(13)), draw(1))):
        with pytest.raises(UsageError, match="wanted 1 to 12"):
            save_session(lens, wrong, tmp_path / "none.html")


# Visitors


def test_visitors_do_not_mix(client):
    ada, bob = Guest(client), Guest(client)
    hers, his = ada.send(encode(draw(1)))["picture"], bob.send(encode(draw(2)))["picture"]
    for path, body in (
        ("see", {"picture": hers, "layer": "last", "class": None}),
        ("at", {"picture": hers, "layer": "last", "x": 0.5, "y": 0.5}),
        ("turn", {"picture": hers, "edits": [], "draws": 0}),
        ("compare", {"pictures": [his, hers], "layer": "last"}),
        ("attacks", {"picture": hers, "class": 1, "method": "cw"}),
    ):
        assert "send it again" in bob.ask(path, body, 404)["error"]
    bob.send(encode(draw(3)), 404, hers)
    bob.get(f"/api/pictures/{hers}", 404)
    assert client.delete(f"/api/pictures/{hers}", headers={"x-visit": bob.token}).status_code == 404
    before = ada.get(f"/api/pictures/{hers}").json()
    assert bob.get(f"/api/pictures/{his}").json()["classes"] != before["classes"]
    for token in ("", "x", bob.token[:-1]):
        answer = client.get(f"/api/pictures/{hers}", headers={"x-visit": token})
        assert answer.status_code == 403
    changed = ada.send(encode(draw(9)), name=hers)
    assert changed["image"] == before["image"].replace("/0.jpg", "/1.jpg")
    assert changed["classes"] != before["classes"]
    assert ada.get(changed["image"]).headers["content-type"] == "image/jpeg"
    fitted = Image.open(io.BytesIO(ada.get(f"/api/pictures/{hers}.png").content))
    assert fitted.size == (24, 24)
    assert client.delete(f"/api/pictures/{hers}", headers={"x-visit": ada.token}).json() == {}
    ada.get(f"/api/pictures/{hers}", 404)
    ada.get(changed["image"], 404)


def test_a_visitor_keeps_the_last_pictures(guest):
    names = [guest.send(encode(draw(seed)))["picture"] for seed in range(MOST_PICTURES)]
    guest.get(f"/api/pictures/{names[0]}")
    names.append(guest.send(encode(draw(99)))["picture"])
    guest.get(f"/api/pictures/{names[1]}", 404)
    for name in (names[0], *names[2:]):
        guest.get(f"/api/pictures/{name}")


def test_pictures_and_visitors_that_come_too_fast_are_slowed(project, monkeypatch):
    now = [0.0]
    known = Visitors(clock=lambda: now[0])
    known.bucket = Bucket(1, 2, lambda: now[0])
    with TestClient(make_app(project, visitors=known), base_url=HOME) as client:
        guest = Guest(client)
        for _ in range(visitors.PICTURES_AT_ONCE):
            guest.send(encode(draw(1)))
        answer = client.post("/api/pictures", content=encode(draw(1)),
                             headers={"x-visit": guest.token, "content-type": "image/png"})  # fmt: skip
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        Guest(client)
        assert client.post("/api/visit", json={}).status_code == 429
        monkeypatch.setattr(visitors, "MOST_VISITS", 2)
        now[0] = 30.0
        assert client.post("/api/visit", json={}).status_code == 429
        now[0] = 300.0
        newer = Guest(client)
        assert client.get("/api/pictures/x", headers={"x-visit": guest.token}).status_code == 403
        newer.send(encode(draw(1)))
        assert len(known.visits) == 2
        assert set(known.owners.values()) == {newer.token}


def test_memory_is_bounded_over_all_visitors(project, monkeypatch):
    known = Patient()
    weight = project.keep_picture(draw(0), "", False).weight
    monkeypatch.setattr(visitors, "MOST_KEPT", 4 * weight)
    with TestClient(make_app(project, visitors=known), base_url=HOME) as client:
        guests = [Guest(client) for _ in range(3)]
        names = [(guest, guest.send(encode(draw(0)))["picture"]) for _ in range(3) for guest in guests]
        assert known.kept <= 4 * weight
        assert known.kept == sum(
            kept.weight for one in known.visits.values() for kept in one.pictures.values()
        )
        assert len(known.owners) == 4
        guest, last = names[-1]
        guest.get(f"/api/pictures/{last}")


def test_a_flood_is_refused_in_a_line(project):
    with TestClient(make_app(project, queue=WorkQueue(most=0)), base_url=HOME) as client:
        answer = client.get("/api/layers/0")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    visit = visitors.Visit(busy=visitors.MOST_UNDER_WAY)
    with pytest.raises(HTTPException, match="429"), visit.asking():
        pass


def test_heavy_values_are_kept_by_their_weight():
    made = []
    kept = HeavyValues(10, lambda value: value)
    for key, weight in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4), ("d", 99), ("d", 99)):
        assert kept.get(key, lambda key=key, weight=weight: made.append(key) or weight) == weight
    assert made == ["a", "b", "c", "b", "d"]
    assert (len(kept), kept.bytes) == (1, 99)


# Pictures that nobody wants


def bomb(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


HOSTILE = {
    "nothing": b"",
    "text": b"../../../etc/passwd",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    "tiff": encode(draw(), "TIFF"),
    "pickle": b"\x80\x04\x95\x1f\x00\x00\x00",
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}",
    "bomb": bomb(60_000, 60_000),
    "wide": bomb(2_000_000_000, 1),
    "empty": bomb(0, 5),
    "short": bomb(200, 200),
    "truncated": encode(draw())[:-900],
    "begun": encode(draw(), "JPEG")[:150],
    "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(20),
    "gif": b"GIF89a" + bytes(30),
    "bmp": b"BM" + bytes(60),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pictures_get_one_line(guest, data):
    for kind in ("image/png", "application/octet-stream"):
        said = guest.send(data, 400, **{"content-type": kind})["error"]
        assert "\n" not in said
        assert len(said) < 300


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_what_browsers_show_is_read(guest, kind):
    told = guest.send(encode(draw(1), kind))
    assert told["shown"] == [40, 30]
    assert told["note"] is None


def test_a_large_picture_is_shrunk_and_a_larger_one_refused(guest, monkeypatch):
    told = guest.send(encode(draw(1, (1600, 800)), "JPEG"))
    assert (told["shown"], told["note"]) == ([768, 384], "shrunk from 1600 x 800 pixels")
    turned = Image.Exif()
    turned[274] = 6
    buffer = io.BytesIO()
    Image.fromarray(draw(1, (20, 60))).save(buffer, "JPEG", exif=turned)
    assert guest.send(buffer.getvalue())["shown"] == [60, 20]
    monkeypatch.setattr(uploads, "MOST_PIXELS", 1000)
    assert "megapixels" in guest.send(encode(draw(1)), 400)["error"]
    monkeypatch.undo()
    monkeypatch.setattr(uploads, "MOST_DEEP", 1000)
    clear = np.concatenate([draw(1), draw(2)[..., :1]], 2)
    assert "transparent" in guest.send(encode(clear), 400)["error"]
    with pytest.raises(UsageError, match="transparent"):
        decode_upload(encode(clear))


def test_a_file_that_is_too_long_late_or_of_another_kind_is_not_kept(project):
    def parts():
        while True:
            yield b"\x89PNG\r\n\x1a\n" + bytes(1 << 20)

    with TestClient(make_app(project, visitors=Patient(), patience=5.0), base_url=HOME) as client:
        guest = Guest(client)
        kind = {"x-visit": guest.token, "content-type": "image/png"}
        long = client.post("/api/pictures", content=endless_once(parts), headers=kind)
        assert long.status_code == 413
        assert guest.send(b"", 413, **{"content-length": "99999999"})
        assert guest.send(encode(draw()), 415, **{"content-type": "text/plain"})
        assert guest.send(encode(draw()), 400, **{"x-fitted": "1"})["error"].startswith(
            "the picture has 40 x 30"
        )
        guest.send(encode(draw()))


# Other sites, and nonsense


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_no_other_site_looks(guest, headers, status):
    name = guest.send(encode(draw(1)))["picture"]
    paths = ["/api/project", "/api/layers/0", "/api/samples/0.jpg", "/api/tops/0/0/0.jpg"]
    for path in (*paths, f"/api/pictures/{name}", f"/api/pictures/{name}/0.jpg", f"/api/pictures/{name}.png"):
        answer = guest.client.get(path, headers={"x-visit": guest.token, **headers})
        assert answer.status_code == status
    guest.ask("see", {"picture": name, "layer": "last", "class": None}, status, **headers)
    guest.ask("session", {}, status, **headers)
    guest.send(encode(draw(1)), status, **headers)
    guest.send(encode(draw(1)), status, name, **headers)


WRONG = ["/api/pictures/..%2f..%2fserver.py", "/api/pictures/%2fetc%2fpasswd", "/api/pictures/x/0.jpg",
         "/api/pictures/.png", "/assets/..%2fserver.py", "/api/attacks/x", "/api/layers/99", "/api/layers/-1",
         "/api/samples/99999999999999999999.jpg", "/api/tops/0/0/99999999999999999999.jpg", "/api/see/",
         "/api/tops/1e9/0/0.jpg", "/%00", "//", "/api/../api/project"]  # fmt: skip


def test_nothing_that_is_sent_breaks_the_server(guest):
    rng, seen = random.Random(0), {}
    name = guest.send(encode(draw(1)))["picture"]
    brush = {"rows": 2, "columns": 3, "runs": [2, 4]}
    edits = [OFF, {**OFF, "place": brush, "level": 2}]
    bodies = {
        "see": {"picture": name, "layer": "last", "class": None},
        "at": {"picture": name, "layer": "second", "x": 0.5, "y": 0.25},
        "unit": {"layer": "second", "unit": 3},
        "turn": {"picture": name, "edits": edits, "draws": 1},
        "compare": {"pictures": [name, name], "layer": "last"},
        "samples": {"index": 3},
        "session": {"pictures": [name], "layers": ["last"], "class": 1, "edits": edits, "cards": [],
                    "compare": None, "state": {"a": [1, None]}},
        "attacks": {"picture": "none", "class": 1, "method": "cw"},
        "visit": {},
    }  # fmt: skip
    files = [encode(draw(1)), encode(draw(2), "JPEG"), encode(draw(3), "GIF"), encode(draw(4), "WEBP")]
    gets = ["/", "/api/project", "/api/layers/1", "/api/samples/0.jpg", f"/api/pictures/{name}.png", *WRONG]
    for _ in range(REQUESTS):
        headers = {"x-visit": guest.token, "content-type": "application/json"}
        chance, method, content = rng.random(), "POST", b""
        if chance < 0.55:
            path, value = rng.choice(list(bodies.items()))
            value = json.loads(json.dumps(value))
            for _ in range(rng.randrange(3)):
                value = mutate(rng, value)
            content, path = json.dumps(value).encode("utf-8", "replace"), f"/api/{path}"
            if rng.random() < 0.1:
                content = content[: rng.randrange(len(content) + 1)]
        elif chance < 0.8:
            data = bytearray(rng.choice(files))
            for _ in range(rng.randrange(6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            cut = len(data) if rng.random() < 0.6 else rng.randrange(len(data))
            content, path, headers["content-type"] = bytes(data[:cut]), "/api/pictures", "image/png"
            if rng.random() < 0.3:
                method, path = "PUT", f"/api/pictures/{rng.choice([name, 'x'])}"
            headers[rng.choice(["x-name", "x-fitted"])] = rng.choice(["1", "%ff%00", "a" * 999, "%"])
        else:
            method, path = rng.choice([*METHODS, "GET", "GET", "GET"]), rng.choice(gets)
        if rng.random() < 0.1:
            headers[rng.choice([*NAMES, "x-visit"])] = rng.choice(VALUES)
        answer = guest.client.request(method, HOME + path, content=content, headers=headers)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
        assert answer.status_code < 500, (method, path, content, answer.text)
        assert b"root:" not in answer.content
        if answer.status_code >= 400 and method != "HEAD":
            assert "\n" not in answer.json()["error"]
    assert seen[200] > REQUESTS // 20
    assert seen[400] > REQUESTS // 20
    guest.ask("unit", {"layer": "second", "unit": 3})
