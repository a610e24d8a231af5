"""Places365 as its archives unpack."""

from pathlib import Path

from sets.files import write_files


def write_places365(root: Path) -> Path:
    return write_files(
        root,
        {
            "categories_places365.txt": "/a/airfield 0\n/a/apartment_building/outdoor 1\n/z/zoo 2\n",
            "places365_train_standard.txt": "/a/airfield/00000001.jpg 0\n/a/airfield/5.jpg 0\n"
            "/a/apartment_building/outdoor/00000002.jpg 1\n",
            "places365_val.txt": "Places365_val_00000001.jpg 2\nPlaces365_val_00000002.jpg 0\n",
        },
        (
            "data_256/a/airfield/00000001.jpg",
            "data_256/a/airfield/5.jpg",
            "data_256/a/apartment_building/outdoor/00000002.jpg",
            "val_256/Places365_val_00000001.jpg",
            "val_256/Places365_val_00000002.jpg",
            "test_256/Places365_test_00000001.jpg",
        ),
    )
