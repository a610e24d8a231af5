"""A page that a command of unitscope serves, in Chromium, for the pictures of the manual."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

HOME = Path(__file__).parent / "_static"
SIZE = {"width": 1280, "height": 860}


@contextmanager
def open_served(words: Sequence[str], ready: str) -> Iterator[Page]:
    """The page that a command serves, once what `ready` selects is there; the server ends with the block."""
    chromium = os.environ.get("UNITSCOPE_CHROMIUM") or shutil.which("chromium")
    command = [sys.executable, "-m", "unitscope", *words, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
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
                page.wait_for_selector(ready)
                settle(page)
                yield page
        finally:
            server.terminate()


def settle(page: Page) -> None:
    """Waits until the page shows what it was asked for."""
    page.wait_for_timeout(300)
    page.wait_for_selector("body[data-state=ready]")


def keep(page: Page, name: str) -> None:
    """The page as it is seen from its top, in few colors."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(200, dither=Image.Dither.NONE).save(HOME / name, optimize=True)
