import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "views")]

from checked import check_lightly  # noqa: E402

check_lightly()

LONG = (
    ("lab/commands/test_study_commands.py", "cli", "experiments"),
    ("lab/zoo", "lab/world", "lab/test_browser_tour.py", "test_docs.py", "views", "dissection"),
)
"""What takes long, for each of two processes to begin with, so that only short tests are left at the end.

The first soon calls the compiled loops, the second later: where `scripts/test` has not compiled them before,
that happens once, and not in both.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorts the tests for several processes; each takes its share, then some of another's end."""
    if not hasattr(config, "workerinput"):
        return

    def find(places: tuple[str, ...]) -> list[pytest.Item]:
        folders = [Path(__file__).parent / place for place in places]
        return [item for folder in folders for item in items if item.path.is_relative_to(folder)]

    groups = list(map(find, LONG))
    long = {item for group in groups for item in group}
    short = [item for item in items if item not in long]
    share = -(-len(items) // len(LONG))
    for group in groups:
        filling = max(0, share - len(group))
        group += short[:filling]
        del short[:filling]
    items[:] = [item for group in groups for item in group] + short


def pytest_collection_finish() -> None:
    """What is there now stays: it need not be looked through for garbage again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept between runs is kept where no other run finds it, also by programs that tests start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNITSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def scenes_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every drawn scene is painted once, for all processes and tests."""
    from painted import scenes_kept  # only now: what is imported earlier is not checked for shapes

    home = tmp_path_factory.getbasetemp()
    home = home.parent if "PYTEST_XDIST_WORKER" in os.environ else home
    (folder := home / "scenes").mkdir(exist_ok=True)
    with scenes_kept(folder):
        yield


@pytest.fixture(scope="session", autouse=True)
def trained_in_hardware() -> Iterator[None]:
    """Trainings compute in float32 where the processor would only imitate bfloat16, nine times slower."""
    import torch

    from unitscope.lab.zoo import training_steps

    with pytest.MonkeyPatch.context() as patch:
        known = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        patch.setattr(training_steps, "HALF", known)
        yield


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of real annotated photographs, which do not ship with the project."""
    folder = Path(os.environ.get("UNITSCOPE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "msrc").is_dir():
        pytest.skip(f"no photographs at {folder}; set UNITSCOPE_DATA to their folder")
    return folder
