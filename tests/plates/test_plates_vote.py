"""Evidence of several views: the sum beats the best single one, and says how sure it is."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plate_fakes import COUNTRIES, char_logits, country_logits

from agent.plates.grammar import load_grammars
from agent.plates.kbest import SLOTS, SYMBOLS
from agent.plates.reader import View
from agent.plates.vote import CORRELATION, MOST_VIEWS, Vote, summed

TEXT = "01A123BC"


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return (logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)).astype(np.float32)


def view(logits: np.ndarray, country="UZ", *, sure=5.0, quality=50.0) -> View:
    of_country = log_softmax(country_logits(country, sure)[:-1]).astype(float)
    return View(
        char_logp=log_softmax(logits),
        country_logp=dict(zip(COUNTRIES, of_country.tolist(), strict=False)),
        not_plate=0.01,
        sharpness=quality / 60,
        width_px=60.0,
    )


def vote_of(*views: View) -> Vote:
    vote = Vote(load_grammars())
    for each in views:
        vote.add(each)
    return vote


def noisy(text: str, seed: int, sure=3.0, noise=2.0) -> np.ndarray:
    """Logits of a view in which some characters are read wrongly."""
    return char_logits(text, sure) + np.random.default_rng(seed).normal(0, noise, (SLOTS, 37))


def test_verdict_of_all_views_beats_the_surest_single_one():
    surest = voted = 0
    for group in range(20):
        views = [view(noisy(TEXT, 10 * group + n, noise=1.5)) for n in range(6)]
        verdicts = [vote_of(each).verdict() for each in views]
        best = max(verdicts, key=lambda verdict: verdict.score)
        surest += best.texts[0].text == TEXT
        voted += vote_of(*views).verdict().texts[0].text == TEXT
    assert voted == 20
    assert surest <= 15


def test_verdict_margin_and_score_grow_with_the_views_and_stop_growing():
    scores, margins = [], []
    for count in (1, 2, 4, 8):
        verdict = vote_of(*[view(char_logits(TEXT, 5.0))] * count).verdict()
        assert verdict.votes == count
        scores.append(verdict.score)
        margins.append(verdict.margin)
    assert scores == sorted(scores)
    assert margins == sorted(margins)
    assert margins[-1] < margins[0] / CORRELATION


def test_summed_single_view_counts_once_and_many_as_few():
    one = view(char_logits(TEXT, 5.0))
    first, country = summed([one])
    assert np.allclose(first, one.char_logp, atol=0.05)  # but for the slips
    assert country["UZ"] == pytest.approx(one.country_logp["UZ"], abs=0.05)
    many, _ = summed([one] * 100)
    assert np.allclose(many, first * 100 / (1 + 99 * CORRELATION))


def test_verdict_one_view_that_is_sure_of_nonsense_does_not_veto_the_others():
    glare = char_logits(TEXT, 12.0)
    glare[3] = char_logits("7" * 10, 60.0)[3]
    verdict = vote_of(*[view(char_logits(TEXT, 9.0))] * 3, view(glare)).verdict()
    assert verdict.texts[0].text == TEXT
    assert verdict.score > 0.9


def test_vote_keeps_the_best_views_only():
    good = [view(char_logits(TEXT), quality=50 + n) for n in range(MOST_VIEWS)]
    bad = [view(char_logits("99X999XX"), quality=1 + n) for n in range(20)]
    mixed = good + bad
    random.Random(3).shuffle(mixed)
    vote = vote_of(*mixed)
    assert len(vote) == MOST_VIEWS
    assert vote.verdict().texts[0].text == TEXT
    assert vote.verdict().score > 0.99


def test_verdict_tells_what_else_it_may_be_and_by_how_much():
    logits = char_logits(TEXT, 10.0)
    logits[6, SYMBOLS.index("8")] = 8.0  # a digit where only a letter can stand
    logits[6, SYMBOLS.index("R")] = 9.0
    verdict = vote_of(view(logits)).verdict()
    best, second, *_ = verdict.texts
    assert (best.text, second.text) == (TEXT, "01A123RC")
    assert verdict.margin == pytest.approx(second.loss)
    assert verdict.margin == pytest.approx(1.0, abs=0.01)
    assert 0.6 < verdict.score < 0.8


@pytest.mark.parametrize("text", ["XK7719", "B8123CDX", "7XQ55", "1234567"])
def test_verdict_unknown_form_stays_what_it_reads(text):
    verdict = vote_of(*[view(char_logits(text, 10.0), "?")] * 2).verdict()
    assert (verdict.texts[0].text, verdict.texts[0].country) == (text, "?")


def test_verdict_unknown_form_is_not_forced_though_the_picture_says_uzbek():
    verdict = vote_of(*[view(char_logits("7XQ55KL", 10.0), "UZ")] * 3).verdict()
    assert (verdict.texts[0].text, verdict.texts[0].country) == ("7XQ55KL", "?")


def test_verdict_word_is_no_plate():
    assert vote_of(view(char_logits("WELCOME", 12.0))).verdict().score < 0.2


def test_verdict_country_by_the_picture_where_the_text_fits_two():
    for code in ("UZ", "KG"):
        (best, *_) = vote_of(view(char_logits("01123ABC"), code)).verdict().texts
        assert (best.text, best.country) == ("01123ABC", code)


def test_verdict_country_stays_open_where_neither_text_nor_picture_tells():
    verdict = vote_of(view(char_logits("01123ABC"), "UZ", sure=1.5)).verdict()
    best, *others = verdict.texts
    assert (best.text, best.country, best.loss) == ("01123ABC", "?", 0)
    same = {each.country: each.loss for each in others if each.text == best.text}
    assert set(same) >= {"UZ", "KG"}
    assert min(same.values()) == 0
    assert verdict.margin > 5  # the text itself is sure
    assert verdict.score > 0.99


def test_verdict_without_views_is_empty():
    verdict = vote_of().verdict()
    assert (verdict.texts, verdict.score, verdict.votes) == ((), 0, 0)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_verdict_of_anything_is_in_order(seed, count):
    rng = np.random.default_rng(seed)
    views = [
        view(rng.normal(0, 4, (SLOTS, 37)), COUNTRIES[seed % 8], quality=float(rng.uniform(1, 90)))
        for _ in range(count)
    ]
    verdict = vote_of(*views).verdict()
    assert 0 <= verdict.score <= 1 + 1e-12
    losses = [text.loss for text in verdict.texts[1:]]
    assert losses == sorted(losses)
    assert verdict.texts[0].loss == 0
    assert verdict.margin >= 0


def test_verdict_does_not_depend_on_the_order_of_equal_views():
    views = [view(noisy(TEXT, n), quality=50 + n) for n in range(5)]
    there, back = vote_of(*views).verdict(), vote_of(*views[::-1]).verdict()
    assert [text.text for text in there.texts] == [text.text for text in back.texts]
    assert there.score == pytest.approx(back.score)
