"""Takes the pictures of docs/how-to/look.md: the microscope over drawn scenes, in Chromium.

Run where the first command of that page ended: .venv/bin/python docs/microscope.py named
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
SCENES = "drawn:count=48,seed=2000,size=224"
SIZE = {"width": 1280, "height": 860}
BEDROOM, OFFICE = 13, 7


def settle(page: Page) -> None:
    page.wait_for_timeout(300)
    page.wait_for_selector("body[data-state=ready]")


def keep(page: Page, name: str) -> None:
    """The page as it is seen from its top, in few colors."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(200, dither=Image.Dither.NONE).save(HOME / name, optimize=True)


def take(page: Page) -> None:
    """A concept switched off, and one of its units pointed at; then two pictures side by side."""
    page.locator(f'[data-image="{BEDROOM}"]').click()
    settle(page)
    page.locator("[data-concept]", has_text="bed").first.click()
    settle(page)
    page.locator("[data-cards] > li").first.hover()
    keep(page, "look.png")
    page.locator("[data-reset]").click()
    page.locator("[data-compare]").click()
    page.locator(f'[data-image="{OFFICE}"]').click()
    settle(page)
    page.locator("[data-moved] [data-unit]").first.hover()
    keep(page, "look-compare.png")


def main() -> None:
    """Serves the microscope and takes the pictures."""
    words = ["look", "zoo:scene-classifier", "--run", sys.argv[1], "--images", SCENES, "--port", "0"]
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
                page.wait_for_selector("[data-cards] [data-off]")
                settle(page)
                take(page)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
