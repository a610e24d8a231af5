"""Takes the picture of docs/index.md and docs/how-to/paint.md: the paint page, a tree painted into a sky.

Run where the first commands of docs/how-to/paint.md ended: .venv/bin/python docs/painting.py named
"""

import sys

from playwright.sync_api import Page
from served import keep, open_served, settle

BEACH = 2
"""The place in the strip of a picture with a sky."""
STROKE = ((0.2, 0.3), (0.35, 0.22), (0.5, 0.28), (0.63, 0.32))
"""From the left and the top, as shares of the picture."""


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
    """Serves the page, paints, and takes the picture."""
    with open_served(["paint", "zoo:generator", "--run", sys.argv[1]], "[data-units] button") as page:
        paint(page)
        keep(page, "paint.png")


if __name__ == "__main__":
    main()
