"""What all annotation files of COCO's form have in common: images, categories, and the ids that name them.

A file is `{"images": [...], "annotations": [...], "categories": [...]}`, in any order, with any other keys.
Ids are whole numbers or texts. Source of the format: cocodataset.org, "Data format".
"""

import re
import reprlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from unitscope.concepts.formats.coco.streamed_json import stream_json
from unitscope.concepts.formats.indexes import Index, join_texts
from unitscope.concepts.formats.stored.opening import PIXEL_LIMIT
from unitscope.errors import SourceError
from unitscope.progress import BYTES, follow

if TYPE_CHECKING:
    Integers: TypeAlias = array[int]
else:
    Integers = array  # which cannot be subscripted at run time

TAKE_OUT = "mend it or take it out"

_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029]")


class Builder(Protocol):
    """Takes the items of an annotation file in their order, then makes an index of them.

    Both raise `SourceError` where something is wrong, without the file's name.
    """

    def add(self, key: str, item: Any, /) -> None: ...

    def finish(self) -> dict[str, np.ndarray]: ...


def read_tables(path: Path, make_builder: Callable[[], Builder]) -> Index:
    """What a builder makes of an annotation file, which is read once; `content` has its SHA-256.

    Raises `SourceError` naming the file for whatever is wrong with it.
    """
    digest = sha256()
    builder = make_builder()
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from None
    with follow(size, f"indexing {path.name}", BYTES) as work:

        def watch(data: bytes) -> None:
            digest.update(data)
            work.update(len(data))

        for key, item in stream_json(path, watch):
            try:
                builder.add(key, item)
            except SourceError as error:
                raise SourceError(f"{path}: {error}") from None
    try:
        return {**builder.finish(), "content": np.frombuffer(digest.digest(), np.uint8)}
    except SourceError as error:
        raise SourceError(f"{path}: {error}") from None


def new_integers(given: Sequence[int] = ()) -> Integers:
    """Whole numbers of 64 bits, which may become more."""
    return array("q", given)


def show(value: object) -> str:
    """A value in a message, however long it is.

    >>> show("a" * 100)
    "'aaaaaaaaaaaa...aaaaaaaaaaaaa'"
    """
    return reprlib.repr(value)


def get_fields(item: Any, what: str) -> dict[str, Any]:
    """An item that must be an object."""
    if not isinstance(item, dict):
        raise SourceError(f"an item of {what} is {show(item)}; wanted an object")
    return item


@dataclass
class Ids:
    """Ids by number: in the order in which they come, and in the order in which the file defines them."""

    what: str
    numbers: dict[int | str, int] = field(default_factory=dict)
    told: dict[int, int] = field(default_factory=dict)

    def find(self, value: Any, where: Callable[[], str]) -> int:
        """The number of an id that something names, whether it is defined already or not."""
        if type(value) is not int and type(value) is not str:
            raise SourceError(f"{where()}: the id of its {self.what} is {show(value)}; wanted a whole number")
        return self.numbers.setdefault(value, len(self.numbers))

    def tell(self, fields: dict[str, Any]) -> int:
        """The number of a thing with that id, which the file defines here."""
        number = self.find(fields.get("id"), lambda: f"{self.what} {show(fields)}")
        if number in self.told:
            raise SourceError(
                f"there are two {self.what} entries with the id {show(fields['id'])}; {TAKE_OUT}"
            )
        self.told[number] = len(self.told)
        return number

    def place(self, numbers: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
        """The places in the order of the file's definitions of numbers that `find` gave.

        `where` spells what named the number at an index of `numbers`, for the message.
        """
        places = np.full(len(self.numbers) + 1, -1, np.int32)
        places[list(self.told)] = list(self.told.values())
        found: np.ndarray = places[numbers]
        if (found < 0).any():
            index = int(np.flatnonzero(found < 0)[0])
            value = list(self.numbers)[numbers[index]]
            raise SourceError(
                f"{where(index)} names the {self.what} {show(value)}, which is not there; {TAKE_OUT}"
            )
        return found


@dataclass
class Header:
    """The images and categories of a file."""

    images: Ids = field(default_factory=lambda: Ids("image"))
    categories: Ids = field(default_factory=lambda: Ids("category"))
    names: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    category_names: list[str] = field(default_factory=list)
    supercategories: list[str] = field(default_factory=list)

    def add(self, key: str, item: Any) -> bool:
        """Takes an item where it is one of these."""
        if key == "images":
            fields = get_fields(item, key)
            self.images.tell(fields)
            self.names.append(_read_name(fields))
            self.sizes.append(_read_size(fields))
        elif key == "categories":
            fields = get_fields(item, key)
            self.categories.tell(fields)
            self.category_names.append(read_text(fields, "name", f"the category {show(fields['id'])}"))
            self.supercategories.append(str(fields.get("supercategory", ""))[:100])
        else:
            return False
        return True

    def finish(self) -> dict[str, np.ndarray]:
        """`images` and `sizes` (height, width), `categories` and `supercategories`."""
        for what, found in (("images", self.names), ("categories", self.category_names)):
            if not found:
                wanted = "images, annotations and categories, as in instances_val2017.json"
                raise SourceError(f"it has no {what}; wanted a file with {wanted}")
        return {
            **join_texts("images", self.names),
            "sizes": np.array(self.sizes, np.int32).reshape(-1, 2),
            **join_texts("categories", self.category_names),
            **join_texts("supercategories", self.supercategories),
        }


def read_text(fields: dict[str, Any], key: str, where: str) -> str:
    """A text that must be there, in one line."""
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip() or _CONTROL.search(value):
        raise SourceError(f"{where} has the {key} {show(value)}; wanted a text in one line")
    return value


def _read_name(fields: dict[str, Any]) -> str:
    """The picture's file: as it is named, or in LVIS the last two parts of its address at COCO's."""
    if "file_name" in fields:
        name = read_text(fields, "file_name", f"the image {show(fields['id'])}")
    else:
        address = fields.get("coco_url")
        name = "/".join(address.split("/")[-2:]) if isinstance(address, str) else ""
        if not name.strip("/") or _CONTROL.search(name):
            raise SourceError(
                f"the image {show(fields['id'])} has neither a file_name nor a coco_url; add one"
            )
    return name.replace("\\", "/").removeprefix("./")


def _read_size(fields: dict[str, Any]) -> tuple[int, int]:
    height, width = fields.get("height"), fields.get("width")
    if type(height) is not int or type(width) is not int or height < 1 or width < 1:
        found = f"the height {show(height)} and width {show(width)}"
        raise SourceError(f"the image {show(fields['id'])} has {found}; wanted whole numbers of pixels")
    if height * width > PIXEL_LIMIT:
        most = f"more than {PIXEL_LIMIT // 1_000_000} megapixels"
        raise SourceError(f"the image {show(fields['id'])} is said to have {most}; {TAKE_OUT}")
    return height, width
