"""A metered line: what it carries is counted, and while it is spent only alerts leave."""

from brokers import Mosquitto, wait_until
from crossings import crossing
from listener import Listener
from post import ROOT, office, post


def test_only_alerts_leave_while_the_line_is_spent_and_the_rest_once_it_is_not(tmp_path):
    spent, is_spent = [], [True]
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port, f"{ROOT}/e/#") as ear,
        post(
            office(broker.url),
            tmp_path,
            spent=spent.append,
            alerts_only=lambda: is_spent[0],
        ) as box,
    ):
        box.outbox.put([crossing(1), crossing(2, kind="audit"), crossing(3, kind="vehicle.count")])
        ear.wait_for("/audit")
        wait_until(lambda: box.counts().rows == 2, what="the alert is acknowledged")
        box.outbox.put([crossing(4, kind="audit")])
        wait_until(lambda: box.counts().rows == 2 and len(ear.events()) == 2, what="the next too")
        is_spent[0] = False
        wait_until(lambda: box.counts().rows == 0, what="the rest is sent")
        payload = sum(len(heard.payload) + len(heard.topic) for heard in ear.events())
        assert sorted(heard.json["sq"] for heard in ear.events()) == [1, 2, 3, 4]
        wait_until(lambda: sum(spent) > payload, what="it is counted")
    assert payload < sum(spent) < 20 * payload
