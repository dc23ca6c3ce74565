"""One interpreter for all cameras: whole answers, in order of arrival."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from agent.errors import ModelError
from agent.infer.fair_lock import FairLock
from agent.infer.model import Model, open_model
from agent.infer.package import find_package


@pytest.fixture(scope="module")
def face() -> Model:
    try:
        return open_model(find_package("face"), threads=1)
    except ModelError as error:
        pytest.skip(f"no model: {error}")


def tensors(model: Model, count: int):
    card = model.package
    shape = (1, card.height_px, card.width_px, 3)
    return [
        np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
        for seed in range(count)
    ]


def test_run_from_many_threads_gives_each_its_own_answer(face):
    inputs = tensors(face, 8)
    alone = [face.run(tensor) for tensor in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(face.run, inputs * 3))
    for k, outputs in enumerate(together):
        for mine, expected in zip(outputs, alone[k % 8], strict=True):
            assert np.array_equal(mine, expected)


def test_run_hands_over_outputs_that_the_next_run_does_not_touch(face):
    first, second = tensors(face, 2)
    kept = face.run(first)
    copies = [output.copy() for output in kept]
    face.run(second)
    assert all(np.array_equal(a, b) for a, b in zip(kept, copies, strict=True))


def test_run_refuses_a_tensor_of_another_shape(face):
    with pytest.raises(ValueError, match=r"[Dd]imension|shape"):
        face.run(np.zeros((1, 10, 10, 3), np.float32))
    assert len(face.run(*tensors(face, 1))) == 2  # and works on


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width_px": 300}, "input is float32"),
        ({"outputs": "renamed"}, "says output nothing_such"),
        ({"outputs": "reshaped"}, r"says output .* \(1, 2, 3\)"),
    ],
)
def test_card_that_does_not_fit_its_file_is_refused(face, change, says):
    card = face.package
    first, *rest = card.outputs
    if change.get("outputs") == "renamed":
        change = {"outputs": (replace(first, name="nothing_such"), *rest)}
    elif change.get("outputs") == "reshaped":
        change = {"outputs": (replace(first, shape=(1, 2, 3)), *rest)}
    with pytest.raises(ModelError, match=says):
        open_model(replace(card, **change))


def test_delegate_that_is_not_there_is_named_with_what_to_do(face):
    with pytest.raises(ModelError) as refused:
        open_model(face.package, delegate="libno_such_accelerator.so.1")
    text = str(refused.value)
    assert "libno_such_accelerator.so.1" in text
    assert "infer: {delegate: null}" in text
    assert "\n" not in text


def test_delegate_that_is_a_library_but_no_delegate_is_refused(face):
    with pytest.raises(ModelError, match=r"delegate libc\.so\.6 cannot be loaded"):
        open_model(face.package, delegate="libc.so.6")


def test_fair_lock_serves_in_order_of_arrival():
    lock, served, threads = FairLock(), [], []

    def wait(number: int) -> None:
        with lock:
            served.append(number)

    with lock:
        for number in range(20):
            thread = threading.Thread(target=wait, args=(number,))
            thread.start()
            threads.append(thread)
            until = time.monotonic() + 5
            while len(lock._waiting) <= number and time.monotonic() < until:
                time.sleep(0.0005)
    for thread in threads:
        thread.join(5)
    assert served == list(range(20))


def test_fair_lock_lets_nobody_in_twice_at_once():
    lock, inside, most = FairLock(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert most == [1]


def test_fair_lock_is_free_again_after_an_exception():
    lock = FairLock()
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock:
        pass
