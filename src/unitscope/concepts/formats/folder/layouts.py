"""A folder of images with masks, or a folder of folders of images, as a source of concepts.

Two layouts are read::

    DIR/images/*.jpg  DIR/masks/*.png  DIR/classes.json      pixels with names
    DIR/street/*.jpg  DIR/kitchen/*.jpg                      images with names

In the first, a mask belongs to the image of the same stem. The two folders may have other names when both
are given. What the masks' numbers mean, and how several layers of masks are declared, is described in
`unitscope.concepts.formats.folder.mask_classes`. In the second, a folder's name is a label of the whole
image, a scene unless said otherwise (by the `category` argument or a `classes.json` that holds
`{"category": "texture"}`); a folder called after a part of a data set (`train`, `val`, `images`) is none. A
flat folder of images is a source without concepts. An optional `splits.json` maps the names of splits to
lists of images.

An image without any label among labelled ones (without a mask, or outside the named folders) is left out, as
Network Dissection leaves such images out of Broden (section 2.1 of its CVPR text): what nobody has looked at
is not known to lack the concept. `bare=in` takes it in, as an image without any of the concepts.

Images are .jpg (.jpeg, .jpe, .jfif), .png, .webp, .gif, .bmp, .tif (.tiff) or .ppm (.pgm, .pbm, .pnm); in a
folder without such also .npy, arrays of (y, x, band). TIFF files may have any number of bands. How they are
turned, put on a background, and scaled is described in `unitscope.concepts.formats.stored.decoding`. All
other files are counted.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unitscope.concepts.formats.annotated import (
    AnnotatedSource,
    MaskFiles,
    PictureFiles,
    decode_by,
    keep_pictures,
)
from unitscope.concepts.formats.color_masks import ColorFiles
from unitscope.concepts.formats.file_names import cut_suffix, is_picture
from unitscope.concepts.formats.folder.mask_classes import FILE_NAME, ClassFile, read_classes, read_json
from unitscope.concepts.formats.folder.mask_matches import (
    NO_PICTURE,
    UNLABELLED,
    WRONG,
    choose_below,
    choose_images,
    explain_lack,
    match_masks,
)
from unitscope.concepts.formats.folder.names import is_mask_folder, name_folder
from unitscope.concepts.formats.listings import Listing, list_folder
from unitscope.concepts.formats.published import recognize
from unitscope.concepts.formats.stored.decoding import read_decoding
from unitscope.concepts.formats.stored.mask_looks import find_masks
from unitscope.concepts.left_out import OTHER_SPLIT, count_left_out
from unitscope.concepts.vocabulary import Concept, Vocabulary
from unitscope.errors import SourceError, UsageError

SPLITS_FILE = "splits.json"
_ALONE = "no concepts: pictures alone, which a segmenter can label (segmenter:NAME,images=folder:DIR)"
BARE = ("out", "in")


def open_folder(
    path: str | Path,
    *,
    category: str | None = None,
    split: str | None = None,
    masks: str | Path | None = None,
    bare: str = "out",
    exif: str = "upright",
    background: str = "white",
    range: str | None = None,
) -> AnnotatedSource:
    """A folder of images, with masks or with folder names as labels.

    `category` replaces the categories of `classes.json`; `split` keeps the images that `splits.json`
    lists under that name. With `masks`, `path` holds the images and `masks` their masks, whatever the names
    of the two; `classes.json` and `splits.json` lie in the folder that holds both. `bare` says whether images
    without any label are left "out" or taken "in".

    Pictures are turned as their EXIF orientation says where labels of pixels have that size alone; where
    both have one size, or only whole images are labelled, `exif` says so: "upright" or "stored". Transparent
    pixels are put on the `background`: "white", "black" or a color such as "336699". `range` are the numbers
    of black and white, such as "0-4095", in pictures whose files do not say them, or "full".

    Raises `SourceError` where there is no image, no mask belongs to one, `classes.json` is missing or wrong,
    or masks would be taken for pictures; `UsageError` where `path` or `masks` is no folder, the split is
    unknown, an option has no such value, or the folder is a published data set that a word of its own opens.

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
    if bare not in BARE:
        raise UsageError(f"bare={bare!r}: wanted out or in")
    choices = {"exif": exif, "background": background, **({} if range is None else {"range": range})}
    decoding = read_decoding(choices)
    if masks is not None:
        source = _open_pair(root, Path(masks), category, bare)
    elif (root / FILE_NAME).is_file() and (root / "images").is_dir():
        source = _open_masked(list_folder(root), category, bare)
    else:
        word = recognize(root)
        if word is not None:
            raise UsageError(f"{root} is a published data set; open it as {word}")
        listing = list_folder(root)
        open_listing = _open_masked if _is_flat(listing) else _open_named
        source = open_listing(listing, category, bare)
    source = decode_by(source, decoding)
    if split is not None:
        source = keep_split(source, split)
    place = None if masks is None else str(Path(masks).resolve())
    given = (
        ("category", category),
        ("split", split),
        ("masks", place),
        ("bare", bare if bare != "out" else None),
        ("exif", exif if exif != "upright" else None),
        ("background", background if background != "white" else None),
        ("range", range),
    )
    alone = () if len(source.vocabulary) else ((str(root), _ALONE),)
    options = tuple((key, value) for key, value in given if value is not None)
    return replace(source, options=options, wrong=(*source.wrong, *alone))


