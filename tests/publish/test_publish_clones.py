"""Two boxes with one certificate: the box is told where the broker says so, the audit sees it."""

import socket
import threading

from brokers import Certificates, Mosquitto, wait_until
from crossings import crossing
from post import BOX, SITE, office, post

from agent.office.ledger import Ledger
from agent.office.subscription import Subscription

CONNACK = b"\x20\x03\x00\x00\x00"
TAKEN_OVER = b"\xe0\x01\x8e"


class Usurped:
    """A broker that says to whoever connects that somebody else has come; a context."""

    def __init__(self):
        self.calls = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(0.1)
        self._ended = False
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self):
        return f"mqtt://127.0.0.1:{self._door.getsockname()[1]}"

    def _serve(self):
        while not self._ended:
            try:
                caller, _ = self._door.accept()
            except TimeoutError:
                continue
            with caller:
                caller.recv(4096)
                caller.sendall(CONNACK)
                caller.recv(4096)
                caller.sendall(TAKEN_OVER)
            self.calls += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended = True
        self._thread.join(5)
        self._door.close()


def test_box_that_hears_that_its_session_was_taken_over_tells_it_once(tmp_path):
    told = []
    with (
        Usurped() as broker,
        post(office(broker.url), tmp_path, taken_over=lambda: told.append(1)),
    ):
        wait_until(lambda: broker.calls > 2, what="it comes back")
    assert told == [1]


def test_two_boxes_with_one_certificate_are_seen_by_the_numbers(tmp_path):
    # mosquitto 2.0.11 throws the older one out without a word: neither box can know why.
    certificates = Certificates(tmp_path / "pki")
    cert, key = certificates.issue(f"{SITE}_{BOX}")
    own_cert, own_key = certificates.issue("auditor")
    ledger = Ledger()
    with Mosquitto(tmp_path, tls=certificates.mosquitto_settings()) as broker:
        entry = office(broker.tls_url, ca=certificates.ca, cert=cert, key=key)
        auditor = office(broker.tls_url, ca=certificates.ca, cert=own_cert, key=own_key)
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
        with (
            Subscription(auditor, "sm/1/+/+/e/#", lambda body: ledger.hear(body, 0), None),
            post(entry, tmp_path / "one") as one,
            post(entry, tmp_path / "other") as other,
        ):
            numbers = iter(range(1, 10**6))

            def clones():
                for box in (one, other):
                    box.outbox.put([crossing(next(numbers))])
                return ledger.forks

            wait_until(clones, 20, "the clone is seen")
    assert "take turns" in ledger.forks[f"{SITE}/{BOX}"]
