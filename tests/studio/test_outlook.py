"""What estimates say: marked as such, no claim where there is none, cost of protection."""

from __future__ import annotations

import dataclasses
import math

import pytest

from osscar_core.catalogue import own_data
from osscar_core.estimates import Estimate
from osscar_core.explorer import WhatIf
from osscar_core.records import PruneSpec
from osscar_core.studio import examples, outlook
from osscar_core.studio.briefs import find_brief
from osscar_core.studio.numbers import ALMOST, MINUS, TIMES, about
from osscar_core.studio.whatif import Achieved, Answers, Misses, Standing
from osscar_core.studio.wishes import Aim, Wish

WISH = Wish(Aim.REMOVED, 50)


@pytest.fixture(scope="module")
def image() -> Answers:
    return answers("demo/resnet50")


@pytest.fixture(scope="module")
def text() -> Answers:
    return answers("demo/opt")


def answers(model: str, **changes) -> Answers:
    spec = PruneSpec(model, own_data(model))
    return Answers(find_brief(spec), dataclasses.replace(spec, **changes), examples.of_model(model))


def made(source: Answers, **changes) -> WhatIf:
    return dataclasses.replace(source.at(WISH), **changes)


def test_the_sentence_is_of_estimates_and_the_size_is_not(image: Answers) -> None:
    answer = made(
        image,
        speedup=1.62,
        bytes=round(0.44 * image.dense_bytes),
        quality=Estimate(0.004, 0.001, 0.012),
    )
    assert outlook.sentence(WISH, answer, image) == (
        f"At 50% removed: **{about(f'1.62{TIMES}')} faster**, "
        f"**{about('0.4')} points** of accuracy lost (up to 1.2), **56% smaller**."
    )


def test_perplexity_rises_in_per_cent(text: Answers) -> None:
    answer = made(text, quality=Estimate(math.log(1.042), 0.0, math.log(1.063)))
    assert f"**perplexity {about('+4.2%')}** (up to +6.3%)" in outlook.sentence(WISH, answer, text)


def test_no_speed_up_is_claimed_within_the_spread(image: Answers) -> None:
    assert 0 < image.speed_spread < 0.5
    for share, said in ((0.5, "about as fast as before"), (1.5, "faster"), (-1.5, "slower")):
        answer = made(image, speedup=math.exp(share * image.speed_spread))
        assert said in outlook.sentence(WISH, answer, image)


def test_a_loss_too_small_to_see_is_called_so(image: Answers, text: Answers) -> None:
    answer = made(image, quality=Estimate(1e-5, 1e-6, 4e-4))
    assert "no loss of accuracy to speak of** (below 0.1 pt)" in outlook.sentence(
        WISH, answer, image
    )
    answer = made(text, quality=Estimate(1e-5, 1e-6, 4e-4))
    assert "no rise of perplexity to speak of" in outlook.sentence(WISH, answer, text)


def test_what_is_not_known_is_not_invented(image: Answers) -> None:
    answer = made(image, speedup=None, latency_ms=None, quality=None)
    said = outlook.sentence(WISH, answer, image)
    assert "speed not known" in said
    assert "quality not estimated" in said
    speed, quality, size = outlook.metrics(answer, image)
    assert (speed.standing, quality.standing, size.standing) == ("unknown", "unknown", "exact")
    assert {metric.standing for metric in outlook.unknown("image")} == {"unknown"}


def test_the_numbers_have_the_mark_of_estimates_and_bands(image: Answers) -> None:
    answer = made(
        image, speedup=1.5, latency_ms=image.dense_ms / 1.5, quality=Estimate(0.01, 0.005, 0.02)
    )
    speed, quality, size = outlook.metrics(answer, image)
    assert speed.value == about(f"1.50{TIMES}")
    low, high = (1.5 * math.exp(side * image.speed_spread) for side in (-1, 1))
    assert speed.span == f"band {low:.2f} to {high:.2f}"
    assert quality.value == about(f"{MINUS}1.0 pt")
    assert quality.span == f"band {MINUS}2.0 to {MINUS}0.5"
    assert ALMOST not in size.value
    assert speed.is_good is quality.is_good is None


def test_out_of_reach_names_the_protection_that_stands_in_the_way() -> None:
    wish = Wish(Aim.SPEED, 2)
    bare = outlook.unreachable(wish, "image", is_protected=False, has_options=True)
    assert bare == f"**2.00{TIMES}** the speed is not reachable within these limits. Nearest:"
    held = outlook.unreachable(wish, "image", is_protected=True, has_options=False)
    assert "Without the protection it would be." in held
    assert "Everything is protected" in held


def test_an_option_says_what_it_costs(image: Answers) -> None:
    answer = made(image, quality=Estimate(0.012, 0.0, 0.1))
    label = outlook.option_label(Wish(Aim.SPEED, 1.9), answer, image)
    assert label == f"1.90{TIMES} at a loss of {about('1.2 pt')}"


def test_protection_costs_what_the_two_answers_differ_by(image: Answers) -> None:
    free = made(image, speedup=1.6, quality=Estimate(0.01, 0.0, 0.1))
    held = made(image, speedup=1.5, quality=Estimate(0.013, 0.0, 0.1))
    said = outlook.cost_words(held, free, image)
    assert f"0.10{TIMES} less speed" in said
    assert "0.3 pt more loss" in said
    assert "size" not in said
    assert "nothing to speak of" in outlook.cost_words(free, free, image)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Achieved(Wish(Aim.LOSS, 1.0), 0.7, 0.3, 1.1, Standing.UNPROVEN),
            "Asked for at most 1.0 pt, measured 0.7 pt (0.3 pt to 1.1 pt): **not proven**.",
        ),
        (
            Achieved(Wish(Aim.SPEED, 1.5), 1.6, 1.52, 1.69, Standing.MET),
            (
                f"Asked for at least 1.50{TIMES}, measured 1.60{TIMES} "
                f"(1.52{TIMES} to 1.69{TIMES}): **met**."
            ),
        ),
        (
            Achieved(Wish(Aim.SIZE, 60), 62.5, 62.5, 62.5, Standing.MISSED),
            "Asked for at most 60%, is 62.5%: **missed**.",
        ),
    ],
)
def test_asked_is_set_against_measured(found: Achieved, said: str) -> None:
    assert outlook.achieved_words(found, "image") == said


def test_a_gain_of_quality_is_a_negative_loss() -> None:
    found = Achieved(Wish(Aim.LOSS, 1.0), -0.2, -0.9, 0.5, Standing.MET)
    assert f"{MINUS}0.2 pt" in outlook.achieved_words(found, "image")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Misses(3, 0.04, 0.2), "off by 0.2 pt and 4% of speed on average"),
        (Misses(2, None, 0.2), "off by 0.2 pt on average"),
        (Misses(2, 0.04, None), "off by 4% of speed on average"),
        (Misses(2, None, None), ""),
    ],
)
def test_how_far_estimates_were_off_is_said(found: Misses, said: str) -> None:
    assert said in outlook.missed(found, "image")


def test_it_is_said_how_estimates_were_made(image: Answers) -> None:
    said = outlook.made_how(image, is_timed_here=True)
    assert f"corrected by {image.taught_by} measured models" in said
    assert image.brief.table.conditions["device"] in said
    assert "this machine)" in said
    assert "another machine" in outlook.made_how(image, is_timed_here=False)
