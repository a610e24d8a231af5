"""ImageNet as Kaggle hands it out, as torchvision lays it out, and the devkit."""

from pathlib import Path

import numpy as np

from sets.files import write_files

KIT_FOX, CRANE, TENCH, MACHINE = "n02119789", "n02012849", "n01440764", "n03126707"
NAMES = {
    TENCH: "tench, Tinca tinca",
    CRANE: "crane",
    KIT_FOX: "kit fox, Vulpes macrotis",
    MACHINE: "crane",
}
DEVKIT = (KIT_FOX, MACHINE, TENCH, CRANE)
"""The devkit's order."""
TRAIN = tuple(f"{synset}/{synset}_{number}.JPEG" for synset in NAMES for number in (18, 7))
VAL = (MACHINE, TENCH, MACHINE, KIT_FOX)
"""What the pictures of the validation set show, by number."""


def write_imagenet(root: Path) -> Path:
    """Kaggle's tree."""
    words = "".join(f"{synset} {words}\n" for synset, words in sorted(NAMES.items()))
    rows = [
        f"ILSVRC2012_val_{number:08d},{synset} 1 2 30 40 \n" for number, synset in enumerate(VAL, start=1)
    ]
    texts = {
        "LOC_synset_mapping.txt": words,
        "LOC_val_solution.csv": "ImageId,PredictionString\n" + "".join(reversed(rows)),
        "ILSVRC/ImageSets/CLS-LOC/val.txt": "ILSVRC2012_val_00000001 1\n",
        "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml": "<annotation/>",
    }
    data = "ILSVRC/Data/CLS-LOC"
    pictures = [f"{data}/train/{name}" for name in TRAIN]
    pictures += [f"{data}/val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(VAL) + 1)]
    return write_files(root, texts, (*pictures, f"{data}/test/ILSVRC2012_test_00000001.JPEG"))


def write_imagenet_folders(root: Path) -> Path:
    """torchvision's tree."""
    val = [f"val/{synset}/ILSVRC2012_val_{number:08d}.JPEG" for number, synset in enumerate(VAL, start=1)]
    return write_files(root, {}, (*(f"train/{name}" for name in TRAIN), *val))


def write_devkit(root: Path, meta: bool = True) -> Path:
    """Pictures in train/ and val/, and the devkit beside them."""
    data = "ILSVRC2012_devkit_t12/data"
    numbers = "".join(f"{DEVKIT.index(synset) + 1}\n" for synset in VAL)
    val = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(VAL) + 1)]
    write_files(
        root,
        {f"{data}/ILSVRC2012_validation_ground_truth.txt": numbers},
        (*(f"train/{name}" for name in TRAIN), *val),
    )
    if meta:
        write_meta(root / data / "meta.mat")
    return root


def write_meta(path: Path) -> None:
    """The devkit's list of synsets: the classes, and one that is above them."""
    from scipy.io import savemat

    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(number, synset, NAMES[synset], "", 0) for number, synset in enumerate(DEVKIT, start=1)]
    savemat(path, {"synsets": np.array([*rows, (1001, "n00001740", "entity", "all there is", 3)], fields)})
