"""A scene is told by what stands together: neither its colors nor a blurred view give it away."""

import pytest
from shortcuts import count_channels, count_colors, measure_shortcut, shrink

from unitscope.lab.world.names import SCENES
from unitscope.lab.zoo.pictures import PictureSet, paint_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    sets = (PictureSet(SCENES, 960, 1000), PictureSet(SCENES, 240, 2000))
    return [paint_pictures(one, folder, workers=1) for one in sets]


@pytest.mark.parametrize(("look", "limit"), [(count_channels, 0.4), (count_colors, 0.4), (shrink, 0.5)])
def test_colors_and_thumbnails_do_not_give_the_scene_away(pictures, look, limit):
    assert 2 / len(SCENES) < measure_shortcut(look, *pictures) < limit
