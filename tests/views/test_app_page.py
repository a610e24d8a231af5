"""The built pages that ship are those that their sources make."""

import runpy
from importlib.resources import files
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
PAGES = [files("unitscope.views") / name / "page" for name in ("app", "look")]


@pytest.mark.parametrize("page", PAGES, ids=["paint", "look"])
def test_the_page_was_built_from_the_sources_as_they_are(page):
    told = runpy.run_path(str(WEB / "digest.py"))["digest_sources"]()
    built = (page / "sources.sha256").read_text().strip()
    assert built == told, (
        "web/ has changed since the page was built; run scripts/web and commit what it makes"
    )


@pytest.mark.parametrize("page", PAGES, ids=["paint", "look"])
def test_the_page_holds_nothing_inline_and_asks_for_its_own_files_only(page):
    text = (page / "index.html").read_text()
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == 1
    assert "http" not in text
