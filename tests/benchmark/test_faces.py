"""Which faces are edited: held out, neutral, and never those that edits are compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from coded_world import SIZE, samples

from mien.benchmark.faces import choose_faces, make_pool, matched, read_faces
from mien.benchmark.protocol import Protocol
from mien.errors import DataError
from mien.expressions import BASIC, VOCABULARY
from mien.prepared import PreparedSet

Make = Callable[..., PreparedSet]


@pytest.fixture(scope="module")
def world(make_prepared: Make) -> PreparedSet:
    return make_prepared(samples(9) + samples(2, "train"), SIZE)


def test_neutral_held_out_faces_are_edited_and_a_third_stays(world: PreparedSet) -> None:
    chosen = choose_faces(world, Protocol(faces=500, sweep_faces=4, gamut_faces=2), [BASIC])

    assert len(chosen.edited) == 6  # two thirds of the nine neutral faces
    assert all("validation" in key and "neutral" in key for key in read_faces(world, chosen, chosen.edited).keys)
    assert not set(chosen.edited) & set(chosen.others)
    assert len(chosen.edited) + len(chosen.others) == len(chosen.rows) == 9 * 7
    assert list(chosen.sweep) == list(chosen.edited[:4]) and list(chosen.gamut) == list(chosen.edited[:2])


def test_the_seed_chooses(world: PreparedSet) -> None:
    def keys(seed: int) -> tuple[str, ...]:
        chosen = choose_faces(world, Protocol(faces=3, seed=seed), [BASIC])
        return read_faces(world, chosen, chosen.edited).keys

    assert keys(1) == keys(1)
    assert len({keys(seed) for seed in range(6)}) > 1


def test_any_expression_may_be_edited_and_then_only_neutral_ones_are_swept(world: PreparedSet) -> None:
    chosen = choose_faces(world, Protocol(origin="any", faces=42), [BASIC])

    assert len(set(chosen.labels[chosen.edited])) == 7
    assert set(chosen.labels[chosen.sweep]) <= {0}


def test_the_judges_limit_the_expressions(world: PreparedSet) -> None:
    chosen = choose_faces(world, Protocol(), [BASIC, ("neutral", "anger", "happy", "contempt")])

    assert chosen.expressions == ("neutral", "happy", "anger")
    assert len(chosen.rows) == 27
    assert set(VOCABULARY[label] for label in world.labels[chosen.rows]) == {"neutral", "happy", "anger"}


def test_neither_the_judges_nor_other_rows_change_who_is_edited(world: PreparedSet, make_prepared: Make) -> None:
    def edited(prepared: PreparedSet, judged: tuple[str, ...]) -> tuple[str, ...]:
        chosen = choose_faces(prepared, Protocol(faces=3), [judged])
        return read_faces(prepared, chosen, chosen.edited).keys

    wanted = edited(world, BASIC)
    assert edited(world, ("neutral", "sad")) == wanted
    assert edited(make_prepared(samples(9), SIZE), BASIC) == wanted


def test_votes_are_kept_and_one_hot_where_there_are_none(world: PreparedSet) -> None:
    chosen = choose_faces(world, Protocol(), [BASIC])

    assert np.array_equal(chosen.votes, np.eye(7)[chosen.labels])


@pytest.mark.parametrize(
    ("rows", "protocol", "judged", "words"),
    [
        (samples(3), Protocol(split="test"), BASIC, "no test images"),
        (samples(3), Protocol(), ("contempt", "happy"), "share 1 expressions"),
        (samples(3, expressions=("happy", "sad")), Protocol(), BASIC, "no neutral face"),
        (samples(1), Protocol(), BASIC, "more than 1 neutral faces"),
    ],
)
def test_data_that_cannot_be_benchmarked_says_what_is_missing(
    make_prepared: Make, rows: list, protocol: Protocol, judged: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        choose_faces(make_prepared(rows, SIZE), protocol, [judged])
    assert caught.value.hint


def test_classes_are_matched_in_the_proportions_of_the_real_ones() -> None:
    assert list(matched([10, 4, 2], [100, 100, 100])) == [10, 4, 2]  # enough of each: all real faces
    assert list(matched([10, 4, 2], [5, 100, 100])) == [5, 2, 1]  # half of the first: half of all
    assert list(matched([10, 0, 2], [10, 100, 2])) == [10, 0, 2]


def test_the_oracle_draws_what_was_asked_from_faces_that_are_not_edited(world: PreparedSet) -> None:
    from coded_world import CodedJudge

    from mien.benchmark.contestants import Oracle
    from mien.conditions import Condition

    chosen = choose_faces(world, Protocol(faces=3), [BASIC])
    pool = make_pool(world, chosen)
    faces = read_faces(world, chosen, chosen.edited)
    asked = [Condition.named(name) for name in BASIC]

    given = Oracle(pool, 0).edit(faces, asked, "direct")

    for column in range(7):
        assert (CodedJudge().judge(given[:, column]).probabilities.argmax(1) == column).all()
    for image in given.reshape(-1, *given.shape[2:]):
        assert not any(np.array_equal(image, face) for face in faces.images)
    assert np.isnan(Oracle(pool, 0).edit(faces, [Condition.polar(1.0, 0.5)], "direct")).all()
