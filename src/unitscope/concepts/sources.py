"""Sources of concepts by name."""

import os
from collections.abc import Callable, Mapping, Sequence

from unitscope.concepts.derived import (
    HALVES,
    DerivedSource,
    limit,
    shuffle_labels,
    source_spec,
    split_source,
)
from unitscope.concepts.formats.broden.published import open_broden
from unitscope.concepts.formats.folder.layouts import open_folder
from unitscope.concepts.formats.whole.listed import open_listed
from unitscope.concepts.owned_parts import keep_owned
from unitscope.concepts.quadrants import split_quadrants
from unitscope.concepts.vocabulary import ConceptSource
from unitscope.errors import UsageError
from unitscope.options import Options, check_options, read_number, split_options
from unitscope.plugins import SOURCES, Kind, find_kind, say_kinds


def open_concepts(spec: str, kinds: Mapping[str, Kind] | None = None) -> ConceptSource:
    """The source that a text names, of all that need no network.

    - `folder:DIR[,category=NAME][,split=NAME][,masks=DIR][,bare=in][,exif=stored][,background=COLOR]
      [,range=LOW-HIGH]`: `open_folder`; with `list=FILE` `formats.whole.listed.open_listed`
    - `broden:DIR[,split=NAME][,categories=NAME+NAME]`: `open_broden`
    - published sets, as `KINDS` lists them
    - `FILE.py:FACTORY[,option=value]`: what a function of yours returns (`unitscope.concepts.own_source`)
    - what packages bring by name (`unitscope.plugins.SOURCES`), or `kinds` in place of all of the above
    - with any of them, applied in the order of the text: `limit=N` (`limit`), `shuffle=SEED`
      (`shuffle_labels`), `half=train` or `half=test`, also `half=test:SHARE:SEED` (`split_source`),
      `quadrants=CATEGORY` (`quadrants.split_quadrants`), `owners=own` or `owners=FILE`
      (`owned_parts.keep_owned`)

    A folder whose name has such an ending is taken as it stands.

    Raises `UsageError` where the kind, an option or a value is unknown, and what the opened source raises.

    >>> open_concepts("floder:photos")
    Traceback (most recent call last):
    unitscope.errors.UsageError: 'floder:photos' is no source of concepts; near names: folder, ...
    """
    kinds = KINDS if kinds is None else kinds
    name, _, rest = spec.partition(":")
    kind = find_kind(SOURCES, kinds, ".py" if name.endswith(".py") else name)
    if kind is None:
        raise UsageError(f"{spec!r} is no source of concepts{say_kinds(SOURCES, kinds, name)}")
    place, options = split_options(rest)
    if place.startswith("~"):
        place = os.path.expanduser(place)  # behind a colon the shell leaves it
    if not place and kind.grammar.startswith(f"{name}:"):
        raise UsageError(f"{spec!r} does not say what to open; wanted {kind.grammar}")
    known: Sequence[str] = kind.options
    if kind is kinds.get(".py"):
        if not place:
            raise UsageError(f"{spec} does not say which function returns the source; wanted {kind.grammar}")
        place, known = f"{name}:{place}", [key for key, _ in options if key not in _DERIVED]
    return derive(kind(place, check_options(name, options, known, tuple(_DERIVED))), options)


def derive(source: ConceptSource, options: Options) -> ConceptSource:
    """The source with those options applied, in their order, that any source has; the others are passed over.

    Raises `UsageError` for a value that does not fit.
    """
    for key, value in options:
        if key in _DERIVED:
            source = _DERIVED[key](source, value)
    return source


def unravel(source: ConceptSource) -> tuple[str, Options]:
    """What a source's options were applied to, as its text, and these, which `derive` applies again.

    The text of the whole may open another one: a segmenter takes a limit at its end for that of its images.
    """
    options: list[tuple[str, str]] = []
    while isinstance(source, DerivedSource):
        try:
            key, _, value = source.option.partition("=")
        except NotImplementedError:  # it has a text of its own
            break
        if key not in _DERIVED:
            break
        options.insert(0, (key, value))
        source = source.source
    return source_spec(source), options


def _open_half(source: ConceptSource, value: str) -> ConceptSource:
    half, *numbers = value.split(":")
    try:
        share = float(numbers[0]) if numbers else 0.5
        seed = int(numbers[1]) if len(numbers) > 1 else 0
    except ValueError:
        half = ""
    if half not in HALVES or len(numbers) > 2:
        raise UsageError(f"half={value!r}: wanted train or test, or train:SHARE:SEED such as train:0.7:0")
    return split_source(source, half, share=share, seed=seed)


def _open_folder(place: str, options: Mapping[str, str]) -> ConceptSource:
    if "list" not in options:
        for option in ("names", "label", "words"):
            if option in options:
                told = "says what the labels of a list mean; give the list too, with list=FILE"
                raise UsageError(f"{option}= {told}")
        return open_folder(place, **options)
    if "masks" in options:
        raise UsageError("list= labels whole pictures and masks= their pixels; give one of them")
    return open_listed(place, options)


def _open_broden(place: str, options: Mapping[str, str]) -> ConceptSource:
    categories = options["categories"].split("+") if "categories" in options else None
    return open_broden(place, split=options.get("split"), categories=categories)


_FORMATS = "unitscope.concepts.formats"
_FOLDER_OPTIONS = (
    *("category", "split", "masks", "bare", "list", "names", "exif", "background", "range"),
    *("label", "words"),  # of lists alone
)

