"""What a study measured: as an array of bytes, as workers hand it back, and as a file, kept for next time."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from unitscope.errors import RunError
from unitscope.files import write_whole

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
else:
    DataclassInstance = Any

Row = TypeVar("Row", bound=DataclassInstance)


def pack_records(records: Iterable[DataclassInstance]) -> UInt8[np.ndarray, "byte"]:
    """Dataclasses of texts and numbers as JSON, which gives every number back as it was."""
    text = json.dumps([asdict(one) for one in records], default=lambda number: number.item())
    return np.frombuffer(text.encode(), np.uint8)


def read_records(packed: UInt8[np.ndarray, "byte"]) -> list[dict[str, Any]]:
    """The fields of each; tuples have become lists.

    >>> from dataclasses import make_dataclass
    >>> read_records(pack_records([make_dataclass("Count", ["unit", "iou"])(3, 0.1)]))
    [{'unit': 3, 'iou': 0.1}]
    """
    found: list[dict[str, Any]] = json.loads(packed.tobytes())
    return found


def keep_rows(path: Path, kind: type[Row], measure: Callable[[], Sequence[Row]]) -> list[Row]:
    """The rows of a kind that were measured before and lie at a path, or are measured now and put there.

    Raises `RunError` where what lies there is damaged.

    >>> import tempfile
    >>> from dataclasses import make_dataclass
    >>> kind = make_dataclass("Count", ["unit", "iou"])
    >>> place = Path(tempfile.mkdtemp()) / "found.json"
    >>> keep_rows(place, kind, lambda: [kind(3, 0.1)]) == keep_rows(place, kind, lambda: [])
    True
    """
    if not path.exists():
        found = list(measure())
        write_whole(path, pack_records(found).tobytes().decode())
        return found
    try:
        return [kind(**row) for row in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it to measure that again") from error
