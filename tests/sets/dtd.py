"""DTD as its archive unpacks."""

from pathlib import Path

from sets.files import write_files


def write_dtd(root: Path) -> Path:
    names = ("banded/banded_0002", "banded/banded_0004", "lined/lined_0001", "zigzagged/zigzagged_0009")
    lines = [f"{name}.jpg\n" for name in names]
    return write_files(
        root,
        {
            "labels/train1.txt": lines[0] + lines[2],
            "labels/val1.txt": lines[1],
            "labels/test10.txt": lines[3] + "lined/lined_0007.jpg\n",
            "labels/labels_joint_anno.txt": f"{names[0]}.jpg banded lined\n{names[2]}.jpg lined \n"
            f"{names[1]}.jpg banded grid\n{names[3]}.jpg zigzagged\n",
            "imdb/imdb.mat": "",
        },
        tuple(f"images/{name}.jpg" for name in names),
    )
