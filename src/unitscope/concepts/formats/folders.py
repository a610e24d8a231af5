"""A folder of images with masks, or a folder of folders of images, as a source of concepts.

Two layouts are read::

    DIR/images/*.jpg  DIR/masks/*.png  DIR/classes.json      pixels with names
    DIR/street/*.jpg  DIR/kitchen/*.jpg                      images with names

In the first, a mask belongs to the image of the same stem; images without a mask are unlabelled. The two
folders may have other names when both are given. What the masks' numbers mean, and how several layers of
masks are declared, is described in `unitscope.concepts.formats.mask_classes`. In the second, the name of
the folder is a label of the whole image, a scene unless said otherwise (by the `category` argument or a
`classes.json` that holds `{"category": "texture"}`); images at the top have no label, so a flat folder of
images is a source without concepts. An optional `splits.json` maps the names of splits to lists of images.

Images may be .jpg, .jpeg, .png, .webp, .bmp, .tif or .tiff; in a folder without such also .npy, arrays of
(y, x, band). TIFF files may have any number of bands. An EXIF orientation is not applied: masks
are drawn over stored pixels.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from unitscope.axes import Planes, Void
from unitscope.concepts.formats.bands import ARRAY_SUFFIX
from unitscope.concepts.formats.mask_classes import FILE_NAME, ClassFile, MaskLayer, read_classes, read_json
from unitscope.concepts.formats.pictures import MASK_SUFFIXES, find_pictures, read_image, read_mask
from unitscope.concepts.vocabulary import Concept, Example, Vocabulary, no_planes
from unitscope.errors import SourceError, UsageError

SPLITS_FILE = "splits.json"


@dataclass(frozen=True, eq=False)
class FolderSource:
    """Images of a folder, with the concepts of their masks or of their folders' names.

    Opened by `open_folder`. `images` are paths relative to `image_root`, sorted, which are also the
    examples' keys; `labels` the concepts of whole images; `masks` holds for every layer the mask file of
    a stem.
    """

    root: Path
    image_root: Path
    images: tuple[str, ...]
    vocabulary: Vocabulary
    labels: tuple[tuple[int, ...], ...]
    layers: tuple[MaskLayer, ...] = ()
    masks: tuple[dict[str, Path], ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int, /) -> Example:
        """The example; raises `SourceError` where its image or a mask of it cannot be used."""
        key = self.images[index]
        image = read_image(self.image_root / key)
        planes, void = self._read_masks(key, (image.shape[0], image.shape[1]))
        return Example(key, image, planes, self.labels[index], void)

    def peek(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The key of an example and the labels of its whole image."""
        return self.images[index], self.labels[index]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all examples."""
        return self.images

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.resolve().name

    @property
    def spec(self) -> str:
        """The text that opens this source again."""
        paired = any(key == "masks" for key, _ in self.options)
        place = self.image_root if paired else self.root
        return ",".join([f"folder:{place}", *(f"{key}={value}" for key, value in self.options)])

    def list_files(self) -> list[Path]:
        """All images, then all masks."""
        files = [self.image_root / image for image in self.images]
        return files + [mask for masks in self.masks for mask in masks.values()]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over options, names and sizes of all files, and the contents of the .json files."""
        texts = [self.root / name for name in (FILE_NAME, SPLITS_FILE)]
        options = sorted(option for option in self.options if option[0] != "masks")  # a place, no choice
        return digest_files(self.root, self.list_files(), texts, f"folder {options}")

    def audit(self) -> Iterator[tuple[str, str]]:
        """What reading never meets: masks that belong to no image, as pairs of file and remark."""
        if any(key == "split" for key, _ in self.options):
            return
        stems = {_stem(image) for image in self.images}
        for masks in self.masks:
            for stem, path in masks.items():
                if stem not in stems:
                    yield path.relative_to(self.root).as_posix(), "no image has this mask's name"

    def _read_masks(self, key: str, size: tuple[int, int]) -> tuple[Planes, Void | None]:
        planes, void = [], np.zeros(size, bool)
        for layer, masks in zip(self.layers, self.masks, strict=True):
            path = masks.get(_stem(key))
            if path is None:
                continue
            values = read_mask(path)
            if values.shape != size:
                image = f"its image {PurePosixPath(key).name} is {size[1]}x{size[0]}"
                found = f"the mask is {values.shape[1]}x{values.shape[0]} pixels"
                raise SourceError(f"{path}: {found}, {image}; make them the same size")
            unknown = values[~layer.known[values]]
            if unknown.size:
                lack = f"which {FILE_NAME} does not name; add it there"
                raise SourceError(f"{path}: the mask holds id {unknown[0]}, {lack}")
            planes.append(layer.concept_ids[values])
            void |= layer.void[values]
        return np.stack(planes) if planes else no_planes(), void if void.any() else None


