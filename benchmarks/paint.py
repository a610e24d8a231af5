"""How quickly strokes answer on the paint page, measured in the browser, from pointer event to drawn picture.

    python benchmarks/paint.py [--strokes 60] [--run RUN]

Serves the zoo's generator with `unitscope paint` in a process of its own and paints with Chromium: moves one
at a time, each waiting for its picture, and then one long stroke whose moves follow one another as fast as
they can. A picture's latency is the time from the pointer event (its time stamp) to the end of the
`drawImage` that first shows what the server made of it; the screen shows it with the next frame.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
COMMAND = [sys.executable, "-m", "unitscope"]
SOURCE = "segmenter:zoo:segmenter,images=generator:zoo:generator,count=256"
CONCEPTS = ("tree", "road", "sky")
WATCH = """
window.moves = []; window.shown = [];
const seen = new WeakSet(), plain = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (image, ...rest) {
  plain.call(this, image, ...rest);
  if (!(image instanceof ImageBitmap) || seen.has(image)) return;
  seen.add(image);
  window.shown.push(performance.now());
};
for (const kind of ["pointerdown", "pointermove"])
  addEventListener(kind, (event) => event.buttons && window.moves.push(event.timeStamp), true);
"""


@contextmanager
def serve(run: Path) -> Iterator[str]:
    """The address of a server of its own, which is ended afterwards."""
    words = ["paint", "zoo:generator", "--run", str(run), "--port", "0"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline().split()
            yield next(word for word in line if word.startswith("http"))
        finally:
            server.terminate()


def open_page(page: Page, address: str) -> None:
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_selector("[data-units] button")
    settle(page)


def settle(page: Page) -> None:
    page.wait_for_timeout(60)
    page.wait_for_selector("body[data-state=ready]")


def wait(page: Page, pictures: int) -> None:
    """Waits until `pictures` pictures have been shown. (The page lets no text be evaluated as its script.)"""
    for _ in range(1000):
        if page.evaluate("window.shown.length") >= pictures:
            return
        page.wait_for_timeout(5)
    raise SystemExit(f"the server gave no picture number {pictures} in five seconds")


def place(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator("[data-stage]").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def paint_slowly(page: Page, strokes: int) -> list[float]:
    """Milliseconds from each of many moves to its picture, the next move after the picture."""
    page.evaluate("window.moves.length = window.shown.length = 0")
    found = []
    page.mouse.move(*place(page, 0.1, 0.1))
    page.mouse.down()
    wait(page, 1)
    for number in range(1, strokes + 1):
        page.mouse.move(*place(page, 0.1 + 0.8 * number / strokes, 0.2 + 0.5 * (number % 2)))
        wait(page, number + 1)
        found.append(page.evaluate("window.shown.at(-1) - window.moves.at(-1)"))
    page.mouse.up()
    settle(page)
    return found


def paint_quickly(page: Page, moves: int) -> tuple[float, list[float]]:
    """Pictures a second under a long stroke, and milliseconds from the youngest move in each to it."""
    page.evaluate("window.moves.length = window.shown.length = 0")
    page.mouse.move(*place(page, 0.1, 0.5))
    page.mouse.down()
    for number in range(moves):
        page.mouse.move(*place(page, 0.1 + 0.8 * number / moves, 0.5 + 0.3 * (number % 7) / 7))
    wait(page, 2)
    events, shown = page.evaluate("[window.moves, window.shown]")
    page.mouse.up()
    settle(page)
    latencies, asked = [], 0.0
    for before, after in pairwise(shown):
        # A picture is asked for when the one before is there, or at the first move after that.
        waiting = [event for event in events if asked < event <= before]
        start = max(waiting) if waiting else min(event for event in events if event > before)
        latencies.append(after - start)
        asked = max(start, before)
    return 1000 * (len(shown) - 1) / (shown[-1] - shown[0]), latencies


def spell(title: str, values: list[float]) -> str:
    ordered = sorted(values)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{title}: median {statistics.median(values):.0f} ms, 95 % {high:.0f} ms, n = {len(values)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=60)
    parser.add_argument("--run", type=Path)
    chosen = parser.parse_args()
    chromium = os.environ.get("UNITSCOPE_CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = chosen.run or Path(folder) / "run"
        if chosen.run is None:
            layers = ["--layers", "layer1", "layer2", "layer3", "layer4", "--concepts", SOURCE]
            options = ["--convention", "pnas", "--no-report", "--out", str(run)]
            subprocess.run([*COMMAND, "dissect", "zoo:generator", *layers, *options], check=True)
        with serve(run) as address:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            open_page(page, address)
            slow: list[float] = []
            for concept in CONCEPTS:
                page.locator("[data-paint]", has_text=concept).first.click()
                settle(page)
                slow += paint_slowly(page, chosen.strokes // len(CONCEPTS))
            rate, quick = paint_quickly(page, 150)
            browser.close()
    print(f"{os.cpu_count()} cores; {len(CONCEPTS) + 1} strokes on one picture")
    print(spell("one move at a time", slow))
    print(spell("a long stroke", quick) + f", {rate:.0f} pictures a second")


if __name__ == "__main__":
    main()
