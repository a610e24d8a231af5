"""Shards of WebDataset, and tar files that mean harm."""

import contextlib
import gzip
import io
import json
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sets.wds import add_member, gray, mask, write_shards, write_tar
from unitscope.concepts.derived import find_left_out, find_notes, source_digest, source_spec
from unitscope.concepts.formats.annotated import AnnotatedSource
from unitscope.concepts.formats.wds.shards import find_shards
from unitscope.concepts.formats.wds.tar_members import Damage, list_members
from unitscope.concepts.inspection import check_source
from unitscope.concepts.sources import open_concepts
from unitscope.errors import SourceError, UnitscopeError, UsageError


def count(source: AnnotatedSource) -> dict[str, int]:
    """The pixels of every concept over all examples; a label of a whole picture counts as 1000."""
    found = dict.fromkeys((one.name for one in source.vocabulary), 0)
    for index in range(len(source)):
        example = source[index]
        for concept in source.vocabulary:
            pixels = int((example.planes == concept.id).sum()) + 1000 * example.ids.count(concept.id)
            found[concept.name] += pixels
    return found


def grays(source: AnnotatedSource) -> list[int]:
    return [int(source[index].image[0, 0, 0]) // 10 for index in range(len(source))]


MASKS = {"background": 6, "wall": 42, "sky": 18}


@pytest.mark.parametrize(
    "place", ["", "/train-{000000..000001}.tar", "/train-*.tar", "/train-00000{0,1}.tar"]
)
def test_masks_of_all_shards(tmp_path: Path, place: str) -> None:
    root = write_shards(tmp_path)
    source = open_concepts(f"wds:{root}{place},image=jpg,masks=png,classes=classes.txt,void=255")
    assert count(source) == MASKS
    assert grays(source) == [0, 1, 2]
    assert [*source.keys] == [
        "train-000000/town/0000",
        "train-000000/town/0001",
        "train-000001/town/0002",
    ]
    void = source[0].void
    assert void is not None
    assert int(void.sum()) == 6
    assert find_notes(source) == ("void: 255",)
    left_out = {one.reason: one.files for one in find_left_out(source)}
    assert left_out == {"without a label": 1, "of a field that is not used": 7}


def test_other_files_of_a_folder_are_counted(tmp_path: Path) -> None:
    root = write_shards(tmp_path)
    (root / "deep").mkdir()
    (root / "deep" / "b.tar").write_bytes(b"")
    (root / "sizes.json").write_text("{}")
    (root / "gone.tar").symlink_to("nowhere")
    source = open_concepts(f"wds:{root},masks=png,classes=classes.txt")
    left_out = {one.reason: one.examples for one in find_left_out(source)}
    assert left_out["no shard right in the folder"] == ("deep/b.tar", "sizes.json")
    assert left_out["a link that leads nowhere"] == ("gone.tar",)


def test_one_shard_alone(tmp_path: Path) -> None:
    source = open_concepts(f"wds:{write_shards(tmp_path)}/train-000001.tar,classes=classes.txt")
    assert count(source) == {"background": 0, "wall": 24, "sky": 0}


@pytest.mark.parametrize(
    ("options", "counts", "category"),
    [
        ("label=cls,classes=classes.txt", {"background": 0, "wall": 2000, "sky": 1000}, "object"),
        ("label=json.scene", {"beach": 3000, "street": 2000}, "scene"),
        ("label=json.scene,category=texture", {"beach": 3000, "street": 2000}, "texture"),
        ("label=json.deep.name", {"fog": 4000}, "object"),
        ("image=jpg", {}, None),
    ],
)
def test_labels_of_whole_pictures(
    tmp_path: Path, options: str, counts: dict[str, int], category: str | None
) -> None:
    source = open_concepts(f"wds:{write_shards(tmp_path)},{options}")
    assert count(source) == counts
    assert source.vocabulary.categories == ((category,) if category else ())


def test_masks_with_labels(tmp_path: Path) -> None:
    source = open_concepts(
        f"wds:{write_shards(tmp_path)},masks=png,label=json.scene,classes=classes.txt,void=255"
    )
    assert count(source) == {**MASKS, "beach": 3000, "street": 2000}
    assert len(source) == 4


def test_a_source_opens_again_by_its_text_after_pickling_and_from_several_threads(tmp_path: Path) -> None:
    root = write_shards(tmp_path)
    source = open_concepts(f"wds:{root},masks=png,classes={root}/classes.txt,void=255")
    for other in (open_concepts(source_spec(source)), pickle.loads(pickle.dumps(source))):
        assert source_digest(other) == source_digest(source)
        assert count(other) == MASKS
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda index: int(source[index % 3].image[0, 0, 0]), range(60)))
    assert read == [0, 10, 20] * 20


