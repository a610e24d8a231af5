import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "views")]


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real annotated photographs, which do not ship with the project."""
    folder = Path(os.environ.get("UNITSCOPE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "msrc").is_dir():
        pytest.skip(f"no photographs at {folder}; set UNITSCOPE_DATA to their folder")
    return folder
