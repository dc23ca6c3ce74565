"""Which detection goes on with which track."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.records import Box, Detection, TrackState
from agent.track.motion import travel
from agent.track.tracker import Tracker


def box(x: float, y: float, width: float, height: float) -> Box:
    return Box(x0=x - width / 2, y0=y - height / 2, x1=x + width / 2, y1=y + height / 2)


def car(x: float, *, y=0.5, width=0.1, height=0.08, kind="car", score=0.8) -> Detection:
    return Detection(kind=kind, score=score, box=box(x, y, width, height))


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


def confirmed_ids(answers) -> set[int]:
    return {t.track_id for tracks in answers for t in tracks if t.state is TrackState.CONFIRMED}


@pytest.mark.parametrize("fps", [2, 5, 10, 25])
@pytest.mark.parametrize("seed", range(5))
def test_tracker_one_detection_in_five_missed_keeps_identities(fps, seed):
    rng = random.Random(seed)
    tracker, answers = Tracker(), []
    for number in range(12 * fps):
        t = number / fps * rng.uniform(0.99, 1.01) if number else 0.0
        truth = [(0.1 + 0.06 * t, 0.2), (0.9 - 0.06 * t, 0.5), (0.5, 0.8)]
        shown = [
            car(x + rng.gauss(0, 0.004), y=y + rng.gauss(0, 0.003))
            for x, y in truth
            if rng.random() > 0.2
        ]
        answers.append(tracker.update(shown, ns(t)))
    assert len(confirmed_ids(answers)) == 3


def test_tracker_small_fast_car_at_two_fps_that_never_overlaps_itself_is_one_track():
    tracker = Tracker()
    answers = [
        tracker.update([car(0.1 + 0.12 * n, width=0.08, height=0.05)], ns(n / 2)) for n in range(7)
    ]
    assert len(confirmed_ids(answers)) == 1
    assert answers[2][0].moved


def test_tracker_irregular_frame_times_keep_identity():
    rng = random.Random(3)
    tracker, answers, t = Tracker(), [], 0.0
    while t < 8:
        answers.append(tracker.update([car(0.1 + 0.1 * t)], ns(t)))
        t += rng.choice([0.04, 0.1, 0.5, 1.0])
    assert len(confirmed_ids(answers)) == 1


def test_tracker_two_cars_crossing_keep_their_identities():
    tracker = Tracker()
    for number in range(41):
        t = number / 10
        tracks = tracker.update([car(0.1 + 0.2 * t), car(0.9 - 0.2 * t, y=0.53)], ns(t))
        if number == 10:
            left = min(tracks, key=lambda track: track.box.x0).track_id
    assert max(tracks, key=lambda track: track.box.x0).track_id == left


def test_tracker_weak_detection_keeps_a_track_but_founds_none():
    tracker = Tracker()
    for number in range(6):
        tracker.update([car(0.5), car(0.1, score=0.3)], ns(number / 10))
    for number in range(6, 60):
        tracks = tracker.update([car(0.5, score=0.3)], ns(number / 10))
    (track,) = tracks
    assert track.state is TrackState.CONFIRMED
    assert track.box.center[0] == pytest.approx(0.5, abs=0.01)


def test_tracker_detection_below_weak_counts_for_nothing():
    tracker = Tracker()
    for number in range(6):
        tracker.update([car(0.1 + 0.02 * number)], ns(number / 10))
    (track,) = tracker.update([car(0.22, score=0.1)], ns(0.6))
    assert track.state is TrackState.COASTING


def test_tracker_vehicle_classes_make_one_track_with_the_heaviest_label():
    tracker = Tracker()
    for number in range(12):
        kind, score = ("truck", 0.9) if number % 2 else ("car", 0.5)
        tracks = tracker.update([car(0.5, kind=kind, score=score)], ns(number / 10))
    (track,) = tracks
    assert track.kind == "truck"
    assert track.score == pytest.approx(0.7)


@pytest.mark.parametrize("kind", ["person", "bicycle", "face", "animal", "plate"])
def test_tracker_other_kinds_in_the_same_place_stay_apart(kind):
    tracker = Tracker()
    for number in range(6):
        tracks = tracker.update([car(0.5), car(0.5, kind=kind)], ns(number / 10))
    assert sorted(track.kind for track in tracks) == sorted(["car", kind])


@pytest.mark.parametrize("fps", [2, 25])
def test_track_of_trembling_box_has_not_moved(fps):
    rng = random.Random(7)
    tracker = Tracker()
    for number in range(600 * fps // 2):
        shaken = car(0.5 + rng.gauss(0, 0.008), y=0.5 + rng.gauss(0, 0.006))
        (track,) = tracker.update([shaken], ns(number / fps))
    assert not track.moved


def test_track_half_hidden_for_a_while_has_not_moved():
    tracker = Tracker()
    for number in range(100):
        hidden = 40 <= number < 60
        whole = box(0.5, 0.5, 0.2, 0.2)
        shown = Box(x0=whole.x0, y0=whole.y0, x1=whole.x1, y1=0.5) if hidden else whole
        detection = Detection(kind="car", score=0.8, box=shown)
        (track,) = tracker.update([detection], ns(number / 10))
    assert not track.moved


def test_travel_of_shift_is_counted_in_sizes():
    assert travel(box(0.5, 0.5, 0.2, 0.1), box(0.6, 0.5, 0.2, 0.1)) == pytest.approx(0.5)


def test_travel_of_box_cut_on_one_side_is_none():
    whole = box(0.5, 0.5, 0.2, 0.2)
    assert travel(whole, Box(x0=0.4, y0=0.4, x1=0.6, y1=0.45)) == 0


def test_travel_of_box_growing_both_ways_is_coming_nearer():
    assert travel(box(0.5, 0.5, 0.1, 0.2), box(0.5, 0.5, 0.2, 0.4)) > 0.5


fractions = st.floats(0, 1)
detections = st.builds(
    lambda x, y, w, h, kind, score: Detection(
        kind=kind, score=score, box=Box(x0=x, y0=y, x1=min(x + w, 1), y1=min(y + h, 1))
    ),
    fractions,
    fractions,
    fractions,
    fractions,
    st.sampled_from(["car", "vehicle", "person", "face"]),
    fractions,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(detections, max_size=5), st.floats(0, 3)), max_size=25))
def test_tracker_whatever_it_sees_ends_each_track_once_and_never_again(frames):
    tracker, t = Tracker(), 0.0
    live: set[int] = set()
    ended: set[int] = set()
    for shown, pause in frames:
        t += pause
        tracks = tracker.update(shown, ns(t))
        numbers = [track.track_id for track in tracks]
        assert len(numbers) == len(set(numbers))
        assert not ended & set(numbers)
        assert live <= set(numbers)
        now_ended = {track.track_id for track in tracks if track.state is TrackState.ENDED}
        ended |= now_ended
        live = set(numbers) - now_ended
        for track in tracks:
            corners = (track.box.x0, track.box.y0, track.box.x1, track.box.y1)
            assert all(0 <= value <= 1 for value in corners)
            assert 0 <= track.score <= 1
