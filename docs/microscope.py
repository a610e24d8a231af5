"""Takes the pictures of docs/how-to/look.md: the microscope over drawn scenes, in Chromium.

Run where the first command of that page ended: .venv/bin/python docs/microscope.py named
"""

import sys

from playwright.sync_api import Page
from served import keep, open_served, settle

SCENES = "drawn:count=48,seed=2000,size=224"
BEDROOM, OFFICE = 13, 7


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
    words = ["look", "zoo:scene-classifier", "--run", sys.argv[1], "--images", SCENES]
    with open_served(words, "[data-cards] [data-off]") as page:
        take(page)


if __name__ == "__main__":
    main()