def open_folder(
    path: str | Path,
    *,
    category: str | None = None,
    split: str | None = None,
    masks: str | Path | None = None,
) -> FolderSource:
    """A folder of images, with masks or with folder names as labels.

    `category` replaces the categories of `classes.json`; `split` keeps the images that `splits.json`
    lists under that name. With `masks`, `path` holds the images and `masks` their masks, whatever the names
    of the two; `classes.json` and `splits.json` lie in the folder that holds both.

    Raises `SourceError` where there is no image, or `classes.json` is missing or wrong; `UsageError`
    where `path` or `masks` is no folder or the split is unknown.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for scene in ("street", "kitchen"):
    ...         (Path(folder) / scene).mkdir()
    ...         Image.new("RGB", (8, 6)).save(Path(folder) / scene / "a.png")
    ...     source = open_folder(folder)
    ...     source[1].key, source.vocabulary[source[1].ids[0]]
    ('street/a.png', Concept(id=2, name='street', category='scene'))
    """
    root = Path(path)
    if not root.is_dir():
        wanted = "one of images, or one that holds images/ and masks/"
        raise UsageError(f"{root} is not a folder; wanted {wanted}")
    if masks is not None:
        source = _open_pair(root, Path(masks), category)
    elif (root / "images").is_dir():
        source = _open_masked(root, category)
    else:
        source = _open_named(root, category)
    if split is not None:
        source = keep_split(source, split)
    place = None if masks is None else str(Path(masks).resolve())
    given = (("category", category), ("split", split), ("masks", place))
    return replace(source, options=tuple((key, value) for key, value in given if value is not None))


def list_splits(source: FolderSource) -> tuple[str, ...]:
    """The names of the splits of a folder, as in its `splits.json`; none where there is no such file."""
    path = source.root / SPLITS_FILE
    return tuple(_read_splits(path)) if path.is_file() else ()


def keep_split(source: FolderSource, split: str) -> FolderSource:
    """The same folder with the images of a split alone.

    Raises `UsageError` where the split is unknown, `SourceError` where it lists none of the images.
    """
    path = source.root / SPLITS_FILE
    if not path.is_file():
        advice = f"so it has no split {split!r}; leave the split out"
        raise UsageError(f"{source.root} has no {SPLITS_FILE}, {advice}")
    splits = _read_splits(path)
    if split not in splits:
        names = ", ".join(map(repr, splits))
        raise UsageError(f"{source.root} has no split {split!r}; its splits are {names}")
    wanted = {str(name) for name in splits[split]}
    pairs = zip(source.images, source.labels, strict=True)
    kept = {image: labels for image, labels in pairs if wanted & {image, _stem(image)}}
    if not kept:
        raise SourceError(f"{path}: split {split!r} lists none of the images that exist")
    options = (*source.options, ("split", split))
    return replace(source, images=tuple(kept), labels=tuple(kept.values()), options=options)


