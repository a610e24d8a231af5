"""SUN397 as its archives unpack."""

from pathlib import Path

from sets.files import write_files


def write_sun397(root: Path) -> Path:
    names = (
        "a/abbey/sun_aa.jpg",
        "a/abbey/sun_ab.jpg",
        "a/apartment_building/outdoor/sun_ac.jpg",
        "z/zoo/sun_ad.jpg",
    )
    return write_files(
        root,
        {
            "ClassName.txt": "/a/abbey\n/a/apartment_building/outdoor\n/z/zoo\n",
            "Partitions/Training_01.txt": f"/{names[0]}\n/{names[2]}\n",
            "Partitions/Testing_01.txt": f"/{names[1]}\r\n/{names[3]}\r\n",
            "README.txt": "",
        },
        (*names, "b/other/sun_ae.jpg"),
    )
