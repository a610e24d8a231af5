"""How long the paint page takes from a stroke to the picture, in Chromium, for the zoo's generator.

    python benchmarks/paint.py [--strokes 50]

Serves `unitscope paint` in a process of its own over a small run of `zoo:generator`, paints strokes with the
keyboard at different places, and measures in the page from the key to the first frame whose canvas differs.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
STROKE = """
async (place) => {
  const stage = document.querySelector("#stage");
  const context = stage.getContext("2d");
  const look = () => {
    const data = context.getImageData(0, 0, stage.width, stage.height).data;
    let sum = 0;
    for (let i = 0; i < data.length; i += 16) sum = (sum * 31 + data[i]) | 0;
    return sum;
  };
  const key = (kind, name) => stage.dispatchEvent(new KeyboardEvent(kind, { key: name, bubbles: true }));
  stage.focus();
  for (let i = 0; i < 40; i++) key("keydown", "ArrowLeft"), key("keydown", "ArrowUp");
  for (let i = 0; i < 6 + (place % 10) * 5; i++) key("keydown", "ArrowRight");
  for (let i = 0; i < 6 + Math.floor(place / 10) * 9; i++) key("keydown", "ArrowDown");
  const start = performance.now();
  key("keydown", " ");
  key("keyup", " ");
  const before = look();
  for (;;) {
    await new Promise(requestAnimationFrame);
    if (look() !== before) return performance.now() - start;
    if (performance.now() - start > 3000) return null;
  }
}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strokes", type=int, default=50)
    chosen = parser.parse_args()
    unitscope = [sys.executable, "-m", "unitscope.cli"]
    with tempfile.TemporaryDirectory() as place:
        run = str(Path(place) / "run")
        source = "segmenter:zoo:segmenter,count=96"
        dissect = ["dissect", "zoo:generator", "--layers", "layer1", "layer2", "--convention", "pnas"]
        subprocess.run(
            [*unitscope, *dissect, "--shifts", "0", "--no-report", "--concepts", source, "--out", run],
            check=True,
        )
        server = subprocess.Popen(
            [*unitscope, "paint", "zoo:generator", "--run", run, "--images", "64", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        address = server.stdout.readline().split()[2]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(address)
            page.wait_for_selector("[data-units] button")
            times = []
            for stroke in range(chosen.strokes):
                page.wait_for_selector("body[data-state=ready]")
                page.wait_for_timeout(50)
                spent = page.evaluate(STROKE, stroke)
                times += [] if spent is None else [spent]
            browser.close()
        server.terminate()
        server.wait()
    times.sort()
    late = times[int(0.95 * (len(times) - 1))]
    print(f"{len(times)} strokes: median {statistics.median(times):.0f} ms, 95 % within {late:.0f} ms")


if __name__ == "__main__":
    main()
