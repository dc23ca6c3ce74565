"""The watchdog is fed while every loop makes progress, and not a moment longer."""

from __future__ import annotations

from types import SimpleNamespace

from daemon import Supervisor

from agent.daemon import Daemon
from agent.supervise import Pulse


def test_watchdog_is_not_fed_while_one_loop_hangs(tmp_path, monkeypatch, caplog):
    now_s = [0.0]
    pulse = Pulse(lambda: now_s[0])
    box = SimpleNamespace(pulse=pulse)
    systemd = Supervisor()
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.address)
    try:
        daemon = Daemon(tmp_path / "agent.yaml", tmp_path)
        fed = []
        for second in range(60):
            now_s[0] = float(second)
            pulse.beat("camera gate")
            if second < 10 or second > 50:
                pulse.beat("camera yard")
            before = len(systemd.times("WATCHDOG=1"))
            daemon._feed_watchdog(box)
            systemd.settle()
            fed.append(len(systemd.times("WATCHDOG=1")) > before)
    finally:
        systemd.close()
    # Stale after 25 s without a beat: from the 35th second on, until it beats again.
    assert [second for second, ok in enumerate(fed) if not ok] == list(range(35, 51))
    assert caplog.text.count("camera yard has made no progress for 26 s") == 1
    assert caplog.text.count("camera yard") == 1  # told once, not each second
    assert "camera gate" not in caplog.text
