"""What the tests of the zoo share."""

import pytest

from painted import paint_here
from unitscope.lab.zoo import pictures as painting


@pytest.fixture(autouse=True)
def few_workers(monkeypatch):
    """Paints in this process: starting others takes longer than painting 24 pictures."""
    monkeypatch.setattr(painting, "_paint_into", paint_here)