def test_the_check_reports_nothing_wrong(tmp_path: Path) -> None:
    report = check_source(f"wds:{write_shards(tmp_path)},masks=png,classes=classes.txt,void=255")
    assert (report.images, report.readable, report.labelled, report.problems) == (3, 3, 3, ())


def test_fields_and_samples_by_the_first_dot(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "a.tar",
        {
            "./v1.0/x.JPG": gray(1),
            "./v1.0/x.seg.png": mask(1, 1, 1, 1),
            "y.jpg": gray(2),
            "y.seg.png": mask(0, 0, 0, 1),
        },
    )
    (tmp_path / "names.json").write_text(json.dumps({"classes": {"1": "cat"}}))
    source = open_concepts(f"wds:{tmp_path}/a.tar,masks=seg.png,classes=names.json")
    assert [*source.keys] == ["a/v1.0/x", "a/y"]
    assert count(source) == {"cat": 30}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "the numbers of png have no names; say classes=FILE"),
        ("masks=seg", "no sample has the field 'seg'; the fields are jpg, png, cls, json"),
        ("image=json,masks=json", "that field is the picture itself"),
        ("label=json", "a sample's JSON holds many things"),
        ("label=json.none", "no sample has a label in 'json.none'"),
        ("label=json.deep", "the label .*; wanted whole numbers or texts"),
        ("label=txt", "no sample has the field 'txt'"),
        ("label=cls", "the numbers of cls have no names"),
        ("label=cls,classes=none.txt", "classes=none.txt: there is no such file"),
        ("image=jpg,classes=classes.txt", "neither masks nor numbers are read"),
        ("image=jpg,void=3", "there are no masks"),
        ("masks=png,classes=classes.txt,void=-1", "void='-1': wanted numbers"),
        ("masks=png,classes=classes.txt+classes.txt+classes.txt", "3 files; wanted one file"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(tmp_path: Path, options: str, message: str) -> None:
    with pytest.raises(UnitscopeError, match=message) as caught:
        open_concepts(f"wds:{write_shards(tmp_path)},{options}".rstrip(","))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none.tar", "there is no such file or folder"),
        ("train-{000000..000004}.tar", "train-000002.tar: there is no such file"),
        ("train-{0..999999999999}.tar", "more than 100000 shards"),
        ("{0..999}{0..999}.tar", "more than 100000 shards"),
        ("x*.tar", "there is no such file"),
    ],
)
def test_shards_that_are_not_there(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_concepts(f"wds:{write_shards(tmp_path)}/{place},image=jpg")


def test_a_tar_whose_name_has_braces_is_that_tar(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a{0..3}.tar", {"x.jpg": gray(0)})
    assert find_shards(str(path)) == [path]


def test_what_leads_out_of_a_tar_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with tarfile.open(tmp_path / "set" / "a.tar", "w") as tar:
        add_member(tar, "x.jpg", gray(1))
        add_member(tar, "/etc/passwd.jpg", gray(2))
        add_member(tar, "../../y.jpg", gray(2))
        add_member(tar, "a/../../y.jpg", gray(2))
        add_member(tar, "l.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add_member(tar, "h.jpg", type=tarfile.LNKTYPE, linkname="x.jpg")
        add_member(tar, "d.jpg", type=tarfile.CHRTYPE, devmajor=1, devminor=5)
        add_member(tar, "f.jpg", type=tarfile.FIFOTYPE)
        add_member(tar, "folder", type=tarfile.DIRTYPE)
        add_member(tar, "new\nline.jpg", gray(2))
        add_member(tar, "nameless", b"text")
        add_member(tar, ".hidden", b"text")
        add_member(tar, "z.jpg", gray(3))
        add_member(tar, "z.JPG", gray(4))
        add_member(tar, "x.jpg", gray(5))
    before = sorted(path.name for path in tmp_path.rglob("*"))
    source = open_concepts(f"wds:{tmp_path / 'set'},image=jpg")
    assert grays(source) == [1, 3]
    left_out = {one.reason: (one.files, one.examples) for one in find_left_out(source)}
    assert left_out == {
        "a path that leads out of its tar": (
            3,
            ("a.tar: /etc/passwd.jpg", "a.tar: ../../y.jpg", "a.tar: a/../../y.jpg"),
        ),
        "a link in a tar": (2, ("a.tar: l.jpg", "a.tar: h.jpg")),
        "neither file nor folder in a tar": (2, ("a.tar: d.jpg", "a.tar: f.jpg")),
        "a name that holds control characters or no text": (1, ("a.tar: new?line.jpg",)),
        "without a field, which a name has after its first dot": (2, ("a.tar: nameless", "a.tar: .hidden")),
        "a field that its sample has already": (1, ("a.tar: z.JPG",)),
        "of a sample that came before, elsewhere in its tar": (1, ("a.tar: x.jpg",)),
    }
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_sparse_members_are_left_out(tmp_path: Path) -> None:
    name = (
        b"GNU.sparse.major=1\n",
        b"GNU.sparse.minor=0\n",
        b"GNU.sparse.realsize=9\n",
        b"GNU.sparse.name=s.jpg\n",
    )
    records = b"".join(f"{len(one) + 3} ".encode() + one for one in name)
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as tar:
        add_member(tar, "pax", records, type=tarfile.XHDTYPE)
        add_member(tar, "s.jpg", b"1\n0\n9\n".ljust(512, b"\0") + b"123456789")
        add_member(tar, "x.jpg", gray(1))
    (tmp_path / "a.tar").write_bytes(stored.getvalue())
    source = open_concepts(f"wds:{tmp_path},image=jpg")
    assert grays(source) == [1]
    assert [(one.reason, one.files) for one in find_left_out(source)] == [("a sparse file in a tar", 1)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"\0" * 4096, mtime=0), "compressed by gzip, .*; gunzip it"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 600, "compressed by zstd"),
        (b"PK\x03\x04" + b"x" * 600, "save it as tar"),
        (b"", "no tar file"),
        (b"hello" * 1000, "no tar file"),
        (b"\0" * 10240, "no sample was found"),
    ],
)
def test_what_is_no_tar_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        open_concepts(f"wds:{tmp_path},image=jpg")