def list_splits(source: AnnotatedSource) -> tuple[str, ...]:
    """The names of the splits of a folder, as in its `splits.json`; none where there is no such file."""
    path = source.root / SPLITS_FILE
    return tuple(_read_splits(path)) if path.is_file() else ()


def keep_split(source: AnnotatedSource, split: str) -> AnnotatedSource:
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
    places = [place for place, key in enumerate(source.keys) if wanted & {key, cut_suffix(key)}]
    if not places:
        raise SourceError(f"{path}: split {split!r} lists none of the images that exist")
    assert isinstance(source.pictures, PictureFiles)
    start, chosen = os.path.relpath(source.pictures.root, source.root), {*places}
    others = (key for place, key in enumerate(source.keys) if place not in chosen)
    named = ((OTHER_SPLIT, os.path.normpath(os.path.join(start, key))) for key in others)
    return replace(
        keep_pictures(source, places),
        options=(*source.options, ("split", split)),
        left_out=(*source.left_out, *count_left_out(named)),
        wrong=(),
    )


def _is_flat(listing: Listing) -> bool:
    """Whether the folders below `images/` say nothing, or masks lie beside it."""
    root = listing.root
    if not (root / "images").is_dir() or (root / "masks").is_dir():
        return (root / "images").is_dir()
    return not any(map(name_folder, {_parent(name) for name in choose_below(listing, "images")}))


def _open_masked(listing: Listing, category: str | None, bare: str) -> AnnotatedSource:
    root = listing.root
    has_classes = (root / FILE_NAME).is_file()
    if not has_classes and (root / "masks").is_dir():
        raise SourceError(f"{root}: masks/ needs a {FILE_NAME} that names its ids; add one")
    classes = read_classes(root / FILE_NAME, category) if has_classes else ClassFile()
    folders = [layer.folder for layer in classes.layers]
    if not has_classes and (beside := _find_beside(listing)):
        advice = f"say folder:{root}/images,masks={root}/{beside}, with a {FILE_NAME} in {root}"
        raise SourceError(
            f"{root}: {beside}/ looks like the masks of images/; {advice}, or name images/ alone"
        )
    return _join_masks(root, "images", classes, listing, folders, bare)


def _find_beside(listing: Listing) -> str:
    """A folder beside `images/` that is called like masks and holds pictures; "" where there is none."""
    tops = {name.partition("/")[0] for name in listing.names if "/" in name}
    called = sorted(top for top in tops if is_mask_folder(top))
    return next((top for top in called if any(map(is_picture, listing.choose(top)))), "")


