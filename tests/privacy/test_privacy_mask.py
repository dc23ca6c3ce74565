"""Masked pictures: what is not kept cannot be read back."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.privacy.mask import BLOCKS_ACROSS, mask_picture
from agent.records import Box

HEIGHT, WIDTH = 243, 324  # nine by twelve whole blocks
BLOCK = WIDTH // BLOCKS_ACROSS


def noise(seed=0, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def face(size):
    """A drawn face with the detail that tells one from another."""
    picture = np.full((size, size, 3), 190, np.uint8)
    unit = size / 100
    for x in (32, 68):
        cv2.circle(
            picture, (round(x * unit), round(40 * unit)), max(1, round(9 * unit)), (30,) * 3, -1
        )
        cv2.circle(
            picture, (round(x * unit), round(40 * unit)), max(1, round(4 * unit)), (240,) * 3, -1
        )
    cv2.line(
        picture,
        (round(50 * unit), round(45 * unit)),
        (round(46 * unit), round(62 * unit)),
        (90,) * 3,
        max(1, round(4 * unit)),
    )
    cv2.ellipse(
        picture,
        (round(50 * unit), round(78 * unit)),
        (round(20 * unit), round(7 * unit)),
        0,
        0,
        360,
        (60, 20, 20),
        -1,
    )
    return picture


def detail(picture):
    """What is left of a picture without its blurred self: the part that is read."""
    grey = picture.astype(np.float64).mean(axis=2)
    return grey - cv2.GaussianBlur(grey, (0, 0), max(1.0, grey.shape[0] / 12))


def likeness(one, other):
    one, other = detail(one).ravel(), detail(other).ravel()
    scale = np.linalg.norm(one) * np.linalg.norm(other)
    return 0.0 if scale < 1e-9 else float(abs(one @ other) / scale)


boxes = st.tuples(
    st.floats(0, 0.8), st.floats(0, 0.8), st.floats(0.05, 0.6), st.floats(0.05, 0.6)
).map(lambda b: Box(x0=b[0], y0=b[1], x1=min(1.0, b[0] + b[2]), y1=min(1.0, b[1] + b[3])))


def outside(keep):
    mask = np.ones((HEIGHT, WIDTH), bool)
    if keep is not None:
        mask[
            int(np.floor(keep.y0 * HEIGHT)) : int(np.ceil(keep.y1 * HEIGHT)),
            int(np.floor(keep.x0 * WIDTH)) : int(np.ceil(keep.x1 * WIDTH)),
        ] = False
    return mask


@settings(max_examples=40, deadline=None)
@given(keep=st.none() | boxes, seed=st.integers(0, 999))
def test_outside_depends_on_block_means_only(keep, seed):
    """Two pictures with the same block means give the same masked picture outside `keep`."""
    picture = noise(seed)
    shuffled = picture.reshape(HEIGHT // BLOCK, BLOCK, WIDTH // BLOCK, BLOCK, 3).swapaxes(1, 2)
    order = np.random.default_rng(seed + 1).permutation(BLOCK * BLOCK)
    flat = shuffled.reshape(-1, BLOCK * BLOCK, 3)[:, order]
    other = flat.reshape(shuffled.shape).swapaxes(1, 2).reshape(picture.shape)
    masked, masked_other = (mask_picture(p, keep=keep) for p in (picture, other))
    where = outside(keep)
    assert (masked[where] == masked_other[where]).all()
    assert (picture[where] != other[where]).any()


@settings(max_examples=40, deadline=None)
@given(size=st.integers(24, 110), x=st.integers(0, WIDTH - 110), y=st.integers(0, HEIGHT - 110))
def test_face_nobody_found_is_unreadable_outside_keep(size, x, y):
    picture = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    drawn = face(size)
    picture[y : y + size, x : x + size] = drawn
    masked = mask_picture(picture, keep=None)
    assert likeness(masked[y : y + size, x : x + size], drawn) < 0.35


def test_likeness_of_an_unmasked_face_is_high():
    """The measure above can tell: a copy scores 1, mild blur still scores high."""
    drawn = face(100)
    assert likeness(drawn, drawn) == pytest.approx(1)
    assert likeness(cv2.GaussianBlur(drawn, (0, 0), 2), drawn) > 0.8


@settings(max_examples=40, deadline=None)
@given(keep=boxes)
def test_inside_keep_is_untouched(keep):
    picture = noise()
    masked = mask_picture(picture, keep=keep)
    inside = ~outside(keep)
    y0, x0 = int(np.ceil(keep.y0 * HEIGHT)), int(np.ceil(keep.x0 * WIDTH))
    y1, x1 = int(np.floor(keep.y1 * HEIGHT)), int(np.floor(keep.x1 * WIDTH))
    assert (masked[y0:y1, x0:x1] == picture[y0:y1, x0:x1]).all()
    assert inside[y0:y1, x0:x1].all()


@settings(max_examples=40, deadline=None)
@given(keep=boxes, covered=boxes, what=st.sampled_from(["faces", "plates"]))
def test_face_or_plate_is_one_grey_wherever_it_is(keep, covered, what):
    masked = mask_picture(noise(), keep=keep, **{what: [covered]})
    area = masked[
        int(covered.y0 * HEIGHT) : int(np.ceil(covered.y1 * HEIGHT)),
        int(covered.x0 * WIDTH) : int(np.ceil(covered.x1 * WIDTH)),
    ]
    assert (area == area.flat[0]).all()


@pytest.mark.parametrize(
    ("person", "hidden_rows"),
    [
        (Box(x0=0.4, y0=0.1, x1=0.55, y1=0.9), 0.28),  # standing: the top quarter
        (Box(x0=0.2, y0=0.3, x1=0.8, y1=1.0), 0.75),  # cut off at the chest: the head is most
    ],
)
def test_head_of_a_person_is_covered_though_no_face_was_found(person, hidden_rows):
    masked = mask_picture(noise(), keep=Box(x0=0, y0=0, x1=1, y1=1), people=[person])
    top = int(person.y0 * HEIGHT)
    bottom = int((person.y0 + hidden_rows * person.height) * HEIGHT)
    columns = slice(int(person.x0 * WIDTH), int(person.x1 * WIDTH))
    assert (masked[top:bottom, columns] == masked[top, columns.start]).all()


def test_feet_of_a_standing_person_stay_in_sight():
    picture = noise()
    person = Box(x0=0.4, y0=0.1, x1=0.55, y1=0.9)
    masked = mask_picture(picture, keep=Box(x0=0, y0=0, x1=1, y1=1), people=[person])
    assert (masked[HEIGHT // 2 :] == picture[HEIGHT // 2 :]).all()


def test_picture_handed_in_is_not_changed():
    picture = noise()
    before = picture.copy()
    masked = mask_picture(picture, keep=Box(x0=0.2, y0=0.2, x1=0.5, y1=0.5))
    assert (picture == before).all()
    assert masked.shape == picture.shape
    assert masked.dtype == np.uint8


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 500), (360, 641), (1080, 1920)])
def test_any_size_keeps_its_shape_and_nothing_sharp(height, width):
    masked = mask_picture(noise(1, height, width), keep=None)
    assert masked.shape == (height, width, 3)
    if min(height, width) > 100:  # noise averages out: nothing sharp is left
        assert masked.std() < 20


def test_empty_keep_keeps_nothing():
    picture = noise()
    nothing = Box(x0=0.5, y0=0.5, x1=0.5, y1=0.5)
    assert (mask_picture(picture, keep=nothing) == mask_picture(picture, keep=None)).all()
