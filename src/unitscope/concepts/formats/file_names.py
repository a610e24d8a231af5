"""What names of files say: their endings, and by these what they hold."""

from unitscope.concepts.formats.stored.pictures import IMAGE_SUFFIXES


def cut_suffix(name: str) -> str:
    """A name without its ending.

    >>> cut_suffix("train/a.b.png"), cut_suffix("train.d/a")
    ('train/a.b', 'train.d/a')
    """
    dot = name.rfind(".")
    return name[:dot] if dot > name.rfind("/") + 1 else name


def find_suffix(name: str) -> str:
    """The ending of a name, in small letters.

    >>> find_suffix("train/a.PNG"), find_suffix("train.d/a")
    ('.png', '')
    """
    dot = name.rfind(".")
    return name[dot:].lower() if dot > name.rfind("/") + 1 else ""


def is_picture(name: str) -> bool:
    """Whether a file is a picture by its ending.

    >>> is_picture("a/abbey.JPEG"), is_picture("a.jpg/abbey")
    (True, False)
    """
    return find_suffix(name) in IMAGE_SUFFIXES
