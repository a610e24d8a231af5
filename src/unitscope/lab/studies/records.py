"""What a study measured as an array of bytes, as workers hand it back."""

import json
from collections.abc import Callable, Iterable
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

Record = TypeVar("Record", bound=DataclassInstance)


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


def keep_records(path: Path, kind: type[Record], measure: Callable[[], list[Record]]) -> list[Record]:
    """What was measured before and lies there, or is measured now and put there.

    Raises `RunError` where what lies there is damaged.
    """
    if not path.exists():
        found = measure()
        write_whole(path, json.dumps([asdict(one) for one in found], default=lambda number: number.item()))
        return found
    try:
        return [kind(**row) for row in json.loads(path.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} is damaged ({error!r}); delete it to measure that again") from error
