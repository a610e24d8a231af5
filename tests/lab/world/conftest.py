"""What the tests of the drawn world share."""

import pytest

from painted import scenes_painted


@pytest.fixture(scope="module", autouse=True)
def painting():
    """Scenes are painted anew: what is tested is how."""
    with scenes_painted():
        yield
