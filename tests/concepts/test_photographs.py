"""Real photographs with labels, where they are at hand."""

from pathlib import Path

import pytest

from unitscope.concepts.inspection import check_source


@pytest.mark.parametrize(
    ("spec", "images", "concepts", "empty", "void"),
    [
        ("msrc", 591, 23, 0, 0.192),
        ("coco128", 128, 80, 9, 0.0),
        ("fasseg", 70, 6, 0, 0.0),
        ("dtd,category=texture", 400, 10, 0, 0.0),
        ("sun8,limit=200", 200, 8, 6, 0.0),
    ],
)
def test_photographs_read_as_their_authors_describe_them(
    photographs: Path, spec: str, images: int, concepts: int, empty: int, void: float
) -> None:
    report = check_source(f"folder:{photographs}/{spec}")
    assert report.problems == ()
    assert (report.images, len(report.concepts), len(report.empty)) == (images, concepts, empty)
    assert report.void == pytest.approx(void, abs=0.001)
