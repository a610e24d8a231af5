"""Takes the picture of docs/index.md and docs/how-to/paint.md: the paint page, a tree painted into a sky.

Run where the first commands of docs/how-to/paint.md ended: .venv/bin/python docs/painting.py named
"""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HOME = Path(__file__).parent / "_static"
SIZE = {"width": 1280, "height": 860}
BEACH = 2
"""The place in the strip of a picture with a sky."""
STROKE = ((0.2, 0.3), (0.35, 0.22), (0.5, 0.28), (0.63, 0.32))
"""From the left and the top, as shares of the picture."""


def settle(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_selector("body[data-state=ready]")


def paint(page: Page) -> None:
    """One stroke with the units of trees, through the sky."""
    page.locator("[data-strip] button").nth(BEACH).click()
    settle(page)
    page.locator('[data-paint][title^="object tree:"]').click()
    settle(page)
    box = page.locator("[data-stage]").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    settle(page)


def main() -> None:
    """Serves the page, paints, and takes the picture, in few colors."""
    words = ["paint", "zoo:generator", "--run", sys.argv[1], "--port", "0"]
    chromium = os.environ.get("UNITSCOPE_CHROMIUM") or shutil.which("chromium")
    with subprocess.Popen(
        [sys.executable, "-m", "unitscope", *words], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http"))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
                )
                page = browser.new_page(viewport=SIZE)
                page.set_default_timeout(120_000)
                page.goto(address)
                page.wait_for_selector("[data-units] button")
                settle(page)
                paint(page)
                picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        finally:
            server.terminate()
    picture.quantize(200, dither=Image.Dither.NONE).save(HOME / "paint.png", optimize=True)


if __name__ == "__main__":
    main()
