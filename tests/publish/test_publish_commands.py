"""Commands on their way in, and the answers on their way out."""

import json

import pytest
from brokers import Mosquitto, wait_until
from letters import letter
from listener import Listener
from post import BOX, ROOT, SITE, office, post

from agent.privacy.privacy import Privacy
from agent.publish.wire import command_of
from agent.records import Reply


def obeying(asked):
    def obey(command):
        asked.append(command)
        reply = Reply(user=command.user, name=command.name, request_id="r1", code=0)
        return [Privacy(SITE, BOX, "b00t1d").reply(reply)]

    return obey


def send(ear, name, **how):
    body = json.dumps({"rid": name})
    ear._client.publish(f"{ROOT}/cmd/ann/{name}", body, qos=1, **how).wait_for_publish(10)


def wait_until_it_listens(broker):
    wait_until(lambda: f"SUBACK to {SITE}_{BOX}" in broker.log(), what="it listens")


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path, settings="log_type all") as running:
        yield running


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_command_is_answered_to_who_asked_also_when_the_box_was_away(tmp_path, broker, protocol):
    asked = []
    entry = office(broker.url, protocol=protocol, commands=("restart",))
    with Listener(broker.port) as ear:
        with post(entry, tmp_path, obey=obeying(asked)):
            wait_until_it_listens(broker)
            send(ear, "restart")
            assert ear.wait_for("/re/ann/restart").json == {"rid": "r1", "rc": 0}
        send(ear, "resend")
        with post(entry, tmp_path, obey=obeying(asked)):
            ear.wait_for("/re/ann/resend")
    assert [(each.broker, each.user, each.name) for each in asked] == [
        ("office", "ann", "restart"),
        ("office", "ann", "resend"),
    ]


def test_box_that_lists_no_commands_does_not_ask_for_any(tmp_path, broker):
    with post(office(broker.url), tmp_path) as running, Listener(broker.port) as ear:
        running.outbox.put([letter(1)])
        wait_until(lambda: running.counts().rows == 0, what="delivered")
        wait_until(ear.events, what="heard")
    assert f"SUBACK to {SITE}_{BOX}" not in broker.log()


def test_retained_command_is_no_command(tmp_path, broker):
    asked = []
    with Listener(broker.port) as ear:
        send(ear, "restart", retain=True)
        with post(office(broker.url, commands=("restart",)), tmp_path, obey=obeying(asked)):
            wait_until_it_listens(broker)
            send(ear, "resend")
            ear.wait_for("/re/ann/resend")
    assert [command.name for command in asked] == ["resend"]


def test_topic_that_is_no_command_is_none():
    assert command_of(SITE, BOX, f"{ROOT}/cmd/ann/restart") == ("ann", "restart")
    for topic in ("", "want", f"{ROOT}/want", f"{ROOT}/cmd/ann", f"sm/1/x/{BOX}/cmd/ann/restart"):
        assert command_of(SITE, BOX, topic) is None
