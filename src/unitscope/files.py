"""Files are written whole: under another name first, so that no reader finds half of one."""

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unitscope.errors import writing


@contextmanager
def whole_file(path: Path, hint: str = "name another folder") -> Iterator[Path]:
    """A path to write to, which becomes `path` once all is written; its folder is made.

    What stood at `path` stays until then, and for good where the writing fails; the unfinished file is
    removed. Raises `RunError` where it cannot be written.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "found" / "units.csv"
    >>> with whole_file(place) as unfinished:
    ...     _ = unfinished.write_text("unit,iou")
    >>> place.read_text(), [path.name for path in place.parent.iterdir()]
    ('unit,iou', ['units.csv'])
    """
    with writing(path, hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.part")
        try:
            yield unfinished
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> Path:
    """Writes a file whole, text as UTF-8; its path. Raises `RunError` where it cannot be written."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with whole_file(path) as unfinished:
        unfinished.write_bytes(data)
    return path


def create_whole(path: Path, content: str, hint: str = "name another folder") -> bool:
    """Writes a file as UTF-8 where there is none; whether it did. Of several processes one does.

    The folder must be there. Raises `RunError` where there is none and it cannot be written.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp()) / "recipe.json"
    >>> create_whole(place, "mine"), create_whole(place, "yours"), place.read_text()
    (True, False, 'mine')
    """
    if path.exists():  # which is found out also on a disk that is full or read-only
        return False
    with writing(path, hint):
        unfinished = name_unfinished(path)
        try:
            unfinished.write_bytes(content.encode("utf-8"))
            try:
                os.link(unfinished, path)
            except FileExistsError:
                raise
            except OSError:  # no links on this file system
                with open(path, "xb") as file:
                    file.write(content.encode("utf-8"))
        except FileExistsError:
            return False
        finally:
            unfinished.unlink(missing_ok=True)
    return True


def create_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], hint: str, about: Mapping[str, str] | None = None
) -> None:
    """Writes arrays as one safetensors file, whole or not at all; one that is there stays.

    Several processes may write the same. `about` are texts beside the arrays. Raises `RunError` where it
    cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    unfinished = name_unfinished(path)
    with writing(path, hint):
        try:
            whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
            save_file(whole, unfinished, dict(about) if about else None)
            put_first(unfinished, path)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            unfinished.unlink(missing_ok=True)


def put_first(unfinished: Path, path: Path) -> None:
    """Gives a finished file its name where no file has it; one that is there stays. Its first name may stay.

    Whoever reads the file never finds another one in its place. Raises `OSError`.
    """
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return
    except OSError:  # no links on this file system
        if not path.exists():
            os.replace(unfinished, path)


def name_unfinished(path: Path) -> Path:
    """A name for a file in the making that no other process has, on no other machine either."""
    return path.with_name(f"{path.name}.{secrets.token_hex(6)}.part")
