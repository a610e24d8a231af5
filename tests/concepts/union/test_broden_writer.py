"""Files of a union never meet, whatever the images are called."""

from hypothesis import given
from hypothesis import strategies as st

from unitscope.concepts.union.broden_writer import StemNames, safe_name


@given(st.text())
def test_a_safe_name_is_one_visible_part_of_a_path(text: str) -> None:
    name = safe_name(text)
    assert name
    assert not set(name) & set("/\\;, \n")
    assert not name.startswith(".")
    assert len(name.encode()) <= 120


@given(st.lists(st.text(st.sampled_from("aA_./1coler-"), max_size=12), max_size=8))
def test_no_two_images_share_a_stem_or_a_label_file(keys: list[str]) -> None:
    stems = StemNames(["color"])
    placed = [stems.place("set", key).lower() for key in keys]
    files = [
        f"{stem}{end}" for stem in placed for end in (".png", "_color.png", "_color_1.png", "_color_2.png")
    ]
    assert len(set(files)) == len(files)
    assert all(".." not in stem.split("/") and stem.startswith("set/") for stem in placed)


def test_long_names_stay_distinct() -> None:
    assert safe_name("x" * 300 + "a") != safe_name("x" * 300 + "b")
