"""The built page that ships is the one that its sources make."""

import runpy
from importlib.resources import files
from pathlib import Path

WEB = Path(__file__).parents[2] / "web"
PAGE = files("unitscope.views.app") / "page"


def test_the_page_was_built_from_the_sources_as_they_are():
    told = runpy.run_path(str(WEB / "digest.py"))["digest_sources"]()
    built = (PAGE / "sources.sha256").read_text().strip()
    assert built == told, (
        "web/ has changed since the page was built; run scripts/web and commit what it makes"
    )


def test_the_page_holds_nothing_inline_and_asks_for_its_own_files_only():
    page = (PAGE / "index.html").read_text()
    assert "<style" not in page
    assert "style=" not in page
    assert page.count("<script") == 1
    assert "http" not in page
