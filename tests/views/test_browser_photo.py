"""Pictures of the visitor's own on the paint page, in a real browser."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_browser import browser
from test_browser_paint import Visit, served, visit

from generated import planted_studio
from unitscope.interventions import invert_picture
from unitscope.interventions.inversion import Steps
from unitscope.interventions.painting.photos import MOST_BYTES
from unitscope.views.app.album import Album
from unitscope.views.app.project import open_project
from unitscope.views.app.server import make_app
from unitscope.views.app.work_queue import WorkQueue

__all__ = ["browser"]
QUICK, ENDLESS = Steps(1, 4, 1), Steps(1, 1_000_000, 1)


@pytest.fixture(scope="module")
def project():
    return open_project(planted_studio(), images=64)


@pytest.fixture(scope="module")
def address(project):
    with served(make_app(project, steps=QUICK, album=Album(most=2))) as found:
        yield found


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three files, and what they hold."""
    folder, rng, found = tmp_path_factory.mktemp("photos"), np.random.default_rng(0), []
    for number in range(3):
        picture = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"mine-{number}.png")
        found.append((folder / f"mine-{number}.png", picture))
    return found


def open_photo(found: Visit, path: Path) -> None:
    found.page.locator("[data-photo-file]").set_input_files(path)
    found.page.locator(f'[title="{path.name}"][aria-current=true]').wait_for()
    found.settle()


def save(found: Visit, name: str) -> bytes:
    with found.page.expect_download() as download:
        found.page.locator(f"[data-save-{name}]").click()
    return Path(download.value.path()).read_bytes()


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def told(found: Visit, line: str) -> None:
    found.page.locator("[data-status]", has_text=line).wait_for()


def give(found: Visit, kind: str, files: list[tuple[str, bytes]]) -> None:
    """Drops files on the page, or pastes them."""
    coded = [(name, base64.b64encode(data).decode()) for name, data in files]
    found.page.evaluate(
        """([kind, files]) => {
            const given = new DataTransfer();
            for (const [name, text] of files) {
                given.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
            }
            const options = { bubbles: true, cancelable: true };
            const event = kind === "drop" ? new DragEvent(kind, { ...options, dataTransfer: given })
                : new ClipboardEvent(kind, { ...options, clipboardData: given });
            document.body.dispatchEvent(event);
        }""",
        [kind, coded],
    )


def test_a_picture_is_opened_painted_on_undone_saved_and_outlives_a_reload(
    browser, address, project, photos, tmp_path
):
    found, (path, picture) = visit(browser, address), photos[0]
    page = found.page
    open_photo(found, path)
    assert np.array_equal(read(save(found, "picture")), picture)
    assert "dB" in page.locator("[data-photo]").inner_text()
    assert page.locator("[data-opening]").is_hidden()
    before = found.colors()
    found.choose("ball")
    found.stroke()
    painted, after = read(save(found, "picture")), found.colors()
    assert not np.array_equal(painted, picture)
    page.locator("[data-undo]").click()
    found.settle()
    assert found.colors() == before
    page.locator("[data-redo]").click()
    found.settle()
    assert found.colors() == after
    edits = json.loads(save(found, "edits"))
    assert np.array_equal(read(base64.b64decode(edits["picture"])), picture)
    page.reload()
    page.wait_for_selector("[data-units] button")
    found.settle()
    assert np.array_equal(read(save(found, "picture")), painted)
    assert found.enabled("undo")
    assert found.errors == []
    assert [url for url in found.requests if not url.startswith((address, "blob:"))] == []
    page.context.close()
    # A saved file opens in another browser, on another server, which has never seen the picture.
    (tmp_path / "edits.json").write_text(json.dumps(edits))
    own = invert_picture(project.easel.generator, photos[1][1], steps=QUICK)
    with served(make_app(project.place(own), steps=QUICK)) as elsewhere:
        other = visit(browser, elsewhere, image=own.key)  # what the server came with is shown first
        assert np.array_equal(read(save(other, "picture")), photos[1][1])
        other.page.locator("[data-file]").set_input_files(tmp_path / "edits.json")
        other.page.locator('[title="edits.json"][aria-current=true]').wait_for()
        other.settle()
        assert np.array_equal(read(save(other, "picture")), painted)
        assert json.loads(save(other, "edits")) == edits
        del edits["picture"]
        (tmp_path / "edits.json").write_text(json.dumps({**edits, "image": "0123456789abcdef"}))
        other.page.locator("[data-file]").set_input_files(tmp_path / "edits.json")
        told(other, "open that picture first")
        other.page.context.close()


