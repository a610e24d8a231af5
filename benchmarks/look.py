"""How quickly the microscope answers a switch, measured in the browser: from the click to the probabilities.

    python benchmarks/look.py [--switches 60] [--large]

Serves the zoo's classifier, with `--large` EfficientNet-Lite0 at 224 pixels (random weights, which times do
not depend on), with `unitscope look` in a process of its own, and switches units in Chromium, one after the
other, in every layer. The time is the page's own: from the click on "Off" to the table that shows the new
probabilities, with one random set beside them; the screen shows it with the next frame. What the server
takes of it, and what it would take without replay, is told by `benchmarks/look_server.py`.
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
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
COMMAND = [sys.executable, "-m", "unitscope"]
ZOO = (["zoo:scene-classifier"], ("layer1", "layer3", "layer5"), "drawn:count=24,seed=3000,size=64")
LARGE = (
    ["efficientnet-lite0", "--random-weights", "0"],
    ("_blocks.4", "_blocks.10", "_blocks.15", "_conv_head"),
    "drawn:count=12,seed=3000,size=224",
)
MEASURE = "switch to probabilities"


@contextmanager
def serve(network: list[str], run: Path) -> Iterator[str]:
    """The address of a server of its own, which is ended afterwards."""
    words = ["look", *network, "--run", str(run), "--port", "0"]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            for line in server.stdout:
                if found := [word for word in line.split() if word.startswith("http")]:
                    yield found[0]
                    break
        finally:
            server.terminate()


def wait(page: Page, milliseconds: int = 30) -> None:
    """Until nothing is under way: no number of the next switch is one of the last."""
    page.wait_for_timeout(milliseconds)
    page.wait_for_selector("body[data-state=ready]")


def switch(page: Page, count: int) -> list[float]:
    """Milliseconds of each of some switches, off and on in turn, after three that are not counted."""
    found = []
    buttons = page.locator("[data-cards] [data-off]")
    for number in range(2 * (count + 3)):
        page.evaluate("performance.clearMeasures()")
        buttons.nth(number // 2 % buttons.count()).dispatch_event("click")
        wait(page)
        times = page.evaluate(f"performance.getEntriesByName('{MEASURE}').map((one) => one.duration)")
        found += times[:1]
    return found[3:]


def measure(network: list[str], layers: tuple[str, ...], source: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run = Path(folder) / "named"
        words = ["dissect", *network, "--layers", *layers, "--concepts", source]
        quick = ["--shifts", "0", "--no-report", "--out", str(run)]
        subprocess.run([*COMMAND, *words, *quick], check=True, stdout=subprocess.DEVNULL)
        chromium = os.environ.get("UNITSCOPE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        with serve(network, run) as address:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(address)
            page.wait_for_selector("[data-cards] [data-off]")
            for layer in layers:
                page.locator(f'[data-layer="{layer}"]').click()
                wait(page, 500)
                times = sorted(switch(page, count))
                high = times[min(len(times) - 1, int(0.95 * len(times)))]
                median = statistics.median(times)
                print(
                    f"{network[0]} {layer}: {len(times)} switches, median {median:.1f} ms, 95 % {high:.1f} ms"
                )
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--switches", type=int, default=60)
    parser.add_argument("--large", action="store_true")
    found = parser.parse_args()
    measure(*(LARGE if found.large else ZOO), found.switches)


if __name__ == "__main__":
    main()