def _open_pair(images: Path, masks: Path, category: str | None, bare: str) -> AnnotatedSource:
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
    both = [os.path.relpath(place, root).replace(os.sep, "/") for place in (images, masks)]
    parts = [list_folder(place) for place in (images, masks)]
    names = tuple(f"{one}/{name}" for one, part in zip(both, parts, strict=True) for name in part.names)
    left_out = [
        (why, f"{one}/{name}") for one, part in zip(both, parts, strict=True) for why, name in part.left_out
    ]
    listing = Listing(root, tuple(sorted(names)), tuple(left_out))
    source = _join_masks(root, both[0], classes, listing, [both[1]], bare)
    return replace(source, place=str(images))


def _join_masks(
    root: Path, images: str, classes: ClassFile, listing: Listing, folders: Sequence[str], bare: str
) -> AnnotatedSource:
    joined = match_masks(listing, images, folders, (FILE_NAME, SPLITS_FILE))
    labelled = {image for masks in joined.masks for image in masks}
    left_out, kept = [*listing.left_out, *joined.left_out], joined.images
    if folders and not labelled:
        raise explain_lack(root, images, folders, listing)
    if folders and bare == "out":
        left_out += [(UNLABELLED, f"{images}/{name}") for name in kept if name not in labelled]
        kept = [name for name in kept if name in labelled]
    place = root / images
    layers = tuple(
        MaskFiles(root / folder, masks, layer.values)
        if layer.colors is None
        else ColorFiles(root / folder, masks, layer.values, layer.colors)
        for folder, masks, layer in zip(folders, joined.masks, classes.layers, strict=True)
    )
    wrong = tuple((name, why) for why, name in joined.left_out if why in WRONG)
    return AnnotatedSource(
        "folder",
        str(root),
        root,
        PictureFiles(place, tuple(kept)),
        classes.vocabulary,
        layers=layers,
        texts=(root / FILE_NAME, root / SPLITS_FILE),
        left_out=count_left_out(left_out),
        wrong=wrong,
    )


def _open_named(listing: Listing, category: str | None, bare: str) -> AnnotatedSource:
    root = listing.root
    if (root / FILE_NAME).is_file():
        classes = read_classes(root / FILE_NAME, category)
        if classes.layers:
            reason = "names mask classes, but there is no images/ folder beside it"
            raise SourceError(f"{root}: {FILE_NAME} {reason}")
        category = classes.category
    images = choose_images(listing, "", set())
    if suspect := find_masks(root, images):
        place = f"the folder {suspect.folder}/" if suspect.folder else "it"
        word = recognize(root / suspect.folder)
        advice = "say folder:DIR,masks=DIR with a classes.json above both, or take them out"
        advice = advice if word is None else f"it is of a published data set; open it as {word}"
        raise SourceError(f"{root}: {place} {suspect.reason}, which are no pictures; {advice}")
    folders = {folder: name_folder(folder) for folder in {_parent(image) for image in images}}
    ids = {name: number for number, name in enumerate(sorted({*folders.values()} - {""}), start=1)}
    taken = {*images, FILE_NAME, SPLITS_FILE}
    left_out = [*listing.left_out, *((NO_PICTURE, name) for name in listing.names if name not in taken)]
    if ids and bare == "out":
        left_out += [(UNLABELLED, image) for image in images if not folders[_parent(image)]]
        images = [image for image in images if folders[_parent(image)]]
    whole = {folder: (ids[name],) if name else () for folder, name in folders.items()}
    return AnnotatedSource(
        "folder",
        str(root),
        root,
        PictureFiles(root, tuple(images)),
        Vocabulary(tuple(Concept(number, name, category or "scene") for name, number in ids.items())),
        labels=tuple(whole[_parent(image)] for image in images),
        texts=(root / FILE_NAME, root / SPLITS_FILE),
        left_out=count_left_out(left_out),
    )


def _read_splits(path: Path) -> Mapping[str, list[object]]:
    splits = read_json(path)
    if not isinstance(splits, dict) or not all(isinstance(names, list) for names in splits.values()):
        raise SourceError(f"{path}: wanted an object that maps the names of splits to lists of images")
    return splits


def _parent(name: str) -> str:
    return name.rpartition("/")[0]
