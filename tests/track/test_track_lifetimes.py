"""Tracks begin, coast and end by seconds, whatever the frame rate."""

import pytest

from agent.records import Box, Detection, Track, TrackState
from agent.track.live import Patience
from agent.track.tracker import Tracker


def seen(x: float, y: float = 0.5, kind: str = "car", score: float = 0.8, size: float = 0.1):
    half = size / 2
    box = Box(x0=x - half, y0=y - half, x1=x + half, y1=y + half)
    return Detection(kind=kind, score=score, box=box)


def feed(tracker: Tracker, detections: list[Detection], *, start: float, seconds: float, fps=10.0):
    """Show the same detections for a while; the answer to the last frame."""
    answer: list[Track] = []
    for number in range(round(seconds * fps)):
        answer = tracker.update(detections, ns(start + number / fps))
    return answer


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


@pytest.mark.parametrize("fps", [2, 5, 10, 25])
def test_track_seen_twice_a_third_of_a_second_apart_is_confirmed(fps):
    tracker = Tracker()
    (first,) = tracker.update([seen(0.5)], 0)
    assert first.state is TrackState.TENTATIVE
    confirmed_at = None
    for number in range(1, fps + 1):
        (track,) = tracker.update([seen(0.5)], ns(number / fps))
        if track.state is TrackState.CONFIRMED and confirmed_at is None:
            confirmed_at = number / fps
    assert 0.3 <= confirmed_at <= 0.5
    assert track.track_id == first.track_id


def test_track_false_alarm_of_two_frames_at_25_fps_is_never_confirmed():
    tracker = Tracker()
    states = [t.state for t in tracker.update([seen(0.5)], 0)]
    states += [t.state for t in tracker.update([seen(0.5)], ns(0.04))]
    for number in range(2, 10):
        states += [t.state for t in tracker.update([], ns(number * 0.04))]
    assert set(states) == {TrackState.TENTATIVE, TrackState.ENDED}
    assert states.count(TrackState.ENDED) == 1


@pytest.mark.parametrize("fps", [2, 5, 10, 25])
def test_track_moving_and_missed_coasts_for_two_seconds_then_ends_once(fps):
    tracker = Tracker()
    for number in range(fps + 1):
        tracker.update([seen(0.2 + 0.2 * number / fps)], ns(number / fps))
    ended = []
    for number in range(fps + 1, 5 * fps):
        for track in tracker.update([], ns(number / fps)):
            if track.state is TrackState.ENDED:
                ended.append(number / fps)
            else:
                assert track.state is TrackState.COASTING
    assert len(ended) == 1
    assert 3.2 < ended[0] <= 3.2 + 1 / fps + 1e-9


def test_track_coasting_goes_on_in_its_direction():
    tracker = Tracker()
    for number in range(11):
        tracker.update([seen(0.2 + 0.02 * number)], ns(number / 10))
    (track,) = tracker.update([], ns(2.0))
    assert track.box.center[0] == pytest.approx(0.6, abs=0.03)
    assert track.last_mono_ns == ns(1.0)
    assert track.velocity[0] == pytest.approx(0.2, abs=0.03)


def test_track_leaving_the_picture_ends_without_waiting():
    tracker = Tracker()
    for number in range(11):
        tracker.update([seen(0.75 + 0.02 * number)], ns(number / 10))
    states = [tracker.update([], ns(1 + number / 10)) for number in range(1, 7)]
    assert states[-1] == []


def test_track_of_parked_car_missed_for_minutes_comes_back_as_the_same():
    tracker = Tracker()
    (before,) = feed(tracker, [seen(0.5)], start=0, seconds=60)
    (unseen,) = feed(tracker, [], start=60, seconds=300)
    assert unseen.state is TrackState.COASTING
    (after,) = feed(tracker, [seen(0.505)], start=360, seconds=2)
    assert after.track_id == before.track_id
    assert after.state is TrackState.CONFIRMED
    assert not after.moved