def test_a_tar_that_ends_early_is_said_and_the_rest_of_it_read(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "whole.tar", {f"{n}.jpg": gray(n) for n in range(4)}).read_bytes()
    (tmp_path / "whole.tar").unlink()
    for name, end, count, said in (
        ("inside", 1560, 1, "cut short within '1.jpg'"),
        ("header", 1100, 1, "cut short or damaged after 1 members"),
        ("between", 2048, 2, "without the mark of its end, after 2 members"),
    ):
        (tmp_path / f"{name}.tar").write_bytes(whole[:end])
        report = check_source(f"wds:{tmp_path}/{name}.tar,image=jpg")
        assert (report.images, report.readable) == (count, count)
        assert [one.message.startswith(said) for one in report.problems] == [True]
    (tmp_path / "spoiled.tar").write_bytes(whole[:2048] + b"#" * 3000)
    problems = check_source(f"wds:{tmp_path}/spoiled.tar,image=jpg").problems
    assert ["something else in it after 2 members" in one.message for one in problems] == [True]


def test_a_tar_that_shrinks_later_is_told(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"x.jpg": gray(1)})
    source = open_concepts(f"wds:{path},image=jpg")
    os.truncate(path, 520)
    with pytest.raises(SourceError, match=r"a.tar, x.jpg: the tar is shorter than before"):
        source[0]


def test_plain_headers_are_read_as_tarfile_reads_them(tmp_path: Path) -> None:
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        names = ["a.jpg", "d/b.png", "é.cls", "n" * 99, "p" * 60 + "/" + "q" * 90, "x/y.jpg", "empty"]
        members = {name: bytes(700 * number) for number, name in enumerate(reversed(names))}
        path = write_tar(tmp_path / f"{form}.tar", members, form)
        with tarfile.open(path) as tar:
            slow = [(one.name, one.offset_data, one.size) for one in tar]
        assert [(one.name, one.offset, one.size) for one in list_members(path, Damage())] == slow


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 2500))
def test_any_bytes_in_a_tar_are_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    write_tar(path, {"a" * 150 + ".jpg": gray(1), "b.jpg": gray(2)})
    data = bytearray(path.read_bytes())
    data[place : place + len(noise)] = noise
    path.write_bytes(data)
    members = []
    with contextlib.suppress(SourceError):
        members = list(list_members(path, Damage()))
    assert all(one.reason or 0 <= one.offset <= one.offset + one.size <= len(data) for one in members)


def test_as_a_folder_of_pictures_it_is_refused_with_its_word(tmp_path: Path) -> None:
    root = write_shards(tmp_path / "set")
    with pytest.raises(UsageError, match=f"open it as wds:{root}$"):
        open_concepts(f"folder:{root}")


