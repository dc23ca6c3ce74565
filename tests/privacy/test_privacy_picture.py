"""A picture that leaves: the hit's plate can be read, and nothing else, whoever found it or not."""

import cv2
import numpy as np

from agent.capture.pictures import RgbPicture
from agent.privacy.picture import PICTURE_LIMIT_BYTES, picture_of
from agent.records import Box, Detection, Frame

HEIGHT, WIDTH = 720, 1280
HIT = Box(x0=0.1, y0=0.6, x1=0.26, y1=0.66)
OTHER = Box(x0=0.6, y0=0.6, x1=0.76, y1=0.66)
FACE = Box(x0=0.45, y0=0.1, x1=0.55, y1=0.28)


def drawn(seed=1):
    """Noise in the places of two plates and a face, on a grey street."""
    pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    chance = np.random.default_rng(seed)
    for box in (HIT, OTHER, FACE):
        rows, columns = window(box)
        shape = pixels[rows, columns].shape[:2]
        small = chance.integers(0, 2, (shape[0] // 6 + 1, shape[1] // 6 + 1), dtype=np.uint8) * 255
        large = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_NEAREST)
        pixels[rows, columns] = large[..., None]
    return pixels


def window(box):
    return (
        slice(round(box.y0 * HEIGHT), round(box.y1 * HEIGHT)),
        slice(round(box.x0 * WIDTH), round(box.x1 * WIDTH)),
    )


def frame_of(pixels):
    return Frame(
        camera_id="gate",
        seq=1,
        t_mono_ns=0,
        t_utc_ms=0,
        clock_synced=True,
        picture=RgbPicture(pixels),
    )


def likeness(jpeg, pixels, box):
    """Correlation of what left with what was there: 1 is the same, 0 has nothing of it."""
    left = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE).astype(float)
    assert left.shape == (HEIGHT, WIDTH)
    one, other = left[window(box)].ravel(), pixels[..., 0].astype(float)[window(box)].ravel()
    one, other = one - one.mean(), other - other.mean()
    scale = np.linalg.norm(one) * np.linalg.norm(other)
    return 0.0 if scale < 1e-9 else float(one @ other / scale)


def test_hit_can_be_read_and_a_second_plate_and_a_face_that_no_model_found_cannot():
    pixels = drawn()
    jpeg = picture_of(frame_of(pixels), HIT)
    assert likeness(jpeg, pixels, HIT) > 0.9
    assert abs(likeness(jpeg, pixels, OTHER)) < 0.3
    assert abs(likeness(jpeg, pixels, FACE)) < 0.3


def test_second_plate_inside_the_hits_own_room_is_covered():
    pixels = drawn()
    near = Box(x0=HIT.x1 + 0.005, y0=HIT.y0, x1=HIT.x1 + 0.1, y1=HIT.y1)
    rows, columns = window(near)
    jpeg = picture_of(frame_of(pixels), HIT, [Detection(kind="plate", score=0.9, box=near)])
    left = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert left[rows, columns].std() < 6
    assert likeness(jpeg, pixels, HIT) > 0.8


def test_picture_without_a_hit_shows_nothing_that_can_be_read():
    pixels = drawn()
    jpeg = picture_of(frame_of(pixels))
    assert all(abs(likeness(jpeg, pixels, box)) < 0.3 for box in (HIT, OTHER, FACE))


def test_picture_of_noise_all_over_is_no_larger_than_one_message_takes():
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    whole = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
    assert len(picture_of(frame_of(noise), whole)) <= PICTURE_LIMIT_BYTES
