import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unitscope.concepts.frames import Frame
from unitscope.concepts.vocabulary import Example

SIDES = st.integers(1, 300)


@given(
    height=SIDES,
    width=SIDES,
    size=st.sampled_from([(224, 224), (64, 48)]),
    fraction=st.sampled_from([0.875, 1.0]),
)
@settings(max_examples=150)
def test_a_crop_of_any_picture_stays_inside_it(height, width, size, fraction):
    frame = Frame(size, (size[0] // 2, size[1] // 2), "crop", fraction)
    left, top, right, bottom = frame.box(height, width)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    planes = np.ones((1, height, width), np.uint16)
    fitted = frame.fit(Example("a", np.zeros((height, width, 3), np.uint8), planes))
    assert fitted.image.shape == (*size, 3)
    assert fitted.planes.shape == (1, size[0] // 2, size[1] // 2)


def test_stretched_labels_stay_on_their_part_of_the_picture():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:20, 30:] = 255
    planes = (image[:, :, 0] > 0).astype(np.uint16)[None]
    fitted = Frame((80, 80), (40, 40)).fit(Example("a", image, planes))
    assert fitted.planes[0, :20, 20:].all()
    assert fitted.planes.sum() == 400
    assert fitted.image[10, 70, 0] == 255
    assert fitted.image[70, 10, 0] == 0


def test_a_crop_sees_the_middle_as_classifiers_are_evaluated():
    frame = Frame((224, 224), (112, 112), "crop", 0.875)
    assert frame.box(256, 512) == (144.0, 16.0, 368.0, 240.0)