def test_a_range_that_counts_down_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\{000001..000000\} counts down; name the lower number first"):
        open_concepts(f"wds:{write_shards(tmp_path)}/train-{{000001..000000}}.tar,image=jpg")


def test_hidden_files_of_a_folder_are_no_shards(tmp_path: Path) -> None:
    root = write_shards(tmp_path)
    (root / "._train-000000.tar").write_bytes(b"\0\5\x16\7")
    source = open_concepts(f"wds:{root},masks=png,classes=classes.txt")
    assert [*source.keys] == ["train-000000/town/0000", "train-000000/town/0001", "train-000001/town/0002"]
    assert {one.reason: one.examples for one in find_left_out(source)}["hidden"] == ("._train-000000.tar",)


def write_numbered(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        write_tar(root / f"{name}.tar", {f"{number}.jpg": gray(number), f"{number}.txt": b"cat"})


def test_missing_shards_are_problems_and_gaps_are_said(tmp_path: Path) -> None:
    write_numbered(tmp_path / "of", "a-00000-of-00003", "a-00002-of-00003")
    for place in ("of", "of/a-*.tar", "of/./a*.tar"):
        (problem,) = check_source(f"wds:{tmp_path}/{place},label=txt").problems
        assert problem.message == "a-00001-of-00003.tar is missing; fetch it"
    assert not check_source(f"wds:{tmp_path}/of/a-0000{{0,2}}-of-00003.tar,label=txt").problems
    write_numbered(tmp_path / "gap", "a-00000", "a-00001", "a-00004")
    notes = find_notes(open_concepts(f"wds:{tmp_path}/gap,label=txt"))
    assert notes == ("between a-00001.tar and a-00004.tar 2 numbers are passed over",)
    write_numbered(tmp_path / "of", "a-00000-of-00001")
    with pytest.raises(SourceError, match="saved twice by its name"):
        open_concepts(f"wds:{tmp_path}/of,label=txt")


def test_a_copy_of_a_shard_is_a_problem(tmp_path: Path) -> None:
    write_numbered(tmp_path, "a")
    (tmp_path / "a (1).tar").write_bytes((tmp_path / "a.tar").read_bytes())
    (problem,) = check_source(f"wds:{tmp_path},label=txt").problems
    assert problem.message == "holds the same as a (1).tar, which counts twice; remove one of them"


def test_shards_with_and_without_their_ending_stay_apart(tmp_path: Path) -> None:
    write_numbered(tmp_path, "a", "b")
    (tmp_path / "b.tar").rename(tmp_path / "a")
    source = open_concepts(f"wds:{tmp_path}/{{a,a.tar}},label=txt")
    assert [*source.keys] == ["a/1", "a.tar/0"]


def test_masks_apart_from_their_pictures_are_not_taken_as_pictures(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {"1.jpg": gray(1)})
    write_tar(tmp_path / "1.tar", {"1.png": mask(1, 1, 1, 1)})
    with pytest.raises(UsageError, match=r"nothing labels them; say image=jpg\+png"):
        open_concepts(f"wds:{tmp_path}")
    assert len(open_concepts(f"wds:{tmp_path},image=jpg+png")) == 2


def test_photographs_of_two_endings_beside_masks_are_all_taken(tmp_path: Path) -> None:
    members = {"1.jpg": gray(1), "1.png": mask(1, 1, 1, 1), "2.jpeg": gray(2), "2.png": mask(1, 1, 1, 1)}
    write_tar(tmp_path / "0.tar", members)
    (tmp_path / "n.txt").write_text("none\nsky\n")
    assert grays(open_concepts(f"wds:{tmp_path},classes=n.txt")) == [1, 2]


def test_a_shard_that_git_lfs_did_not_fetch_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(SourceError, match=r"a pointer of Git LFS, .*; call git lfs pull"):
        open_concepts(f"wds:{tmp_path}")


def test_a_sample_torn_in_two_shards_is_told(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {"1.jpg": gray(1), "1.png": mask(1, 1, 1, 1), "2.jpg": gray(2)})
    write_tar(tmp_path / "1.tar", {"2.png": mask(1, 1, 1, 1), "3.png": mask(1, 1, 1, 1)})
    (tmp_path / "n.txt").write_text("none\nsky\n")
    left_out = {
        one.reason: one.examples for one in find_left_out(open_concepts(f"wds:{tmp_path},classes=n.txt"))
    }
    assert left_out == {
        "without a picture, which a sample of that name in another shard has": ("1/2",),
        "without a picture": ("1/3",),
        "without a label": ("0/2",),
    }
