"""The server on which units are marked, in process: what it keeps, and what it refuses."""

import json

import pytest
from starlette.testclient import TestClient

from unitscope.errors import RunError
from unitscope.experiments.marks import read_marks
from unitscope.views.rating.marking import make_marking_app, open_marking

HOME = "http://127.0.0.1"
TABLE = (
    "unit,frechet,over_chance,rank_frechet,unknown,unknown_over_chance,rank_unknown,firing_cells,pictures\n"
    "7,3.25,1,1,0.25,0.1,2,40,4 5\n2,1.5,0,2,0.5,0.3,1,40,1 2\n5,,,,,,,0,1 2\n"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "artifacts.csv").write_text(TABLE)
    for unit in (2, 7):
        (tmp_path / "pictures" / f"unit-{unit:04d}.jpg").write_bytes(b"\xff\xd8" + bytes([unit]))
    return tmp_path


@pytest.fixture
def client(folder):
    with TestClient(make_marking_app(open_marking(folder)), base_url=HOME) as opened:
        yield opened


def post(client, value, **options):
    body = value if isinstance(value, bytes) else json.dumps(value)
    return client.post("/api/mark", content=body, headers={"content-type": "application/json", **options})


def test_the_page_gets_what_it_asks_for(client, folder):
    assert "Which units make artifacts?" in client.get("/").text
    for name in ("marking.js", "marking.css", "marking.svg", "look.css"):
        assert client.get(f"/assets/{name}").status_code == 200
    told = client.get("/api/units").json()["units"]
    assert [one["unit"] for one in told] == [7, 2]
    assert told[0]["text"] == "distance 3.25 (rank 1), nothing known of 25.0 % (rank 2)"
    assert client.get("/api/pictures/7.jpg").content == b"\xff\xd8\x07"
    assert client.get("/api/pictures/5.jpg").status_code == 404
    assert not (folder / "marks.csv").exists()


def test_marks_are_kept_at_once_changed_and_taken_back(client, folder):
    assert post(client, {"unit": 7, "mark": "artifact"}).json()["units"][0]["mark"] == "artifact"
    post(client, {"unit": 2, "mark": "unsure"})
    assert (folder / "marks.csv").read_text() == "unit,mark\n2,unsure\n7,artifact\n"
    post(client, {"unit": 2, "mark": "fine"})
    post(client, {"unit": 7, "mark": None})
    assert read_marks(folder / "marks.csv") == {2: "fine"}
    again = open_marking(folder).describe()["units"]
    assert [one["mark"] for one in again] == [None, "fine"]


def test_marks_of_another_server_stay(client, folder):
    post(client, {"unit": 7, "mark": "artifact"})
    (folder / "marks.csv").write_text("unit,mark\n2,fine\n7,artifact\n")
    post(client, {"unit": 7, "mark": "unsure"})
    assert read_marks(folder / "marks.csv") == {2: "fine", 7: "unsure"}


def test_what_is_no_mark_is_refused_and_nothing_is_written(client, folder):
    wrong = (
        {"unit": 5, "mark": "fine"}, {"unit": 7, "mark": "good"}, {"unit": True, "mark": "fine"}, {"unit": 7},
        {"unit": 7, "mark": "fine", "more": 1}, {"unit": "7", "mark": "fine"}, [], "text", None, 7,
        {"unit": 7, "mark": ["fine"]}, {"unit": 10**30, "mark": "fine"}, b"{", b"\xff", b"[" * 300,
    )  # fmt: skip
    for value in wrong:
        answer = post(client, value)
        assert answer.status_code == 400, value
        assert "\n" not in answer.json()["error"]
    assert post(client, b'"' + b"a" * 500 + b'"').status_code == 413
    assert not (folder / "marks.csv").exists()


def test_other_sites_and_hosts_are_refused(client, folder):
    good = {"unit": 7, "mark": "fine"}
    assert post(client, good, origin="http://evil.example").status_code == 403
    assert post(client, good, host="evil.example").status_code == 421
    assert client.get("/api/mark").status_code == 405
    assert client.get("/assets/../marks.csv").status_code == 404
    assert not (folder / "marks.csv").exists()


def test_a_folder_that_is_none_is_told(tmp_path, folder):
    with pytest.raises(RunError, match="cannot read artifacts"):
        open_marking(tmp_path / "nowhere")
    (folder / "marks.csv").write_text("unit,mark\n7,maybe\n")
    with pytest.raises(RunError, match="cannot be marked 'maybe'"):
        open_marking(folder)
    (folder / "marks.csv").write_text("one,two\n")
    with pytest.raises(RunError, match="its columns are one, two"):
        open_marking(folder)
    (folder / "marks.csv").unlink()
    for path in (folder / "pictures").iterdir():
        path.unlink()
    with pytest.raises(RunError, match="has no pictures of units"):
        open_marking(folder)