def digest_files(root: Path, files: Iterable[Path], texts: Iterable[Path], head: str) -> str:
    """SHA-256 over `head`, the relative names and sizes of `files`, and the contents of `texts`."""
    digest = hashlib.sha256(head.encode())
    for path in files:
        size = path.stat().st_size if path.is_file() else -1
        digest.update(f"\n{path.relative_to(root).as_posix()} {size}".encode("utf-8", "surrogateescape"))
    for path in texts:
        if path.is_file():
            digest.update(f"\n{path.name}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _open_masked(root: Path, category: str | None) -> FolderSource:
    has_classes = (root / FILE_NAME).is_file()
    if not has_classes and (root / "masks").is_dir():
        raise SourceError(f"{root}: masks/ needs a {FILE_NAME} that names its ids; add one")
    classes = read_classes(root / FILE_NAME, category) if has_classes else ClassFile()
    return _join_masks(root, root / "images", classes, [root / layer.folder for layer in classes.layers])


def _open_pair(images: Path, masks: Path, category: str | None) -> FolderSource:
    """Images and masks in two folders that were both named."""
    if not masks.is_dir():
        raise UsageError(f"{masks} is not a folder; wanted the one that holds the masks of {images}")
    # Whole paths: two relative ones may have no folder in common that can be named.
    images, masks = images.resolve(), masks.resolve()
    root = Path(os.path.commonpath([images, masks]))
    if root in (images, masks):
        raise UsageError(f"{images} and {masks} lie in each other; wanted two folders side by side")
    if not (root / FILE_NAME).is_file():
        raise SourceError(f"{root}: the masks need a {FILE_NAME} here that names their ids; add one")
    classes = read_classes(root / FILE_NAME, category)
    if len(classes.layers) != 1:
        wanted = f"one for the masks in {masks.name}/, or open the folder as folder:{root}"
        raise SourceError(f"{root / FILE_NAME} names {len(classes.layers)} layers of masks; wanted {wanted}")
    return _join_masks(root, images, classes, [masks])


def _join_masks(root: Path, image_root: Path, classes: ClassFile, folders: list[Path]) -> FolderSource:
    images = _find_images(root, image_root)
    found = ((folder, find_pictures(folder, MASK_SUFFIXES)) for folder in folders)
    masks = tuple({_stem(name): folder / name for name in names} for folder, names in found)
    labels = ((),) * len(images)
    return FolderSource(root, image_root, images, classes.vocabulary, labels, classes.layers, masks)


def _open_named(root: Path, category: str | None) -> FolderSource:
    if (root / FILE_NAME).is_file():
        classes = read_classes(root / FILE_NAME, category)
        if classes.layers:
            reason = "names mask classes, but there is no images/ folder beside it"
            raise SourceError(f"{root}: {FILE_NAME} {reason}")
        category = classes.category
    images = _find_images(root, root)
    folders = [PurePosixPath(image).parent.as_posix() for image in images]
    ids = {name: number for number, name in enumerate(sorted({*folders} - {"."}), start=1)}
    labels = tuple((ids[folder],) if folder in ids else () for folder in folders)
    concepts = tuple(Concept(number, name, category or "scene") for name, number in ids.items())
    return FolderSource(root, root, images, Vocabulary(concepts), labels)


def _find_images(root: Path, folder: Path) -> tuple[str, ...]:
    found = tuple(find_pictures(folder) or find_pictures(folder, frozenset({ARRAY_SUFFIX})))
    if not found:
        raise SourceError(f"{root}: no images (.jpg, .png, .webp, .bmp, .tif, .npy) were found in it")
    return found


def _read_splits(path: Path) -> dict[str, list[object]]:
    splits = read_json(path)
    if not isinstance(splits, dict) or not all(isinstance(names, list) for names in splits.values()):
        raise SourceError(f"{path}: wanted an object that maps the names of splits to lists of images")
    return splits


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()
