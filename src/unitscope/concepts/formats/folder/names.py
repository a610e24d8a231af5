"""What names of folders and files say: parts of a data set, masks, or what pictures show."""

import re

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLAIN = re.compile(r"[A-Za-z0-9 _.()-]+")
_PARTS = re.compile(
    "train|training|trains|val|valid|validation|tests?|testing|dev|trainval|eval|evaluation|holdout"
    "|images?|imgs?|pictures|photos|jpegimages|jpeg|jpg|png|data|datasets?|all"
)
"""Words that say which part of a data set lies in a folder, and nothing about what pictures show."""
_BESIDE_PARTS = re.compile("sets?|splits?|parts?|fold|batch|subset|dir|raw|rgb|tr|ts|original")
"""Words that stand beside such."""
_MASKS = re.compile(
    "masks?|labels?|annotations?|annots?|annos?|gts?|groundtruth|segmentations?|segs?|segmaps?|labelmaps?"
    "|labelids|trainids|instanceids|stuffthingmaps|panoptic|gtfine|gtcoarse"
)
"""Words that say that masks lie in a folder."""
_BESIDE_MASKS = re.compile(
    "ground|truth|class|classes|objects?|instances?|semantics?|fine|coarse|aug|colors?|colored|colou?r|gray"
    "|ids?|maps?|binary|pixels?|levels?|context"
)
"""Words that stand beside such."""
_ANNOT = re.compile(r".*annots?|ann[_-]?dir", re.IGNORECASE)
_KEPT_WHOLE = re.compile(r"leftimg8bit(_blurred|_sequence)?|jpegimages", re.IGNORECASE)
_ENDING = re.compile(
    r"[_.-](mask|masks|seg|segs|segm|segmentation|label|labels|label_?(train)?ids|(train|instance)_?ids|color_?mask"
    r"|gt|gt_?(fine|coarse)[_a-z]*|annotation|anno|annot|parts_\d+|[LP])$",
    re.IGNORECASE,
)
_PICTURE_ENDING = re.compile(r"[_.-](leftimg8bit|image|img|rgb|photo|picture)$", re.IGNORECASE)


def is_part(name: str) -> bool:
    """Whether a folder's name says only which part of a set it is.

    >>> [is_part(name) for name in ("val2017", "imagesTr", "test_set", "split_1", "kitchen", "split", "2")]
    [True, True, True, True, False, False, False]
    """
    words = _split(name)
    if _KEPT_WHOLE.fullmatch(name):
        return True
    told = [word for word in words if not word.isdigit()]
    if told and told[0] in ("split", "fold") and len(told) == 1 and len(words) == 2:
        return True
    known = [*filter(_PARTS.fullmatch, told), *filter(_BESIDE_PARTS.fullmatch, told)]
    return any(map(_PARTS.fullmatch, told)) and len(known) == len(told)


def is_mask_folder(name: str) -> bool:
    """Whether a folder's name says that masks lie in it.

    >>> [is_mask_folder(name) for name in ("masks", "gtFine", "SegmentationClass", "trainannot", "with_mask")]
    [True, True, True, True, False]
    """
    words = [word for word in _split(name) if not word.isdigit()]
    known = (_MASKS, _BESIDE_MASKS, _PARTS, _BESIDE_PARTS)
    if _ANNOT.fullmatch(name) or {"ground", "truth"} <= set(words):
        return True
    fits = all(any(one.fullmatch(word) for one in known) for word in words)
    return fits and any(map(_MASKS.fullmatch, words))


def name_folder(folder: str) -> str:
    """What a folder's path says about its pictures, without names that only say which part of a set it is.

    >>> name_folder("train/kitchen"), name_folder("val"), name_folder("a/abbey")
    ('kitchen', '', 'a/abbey')
    """
    return "/".join(part for part in folder.split("/") if part != "." and not is_part(part))


def split_ending(stem: str) -> tuple[str, str]:
    """A file's stem without an ending that masks have, or pictures beside them, and the ending of a mask.

    >>> split_ending("0_mask"), split_ending("aachen_1_leftImg8bit"), split_ending("aachen_1_gtFine_labelIds")
    (('0', '_mask'), ('aachen_1', ''), ('aachen_1', '_gtFine_labelIds'))
    """
    found = _ENDING.search(stem)
    if found is not None and found.start():
        return stem[: found.start()], found[0]
    return _PICTURE_ENDING.sub("", stem), ""


def _split(name: str) -> list[str]:
    """The words of a name in small letters, where all of it is such words: capitals inside begin new ones."""
    return [word.lower() for word in _WORDS.findall(name)] if _PLAIN.fullmatch(name) else []
