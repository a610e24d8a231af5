import gc
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "views")]

from checked import begin_test, check_lightly  # noqa: E402
from compiling import begin_compiling, wait_before_compiling  # noqa: E402

check_lightly()
# How long an example takes decides no test: its process may share a core, or wait until loops are compiled.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

LONG = (
    "networks",
    "concepts",
    "lab/commands/test_study_commands.py",
    "test_docs.py",
    "lab/test_browser_tour.py",
    "views/test_browser_paint.py",
    "executors/test_cluster.py",
    "views/test_browser.py",
    "lab",
    "cli",
    "views",
    "interventions",
    "dissection",
)
"""What several processes begin with: what calls few loops, which are compiled meanwhile; then what takes
long, the longest first. The end is left to short files."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Before several processes are started, one more is, which compiles while they collect tests."""
    begin_compiling(config._tmp_path_factory.getbasetemp())  # the folder of all, of which each has one in it


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Nothing is looked through for garbage, for what is imported stays; many processes collect in turn."""
    gc.disable()
    try:
        if not hasattr(session.config, "workerinput"):
            return (yield)
        wait_before_compiling(home := Path(session.config.option.basetemp).parent)
        with in_turn(home):
            return (yield)
    finally:
        gc.enable()


@contextmanager
def in_turn(home: Path) -> Iterator[None]:
    """One process translates the tests first: the others find what it wrote, and need not."""
    with FileLock(home / "collecting.lock") as first:
        if (collected := home / "collected").exists():
            first.release()
        yield
        collected.touch()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorts the tests for several processes, each of which takes the next file when it has done one."""
    if not hasattr(config, "workerinput"):
        return
    places = [Path(__file__).parent / place for place in LONG]
    items.sort(
        key=lambda item: next((i for i, it in enumerate(places) if item.path.is_relative_to(it)), len(places))
    )


def pytest_collection_finish() -> None:
    """What is there now stays: it need not be looked through for garbage again and again."""
    gc.freeze()


def pytest_runtest_setup() -> None:
    """Types are checked in each test anew."""
    begin_test()


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
