"""Coverage of the gamut against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.metrics.coverage import compound_distances, find_compounds, gamut_coverage, jensen_shannon

NAMES = ("neutral", "happy", "sad", "surprise")


def test_the_distance_by_hand() -> None:
    pure = np.eye(3)
    half = np.array([[0.5, 0.5, 0.0]])
    assert jensen_shannon(pure, pure) == pytest.approx(1 - np.eye(3))
    # M = (3/4, 1/4): H(M) - H(P)/2 - H(Q)/2 = .811278 - 0 - .5
    assert jensen_shannon(half, pure)[0] == pytest.approx([np.sqrt(0.3112781245)] * 2 + [1.0])
    assert jensen_shannon(half, half)[0, 0] == 0.0


def test_blocks_do_not_change_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(0).dirichlet(np.ones(4), (2, 9))
    whole = jensen_shannon(first, second)
    monkeypatch.setattr("mien.metrics.coverage._BLOCK_NUMBERS", 80)
    assert (jensen_shannon(first, second) == whole).all()
    np.testing.assert_allclose(jensen_shannon(second, first).T, whole, atol=1e-12)


def test_compounds_are_what_two_shares_or_more_make() -> None:
    votes = np.array([
        [0.3, 0.3, 0.0, 0.4],  # happy and surprise, whatever neutral has
        [0.0, 0.2, 0.1, 0.7],
        [0.0, 0.5, 0.5, 0.0],  # happy and sad, once only
        [0.1, 0.8, 0.0, 0.1],  # too little of surprise
        [0.0, 0.0, 0.0, 0.0],  # nobody voted
    ])  # fmt: skip
    (found,) = find_compounds(votes, NAMES, least_faces=2)
    assert (found.name, found.pair, found.faces) == ("happily surprised", ("happy", "surprise"), 2)
    assert found.mixture == pytest.approx([0.15, 0.25, 0.05, 0.55])
    assert [c.name for c in find_compounds(votes, NAMES, least_faces=1)][1] in ("happily sad", "sadly happy")
    assert find_compounds(votes, NAMES) == []


def test_where_on_the_disc_a_compound_is() -> None:
    mixture = np.array([0.0, 0.4, 0.0, 0.6])
    votes = np.tile(mixture, (10, 1))
    codes = np.array([[0.0, 0.0], [1.0, 0.0], [0.7, 0.7]])
    means = np.array([[1.0, 0, 0, 0], [0.0, 1, 0, 0], [0.0, 0.4, 0, 0.6]])
    judged = np.tile(means, (6, 1, 1))
    whole, one = compound_distances(votes, judged, codes, NAMES)
    assert one.expression == "happily surprised" and one.details["code"] == [0.7, 0.7]
    assert whole.value == pytest.approx(0.0, abs=1e-6) and whole.details["compounds"] == ["happily surprised"]
    assert one.details["seen"] == pytest.approx(dict(zip(NAMES, mixture, strict=True)))
    # Without that code, the nearest is pure happiness: M = (.7 happy, .3 surprise).
    far = compound_distances(votes, judged[:, :2], codes[:2], NAMES)[1]
    entropy = lambda *p: -sum(x * np.log2(x) for x in p)  # noqa: E731
    assert far.value == pytest.approx(np.sqrt(entropy(0.7, 0.3) - entropy(0.4, 0.6) / 2)) == far.low == far.high
    assert far.details["code"] == [1.0, 0.0]


def test_a_compound_is_met_by_the_mean_over_faces() -> None:
    # Half of the faces look purely happy, half purely surprised: nobody shows the mixture, the mean over faces does.
    # The protocol says so; this keeps it from changing unseen.
    votes = np.tile([0.0, 0.5, 0.0, 0.5], (10, 1))
    judged = np.zeros((6, 1, 4))
    judged[:3, 0, 1] = judged[3:, 0, 3] = 1.0
    made = compound_distances(votes, judged, np.zeros((1, 2)), NAMES, seed=2)[1]
    assert made.value == pytest.approx(0.0, abs=1e-6)
    assert made.high > 0.2  # other faces would have made another mean  # pyright: ignore[reportOptionalOperand]


def test_coverage_by_hand() -> None:
    a, b = [0.0, 0.9, 0.1, 0.0], [0.0, 0.8, 0.2, 0.0]
    c = [0.0, 0.0, 0.1, 0.9]
    neutral = [0.6, 0.4, 0.0, 0.0]
    votes = np.array([a, a, a, b, c, neutral, [0, 0, 0, 0]])
    judged = np.tile(np.array([a, [1.0, 0, 0, 0]]), (5, 1, 1))
    radius = jensen_shannon(np.array([a]), np.array([b]))[0, 0]
    far = jensen_shannon(np.array([a]), np.array([c]))[0, 0]
    coverage, distance = gamut_coverage(votes, judged, NAMES)
    # Of the three distinct mixtures two are `radius` from their nearest other one: the median.
    assert coverage.details["radius"] == pytest.approx(radius) and coverage.details["distinct"] == 3
    assert coverage.value == pytest.approx(4 / 5) and coverage.n == 5  # a three times, b just so, not c
    assert distance.value == pytest.approx((0 + 0 + 0 + radius + far) / 5)
    assert coverage.details["unanimous"] == 0.0  # people who all say the same show no mixture
    two_of_three = gamut_coverage(np.array([[0, 1, 0, 0], [0, 0, 1, 0], b]), judged, NAMES)[0]
    assert two_of_three.details["unanimous"] == pytest.approx(2 / 3)
    assert gamut_coverage(votes, judged, NAMES, radius=0.0)[0].value == pytest.approx(3 / 5)


def test_the_interval_holds_the_choice_of_the_edited_faces_and_of_the_real_ones() -> None:
    # Half of the edited faces look happy at the only code, half surprised: their mean is what people voted, exactly.
    votes = np.tile([0.0, 0.5, 0.0, 0.5], (40, 1))
    votes[0] = [0.0, 0.6, 0.0, 0.4]
    judged = np.zeros((6, 1, 4))
    judged[:3, 0, 1] = judged[3:, 0, 3] = 1.0
    coverage, distance = gamut_coverage(votes, judged, NAMES, radius=0.05)
    assert coverage.value == pytest.approx(39 / 40)
    # Only with three of each are all within reach: C(6, 3) / 2^6 = 0.31 of the draws.
    assert coverage.low == 0.0 and coverage.high == 1.0
    assert distance.high is not None and distance.high > 0.2
    # Edited faces that are all alike leave the real ones, of which 2 of 40 are out of reach: 0.95 +- 2 * 0.034.
    votes[1] = votes[0]
    coverage = gamut_coverage(votes, np.tile(votes[2], (6, 1, 1)), NAMES, radius=0.05)[0]
    assert coverage.low is not None and 0.85 <= coverage.low < 0.95 and coverage.high == 1.0
    assert gamut_coverage(votes, judged[:1], NAMES, radius=0.05)[0].low is None


def test_a_disc_that_reaches_every_mixture_covers_all_and_one_that_reaches_none_nothing() -> None:
    votes = np.random.default_rng(0).dirichlet([0.1, 1, 1, 1], 60)
    votes = votes[votes.argmax(axis=1) != 0]
    every = gamut_coverage(votes, votes[None], NAMES)
    assert every[0].value == 1.0 and every[1].value == pytest.approx(0.0, abs=1e-6)
    still = gamut_coverage(votes, np.tile(np.eye(4)[0], (3, 5, 1)), NAMES)  # always neutral
    assert still[0].value == 0.0 and still[1].value > 0.5  # pyright: ignore[reportOptionalOperand]


def test_labels_are_no_votes() -> None:
    judged = np.tile(np.eye(4), (3, 1, 1))
    for made in (
        gamut_coverage(np.eye(4), judged, NAMES),
        compound_distances(np.eye(4), judged, np.zeros((4, 2)), NAMES),
    ):
        assert {m.undefined for m in made} == {"the data has no votes: every face has one label"}


def test_what_is_too_little_or_broken_is_undefined() -> None:
    votes = np.tile([0.0, 0.5, 0.5, 0.0], (5, 1))
    judged = np.tile(np.eye(4), (3, 1, 1))
    assert "fewer than two" in gamut_coverage(votes, judged, NAMES)[0].undefined
    assert "10 faces" in compound_distances(votes, judged, np.zeros((4, 2)), NAMES)[0].undefined
    assert "no numbers" in gamut_coverage(votes, judged * np.nan, NAMES)[1].undefined


def test_other_shapes_are_refused() -> None:
    votes, judged = np.full((2, 4), 0.25), np.full((3, 5, 4), 0.25)
    with pytest.raises(ConfigError, match="judged distributions"):
        compound_distances(votes, judged, np.zeros((4, 2)), NAMES)
    with pytest.raises(ConfigError, match="judged distributions"):
        gamut_coverage(votes, judged[..., :3], NAMES)
    with pytest.raises(ConfigError, match="votes of shape"):
        find_compounds(votes[:, :3], NAMES)