KINDS: Mapping[str, Kind] = {
    "folder": Kind(
        _open_folder,
        "folder:DIR[,category=NAME,split=NAME,masks=DIR,list=FILE,names=FILE,label=TITLE,words=apart"
        ",bare=in,exif=stored,background=COLOR,range=LOW-HIGH]",
        "images with masks, in folders named by what they show, or in a list",
        _FOLDER_OPTIONS,
    ),
    "broden": Kind(
        _open_broden,
        "broden:DIR[,split=NAME,categories=NAME+NAME]",
        "the data set of Network Dissection, as its authors publish it",
        ("split", "categories"),
    ),
    "ade20k": Kind(
        f"{_FORMATS}.ade20k.forms:open_ade20k",
        "ade20k:DIR[,split=training,unlabelled=void,parts=no,bare=in]",
        "ADE20K: SceneParse150, or the full set of 2021 or 2016",
        ("split", "unlabelled", "parts", "bare"),
    ),
    "camvid": Kind(
        "unitscope.concepts.formats.maps.camvid:open_camvid",
        "camvid:DIR[,split=train][,bare=in]",
        "CamVid: streets in Cambridge, as published, as SegNet or as fast.ai has it",
        ("split", "bare"),
    ),
    "cityscapes": Kind(
        "unitscope.concepts.formats.maps.cityscapes:open_cityscapes",
        "cityscapes:DIR[,split=val][,masks=gtFine][,eval=yes][,bare=in]",
        "Cityscapes: streets of 50 cities",
        ("split", "masks", "eval", "bare"),
    ),
    "coco": Kind(
        "unitscope.concepts.formats.coco.instances_source:open_coco",
        "coco:IMAGES,annotations=FILE.json[,crowd=void or label,parts=whole or merged,attributes=yes"
        ",bare=out]",
        "instances of COCO and LVIS; objects, parts and attributes of PACO",
        ("annotations", "crowd", "parts", "attributes", "bare"),
    ),
    "coco-panoptic": Kind(
        "unitscope.concepts.formats.coco.panoptic:open_panoptic",
        "coco-panoptic:IMAGES,annotations=FILE.json[,masks=DIR,crowd=void,bare=in]",
        "panoptic segments as COCO has them",
        ("annotations", "masks", "crowd", "bare"),
    ),
    "cocostuff": Kind(
        "unitscope.concepts.formats.maps.cocostuff:open_cocostuff",
        "cocostuff:DIR[,split=val2017][,unlabelled=void][,bare=in]",
        "COCO-Stuff: things and stuff on COCO's photographs, one mask each",
        ("split", "unlabelled", "bare"),
    ),
    "dtd": Kind(
        f"{_FORMATS}.whole.dtd:open_dtd",
        "dtd:DIR[,split=train1,joint=yes]",
        "the Describable Textures Dataset",
        ("split", "joint"),
    ),
    "hf": Kind(
        f"{_FORMATS}.hf.rows_source:open_hf",
        "hf:DIR[,split=NAME,config=NAME,image=COLUMN,masks=COLUMN+COLUMN,classes=FILE,void=0+255,"
        "label=COLUMN+COLUMN,category=NAME,bare=in]",
        "a data set of the Hugging Face Hub on disk: parquet, or what save_to_disk wrote",
        ("split", "config", "image", "masks", "classes", "void", "label", "category", "bare"),
    ),
    "imagenet": Kind(
        f"{_FORMATS}.whole.imagenet:open_imagenet",
        "imagenet:DIR[,split=val,synsets=FILE,truth=FILE]",
        "ImageNet's 1,000 classes, as of Kaggle or torchvision",
        ("split", "synsets", "truth"),
    ),
    "mapillary": Kind(
        "unitscope.concepts.formats.maps.mapillary:open_mapillary",
        "mapillary:DIR[,split=validation][,version=v2.0][,bare=in]",
        "Mapillary Vistas: streets of the world",
        ("split", "version", "bare"),
    ),
    "places365": Kind(
        f"{_FORMATS}.whole.places365:open_places365",
        "places365:DIR[,split=val]",
        "Places365, pictures of scenes",
        ("split",),
    ),
    "sun397": Kind(
        f"{_FORMATS}.whole.sun397:open_sun397",
        "sun397:DIR[,split=Training_01]",
        "SUN397, pictures of scenes",
        ("split",),
    ),
    "voc": Kind(
        "unitscope.concepts.formats.voc.layout:open_voc",
        "voc:DIR[,split=train][,masks=DIR][,lists=DIR][,classes=FILE][,background=no][,bare=in]",
        "Pascal VOC, and sets laid out like it",
        ("split", "masks", "lists", "classes", "background", "bare"),
    ),
    "wds": Kind(
        f"{_FORMATS}.wds.samples:open_wds",
        "wds:DIR/train-{000000..000001}.tar[,image=jpg,masks=png,classes=FILE,void=0+255,label=cls,category=NAME"
        ",bare=in]",
        "shards of WebDataset: tar files of pictures beside their masks or labels",
        ("image", "masks", "classes", "void", "label", "category", "bare"),
    ),
    ".py": Kind(
        "unitscope.concepts.own_source:open_own",
        "FILE.py:FACTORY[,option=value]",
        "what a function of yours returns, called with the options",
    ),
}
"""The kinds of sources that are always there."""

_DERIVED: Mapping[str, Callable[[ConceptSource, str], ConceptSource]] = {
    "limit": lambda source, value: limit(source, read_number("limit", value)),
    "shuffle": lambda source, value: shuffle_labels(source, read_number("shuffle", value)),
    "half": _open_half,
    "quadrants": split_quadrants,
    "owners": keep_owned,
}

APPLIED = tuple(_DERIVED)
"""Options that any source has."""