def test_pictures_are_dropped_and_pasted_and_those_forgotten_are_opened_again(browser, address, photos):
    found = visit(browser, address)
    for (path, _), kind in zip(photos, ("drop", "paste", "drop"), strict=True):
        give(found, kind, [(path.name, path.read_bytes())])
        found.page.locator(f'[title="{path.name}"][aria-current=true]').wait_for()
    found.settle()
    assert found.page.locator("[data-photo-key]").count() == 3  # the server has kept two
    found.page.locator(f'[title="{photos[0][0].name}"]').click()
    found.settle()
    assert np.array_equal(read(save(found, "picture")), photos[0][1])
    found.choose("ball")
    found.stroke()
    assert not np.array_equal(read(save(found, "picture")), photos[0][1])
    found.page.locator('[data-image="1"]').click()
    found.settle()
    assert found.page.locator("[data-photo]").is_hidden()
    found.page.context.close()


def test_what_is_no_picture_is_refused_in_a_line(browser, address, photos, tmp_path):
    found, before = visit(browser, address), None
    before = found.colors()
    for name, data, line in (
        ("notes.png", b"just some text", "notes.png: cannot be read as a picture"),
        ("page.pdf", b"%PDF-1.7", "page.pdf: cannot be read as a picture"),
        ("huge.jpg", b"x" * (MOST_BYTES + 1_000_000), "huge.jpg has 21 MB; wanted 20 at most"),
    ):
        (tmp_path / name).write_bytes(data)
        found.page.locator("[data-photo-file]").set_input_files(tmp_path / name)
        told(found, line)
        found.settle()
    small = photos[0][0].read_bytes()
    give(found, "drop", [(f"{number}.png", small) for number in range(1000)])
    told(found, "1,000 files at once; open one at a time.")
    assert found.colors() == before
    assert found.page.locator("[data-photo-key]").count() == 0
    assert found.page.locator("[data-opening]").is_hidden()
    assert not found.enabled("undo")
    found.page.context.close()


def test_how_far_it_is_is_shown_and_it_can_be_stopped(browser, project, photos):
    queue = WorkQueue()
    with served(make_app(project, steps=ENDLESS, queue=queue)) as address:
        found = visit(browser, address, viewport={"width": 400, "height": 800})
        page = found.page
        page.locator("[data-photo-file]").set_input_files(photos[0][0])
        page.locator("[data-opening-line]", has_text="mine-0.png: its units fitted to the picture").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
        page.locator("[data-photo-file]").set_input_files(photos[1][0])
        page.locator("[data-opening-line]", has_text="mine-1.png: its units fitted").wait_for()
        page.locator("[data-stop]").click()
        page.locator("[data-opening]").wait_for(state="hidden")
        found.choose("ball")
        found.stroke()  # the server is free again
        assert (queue.busy, page.locator("[data-status]").is_hidden()) == (0, True)
        page.locator("[data-photo-file]").set_input_files(photos[2][0])
        page.locator("[data-opening-line]", has_text="its units fitted").wait_for()
        page.context.close()
        again = visit(browser, address)  # who left does not keep the server busy
        again.choose("ball")
        again.stroke()
        assert queue.busy == 0
        again.page.context.close()
