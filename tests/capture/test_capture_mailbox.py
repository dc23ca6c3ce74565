"""The one slot between a camera's thread and who looks at its frames."""

import threading

import pytest
from fake_source import noisy_picture
from watching import camera

from agent.capture.capture import Capture, Mailbox
from agent.capture.frames import FrameMaker
from agent.clock import ManualClock


@pytest.fixture
def frame():
    maker = FrameMaker("c", ManualClock())
    return lambda: maker.now(noisy_picture())


def test_mailbox_keeps_the_newest_frame_and_counts_the_others(frame):
    mailbox = Mailbox()
    for _ in range(5):
        mailbox.put(frame())
    assert mailbox.take(0).seq == 5
    assert mailbox.drops == 4


def test_mailbox_gives_a_frame_once(frame):
    mailbox = Mailbox()
    mailbox.put(frame())
    assert mailbox.take(0).seq == 1
    assert mailbox.take(0) is None
    assert mailbox.drops == 0


def test_mailbox_wakes_who_waits_when_a_frame_comes(frame):
    mailbox = Mailbox()
    taken = []
    waiter = threading.Thread(target=lambda: taken.append(mailbox.take(30)))
    waiter.start()
    mailbox.put(frame())
    waiter.join(5)
    assert [one.seq for one in taken] == [1]


def test_mailbox_between_two_threads_loses_none_uncounted(frame):
    mailbox = Mailbox()
    taken = []
    ended = threading.Event()

    def reader():
        while not ended.is_set():
            taken.append(mailbox.take(0.01))

    thread = threading.Thread(target=reader)
    thread.start()
    for _ in range(2000):
        mailbox.put(frame())
    ended.set()
    thread.join(5)
    numbers = [one.seq for one in [*taken, mailbox.take(0)] if one]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 2000
    assert len(numbers) + mailbox.drops == 2000


class Rested:
    """A source that sleeps between its second and its third frame."""

    def __init__(self, capture, clock):
        self.capture, self.clock = capture, clock
        self.frames_taken = []

    def frames(self):
        maker = FrameMaker("gate", self.clock)
        for number in range(4):
            if number == 2:
                self.capture.attention.asleep = True
                for _ in range(50):
                    self.clock.advance(0.1)
                    yield None
                self.capture.attention.asleep = False
            self.clock.advance(0.1)
            yield maker.now(noisy_picture(number))
            self.frames_taken.append(self.capture.mailbox.take(0))

    def close(self):
        self.capture.close()


def test_first_frame_after_a_rest_says_that_nothing_has_moved_before_it():
    clock = ManualClock()
    capture = Capture(camera("rtsp://127.0.0.1/x"), clock, progress=lambda: None)
    source = Rested(capture, clock)
    capture._opener = lambda config, clock: source
    capture.run(threading.Event())
    assert [frame.slept for frame in source.frames_taken] == [False, False, True, False]
