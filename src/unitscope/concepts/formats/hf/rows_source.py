"""Data sets of the Hugging Face Hub on disk: clones of repositories, `save_to_disk`, single files.

Rows are read from parquet and Arrow files when they are asked for; nothing is fetched. A column of pictures
is the picture; another one may be masks, whose numbers a list of classes names; numbers that name themselves
(`ClassLabel`), or texts, are labels of whole pictures, of which -1 and null are none. The columns of
`1aurent/ADE20K` are told and read as that set is (`unitscope.concepts.formats.hf.ade_rows`).

A row without a picture, or without any label among labelled ones, is left out; `bare=in` takes the latter in.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path

import numpy as np

from unitscope.concepts.formats.ade20k.files import NO_SCENE
from unitscope.concepts.formats.annotated import AnnotatedSource, Layer
from unitscope.concepts.formats.class_lists import (
    ClassList,
    Words,
    add_void,
    find_classes,
    read_numbers,
    tell_values,
)
from unitscope.concepts.formats.hf import ade_rows as hf_ade
from unitscope.concepts.formats.hf.cells import CellMasks, CellPictures, Cells, RowKeys
from unitscope.concepts.formats.hf.columns import Choice, Column, choose_columns, is_ade, read_columns
from unitscope.concepts.formats.hf.row_blocks import BLOCK_BYTES, Rows, find_blocks, load_arrow
from unitscope.concepts.formats.hf.tables import CARD, CLASSES_FILE, NO_ROWS, Tables, find_tables
from unitscope.concepts.formats.indexes import Index, join_texts, keep_index, split_texts
from unitscope.concepts.formats.mask_values import MaskValues
from unitscope.concepts.formats.whole.labels import (
    NO_PICTURE,
    UNLABELLED,
    LabelCells,
    find_in,
    find_listed,
    gather_labels,
    guess_category,
    name_labels,
    unpack_labels,
)
from unitscope.concepts.left_out import OTHER_SPLIT, count_left_out, note_bare, takes_bare
from unitscope.errors import SourceError, UsageError
from unitscope.progress import follow

SCENES = "scene_category"


def open_hf(place: str, options: Mapping[str, str]) -> AnnotatedSource:
    """The rows of a data set of the Hub that lies on disk.

    Raises `UsageError` where pyarrow is not installed, and for a split, set or column that does not exist;
    `SourceError` for files that cannot be read, or rows of which none has a picture or label.
    """
    load_arrow()
    tables = find_tables(Path(place), options.get("config"))
    splits = tables.choose(options.get("split"))
    columns = read_columns(splits, tables.features)
    chosen = {path for files in splits.values() for path in files}
    others = {path for files in tables.splits.values() for path in files} - chosen
    named = ((OTHER_SPLIT, path.relative_to(tables.root).as_posix()) for path in sorted(others))
    tables = replace(tables, left_out=(*tables.left_out, *named))
    opening = _Opening(place, options, tables, splits, columns)
    if is_ade(columns) and not {"image", "masks", "classes", "label", "category"} & {*options}:
        return opening.open_ade()
    return opening.open(choose_columns(columns, options, Path(place)))


@dataclass
class _Opening:
    """What is known before the rows are looked at."""

    place: str
    options: Mapping[str, str]
    tables: Tables
    splits: Mapping[str, Sequence[Path]]
    columns: Mapping[str, Column]

    def open(self, choice: Choice) -> AnnotatedSource:
        if self._void and not choice.masks:
            raise UsageError(
                f"void={self.options['void']}: there are no masks to which it applies; leave it out"
            )
        conflict = next(filter(None, (self.columns[name].conflict for name in choice.labels)), "")
        if conflict:
            raise SourceError(conflict)
        needing = [name for name in choice.labels if self.columns[name].nameless]
        root, named = self.tables.root, self.options.get("classes")
        lists, texts = find_classes(named, [*choice.masks, *needing], [root / CLASSES_FILE], root)
        words, category = Words(), self.options.get("category")
        values: list[MaskValues] = []
        notes: list[str] = []
        for column in choice.masks:
            found, vocabulary = lists[column]
            found = add_void(found, self._void)
            values.append(words.adopt(found, vocabulary, None if choice.labels else category))
            notes += tell_values(f"{column}: " if len(choice.masks) > 1 else "", values[-1])
        read = self._read(choice.pictured, choice.labels)
        notes += self._tell_names(choice.labels)
        finders = [self._find(column, lists.get(column), words) for column in choice.labels]
        whole = [name_labels(one, find) for one, find in zip(read.labels, finders, strict=True)]
        labels = [tuple(dict.fromkeys(chain(*one))) for one in zip(*whole, strict=True)]
        labelled = np.zeros(len(read.rows), bool) if whole or choice.masks else None
        if labelled is not None:
            labelled[[row for row, ids in enumerate(labels) if ids]] = True
            for one in read.present[1:]:
                labelled |= one
        keys, left_out, bare = self._keep(read, labelled)
        cells = [Cells(read.rows, keys, column, root) for column in choice.pictured]
        layers = [CellMasks(one, meaning) for one, meaning in zip(cells[1:], values, strict=True)]
        self._pass_over({*read.find_named(root), *(os.path.relpath(path, root) for path in texts)})
        return self._finish(cells[0], words, labels, layers, (texts, (*notes, *bare), left_out))

    def open_ade(self) -> AnnotatedSource:
        words = Words()
        read = self._read((hf_ade.IMAGE, hf_ade.MASKS), (hf_ade.SCENE,), ade=True)
        keys, left_out, bare = self._keep(read, read.present[1])
        cells = [Cells(read.rows, keys, column, self.tables.root) for column in read.rows.columns]
        classes = hf_ade.unpack_classes(read.index)
        layer, families = hf_ade.name_codes(cells[1], classes, words, self._void)
        labels = hf_ade.name_scenes(read.labels[0], words)
        notes = tuple(f"void: {number}" for number in self._void)
        notes += () if 0 in self._void else ("unlabelled: 0",)
        source = self._finish(cells[0], words, labels, [layer], ((), (*notes, *bare), left_out))
        return replace(source, families=families)

    @property
    def _void(self) -> tuple[int, ...]:
        return read_numbers("void", self.options["void"]) if "void" in self.options else ()

    def _find(self, column: str, known: ClassList | None, words: Words) -> Callable[[int | str], int]:
        """What gives the concept of a number or text of a column; those that are named all become words."""
        category = self.options.get("category")
        kind = self._find_category(column)
        place = f"{self.place}, column {column!r}"
        if self.columns[column].names:
            names = self.columns[column].names
            counts = Counter(names)  # two classes of one name, such as the crane and the crane, stay apart
            called = [f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names)]
            silent = self._list_no_scenes(column)
            ids = {n: 0 if name in silent else words.find(name, kind) for n, name in enumerate(called)}
            return find_in(ids, place)
        if known is None:
            return lambda text: words.find(str(text), kind)
        return find_listed(known, words, category, place)

    def _pass_over(self, used: Set[str]) -> None:
        """Files below the root that are used are not left out."""
        others = tuple(one for one in self.tables.left_out if one[0] != NO_ROWS or one[1] not in used)
        self.tables = replace(self.tables, left_out=others)

    def _list_no_scenes(self, column: str) -> list[str]:
        """The names in the column of scenes of `scene_parse_150` that stand for none."""
        return [name for name in self.columns[column].names if column == SCENES and name in NO_SCENE]

    def _tell_names(self, labels: Sequence[str]) -> Iterator[str]:
        """Lines about the names of numbers: which are none, are taken from another file, or shared."""
        for number, column in enumerate(labels):
            one, none = self.columns[column], self._list_no_scenes(column)
            if none:
                yield f"{column}: no scene: {', '.join(none)}"
            if one.silent is not None:
                lack = f"{one.silent.name} has no names of its numbers"
                yield f"{column}: {lack}; those of other files are taken"
            for other in labels[:number]:
                shared = [name for name in one.names if name in self.columns[other].names]
                if shared and self._find_category(column) == self._find_category(other):
                    joint = "one concept each for the names that they share"
                    yield f"{other} and {column}: {joint}: {', '.join(shared[:6])}"

    def _find_category(self, column: str) -> str:
        return self.options.get("category") or guess_category(column)

    def _read(self, pictured: Sequence[str], labels: Sequence[str], ade: bool = False) -> "_Read":
        """What is to be known of all rows, found once and kept."""
        files = tuple(path for paths in self.splits.values() for path in paths)

        def build() -> Index:
            blocks = find_blocks(files, pictured)
            rows = Rows(files, tuple(pictured), blocks)
            found: dict[str, np.ndarray] = {"blocks": blocks}
            for number, column in enumerate(pictured):
                found[f"present{number}"] = rows.find_present(column)
                found |= _pack_named(f"named{number}", () if ade else rows.list_named(column))
            with follow(len(rows) * len(labels), f"indexing {self.tables.root.name}", "rows") as work:
                for number, column in enumerate(labels):
                    cells = rows.list_cells(column, work.update)
                    found |= gather_labels(cells, f"{self.place}, column {column!r}").pack(f"label{number}")
            if ade:
                found |= hf_ade.gather_classes(rows.scan(hf_ade.LEAVES), self.place).pack()
            return found

        choice = repr((*pictured, "", *labels, ade, BLOCK_BYTES))
        digest = sha256(choice.encode("utf-8", "surrogatepass")).hexdigest()[:12]
        index = keep_index(f"hf-2-{digest}", files, build)
        return _Read(
            index,
            Rows(files, tuple(pictured), index["blocks"]),
            [index[f"present{number}"] for number in range(len(pictured))],
            [unpack_labels(index, f"label{number}") for number in range(len(labels))],
        )

    def _keep(
        self, read: "_Read", labelled: np.ndarray | None
    ) -> tuple[RowKeys, list[tuple[str, str]], tuple[str, ...]]:
        """The rows that have a picture and are labelled, where any must be; the others, by reason; a note.

        Rows without a label are among the first where the option says so, and the note counts them.
        """
        lengths = np.bincount(read.rows.blocks[:, 0], read.rows.blocks[:, 3], len(read.rows.files))
        starts, file, row = [], 0, 0
        for split, paths in self.splits.items():
            starts.append((split, row))
            row += int(lengths[file : file + len(paths)].sum())
            file += len(paths)
        present = read.present[0]
        kept = present if labelled is None else present & labelled
        lone: list[int] = []
        if takes_bare(self.options) and kept.any():
            lone, kept = np.flatnonzero(present & ~kept).tolist(), present
        keys = RowKeys(tuple(starts), np.flatnonzero(kept))
        left_out = [(NO_PICTURE, keys.spell(row)) for row in np.flatnonzero(~present).tolist()]
        left_out += [(UNLABELLED, keys.spell(row)) for row in np.flatnonzero(present & ~kept).tolist()]
        if not len(keys):
            told = "; ".join(map(str, count_left_out(left_out))) or "they are empty"
            raise SourceError(f"{self.place}: none of {len(present)} rows can be used: {told}")
        return keys, left_out, note_bare([keys.spell(row) for row in lone])

    def _finish(
        self,
        pictures: Cells,
        words: Words,
        labels: Sequence[tuple[int, ...]],
        layers: Sequence[Layer],
        told: tuple[tuple[Path, ...], tuple[str, ...], list[tuple[str, str]]],
    ) -> AnnotatedSource:
        texts, notes, left_out = told
        gone = ", ".join(self.tables.lacking)
        lacking = [f"of splits that {CARD} names, no file is here: {gone}"] if gone else []
        kept = pictures.keys.kept.tolist()
        return AnnotatedSource(
            "hf",
            self.place,
            self.tables.root,
            CellPictures(pictures),
            words.vocabulary,
            labels=tuple(labels[row] for row in kept) if labels else (),
            layers=tuple(layers),
            options=tuple(self.options.items()),
            texts=(*self.tables.texts, *texts),
            left_out=count_left_out([*self.tables.left_out, *left_out]),
            wrong=tuple(chain.from_iterable(map(self.tables.find_wrong, self.splits))),
            notes=(*notes, *lacking),
            content=f"masks {self.options.get('masks')}",  # which lie in the same files, whatever they are
        )


@dataclass(frozen=True, eq=False)
class _Read:
    """Of all rows: which have something in the columns of pictures, and the labels in others."""

    index: Index
    rows: Rows
    present: list[np.ndarray]
    labels: list[LabelCells]

    def find_named(self, root: Path) -> Iterator[str]:
        """The paths below `root` where files that cells name are looked for."""
        folders = [os.path.relpath(path.parent, root) for path in self.rows.files]
        for number in range(len(self.present)):
            files = self.index[f"named{number}_files"].tolist()
            for file, name in zip(files, split_texts(self.index, f"named{number}"), strict=True):
                yield os.path.normpath(os.path.join(folders[file], name))
                yield os.path.normpath(name)


def _pack_named(name: str, named: Iterable[tuple[int, str]]) -> Index:
    pairs = list(dict.fromkeys(named))
    files = np.array([file for file, _ in pairs], np.int64)
    return {f"{name}_files": files, **join_texts(name, [text for _, text in pairs])}