def test_track_of_car_that_stood_briefly_is_forgotten_sooner_than_one_that_stood_long():
    tracker = Tracker()
    feed(tracker, [seen(0.2)], start=0, seconds=60)
    feed(tracker, [seen(0.2), seen(0.7)], start=60, seconds=5)
    left = feed(tracker, [], start=65, seconds=120)
    assert [round(track.box.center[0], 1) for track in left] == [0.2]


def test_track_of_standing_person_is_given_up_after_seconds():
    tracker = Tracker()
    feed(tracker, [seen(0.5, kind="person")], start=0, seconds=600)
    assert len(feed(tracker, [], start=600, seconds=9)) == 1
    assert feed(tracker, [], start=609, seconds=3) == []


def test_track_whose_parking_place_is_taken_by_another_ends():
    tracker = Tracker()
    (old,) = feed(tracker, [seen(0.5)], start=0, seconds=60)
    feed(tracker, [], start=60, seconds=20)  # it left unseen
    for number in range(30):
        tracker.update([seen(0.05 + 0.015 * number)], ns(80 + number / 10))
    tracks = feed(tracker, [seen(0.5)], start=83, seconds=10)
    assert len(tracks) == 1
    assert tracks[0].track_id != old.track_id
    assert tracks[0].moved


def test_track_passing_in_front_of_a_parked_unseen_car_leaves_its_identity_alone():
    tracker = Tracker()
    (parked,) = feed(tracker, [seen(0.5)], start=0, seconds=60)
    feed(tracker, [], start=60, seconds=20)
    for number in range(45):
        tracker.update([seen(0.05 + 0.02 * number)], ns(80 + number / 10))
    (after,) = feed(tracker, [seen(0.5)], start=90, seconds=2)
    assert after.track_id == parked.track_id


def test_tracks_beyond_the_cap_drop_those_unseen_longest():
    tracker = Tracker(patience=Patience(most=5))
    first = tracker.update([seen(0.1 + 0.15 * n, 0.2, size=0.05) for n in range(5)], 0)
    later = tracker.update([seen(0.1 + 0.15 * n, 0.8, size=0.05) for n in range(5)], ns(0.1))
    ended = {track.track_id for track in later if track.state is TrackState.ENDED}
    assert ended == {track.track_id for track in first}
    assert len(later) == 10
    assert len(tracker.update([], ns(0.15))) == 5


def test_tracker_after_a_long_gap_does_not_take_a_newcomer_for_an_old_track():
    tracker = Tracker()
    for number in range(11):
        tracker.update([seen(0.2 + 0.001 * number)], ns(number / 10))
    after = tracker.update([seen(0.25)], ns(3600))
    assert {track.state for track in after} == {TrackState.ENDED, TrackState.TENTATIVE}


def test_tracker_given_an_earlier_time_takes_it_for_the_last_one():
    tracker = Tracker()
    tracker.update([seen(0.5)], ns(10))
    (track,) = tracker.update([seen(0.5)], ns(9))
    assert track.last_mono_ns == ns(10)


@pytest.mark.parametrize("missed_s", [0, 1], ids=["seen", "missed for a second before"])
def test_person_who_stands_while_the_camera_sleeps_stays_one_person(missed_s):
    tracker = Tracker()
    (before,) = feed(tracker, [seen(0.5, kind="person")], start=0, seconds=15)
    feed(tracker, [], start=15, seconds=missed_s)
    tracker.rest(ns(300))
    (after,) = tracker.update([seen(0.51, kind="person")], ns(300))
    assert after.track_id == before.track_id


def test_person_who_walks_when_the_camera_falls_asleep_is_not_held():
    tracker = Tracker()
    for number in range(20):
        (before,) = tracker.update([seen(0.2 + number / 50, kind="person")], ns(number / 10))
    tracker.rest(ns(300))
    after = tracker.update([seen(0.2 + 19 / 50, kind="person")], ns(300))
    assert before.track_id not in [track.track_id for track in after if track.state != "ended"]
