"""Combining: every pixel and label comes through, nobody is on both sides, balance and leaks as promised."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from photographs import brighter, photograph, sample, write_set

from mien.combining import combine
from mien.datasets import Sample
from mien.errors import ConfigError, DataError, ImageError
from mien.expressions import VOCABULARY
from mien.leaving_out import read_leave_out
from mien.prepared import PreparedSet, prepare

VOTES = (0.1, 0.7, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0)


def grey_set(folder: Path) -> PreparedSet:
    """Return six grey images: five with expressions, one without."""
    return write_set(
        folder,
        [
            sample("g/0", photograph(0), "train", "happy", source="grey", shares=VOTES, intensity=0.3, subject="ann"),
            sample("g/1", photograph(1), "train", "sad", source="grey"),
            sample("g/2", photograph(2), "validation", "happy", source="grey", subject="7"),
            sample("g/3", photograph(3), "train", None, source="grey"),
            sample("g/4", photograph(4), "test", "anger", source="grey", subject="bob"),
            sample("g/5", photograph(5), "train", "happy", source="grey"),
        ],
    )


def rgb_set(folder: Path) -> PreparedSet:
    """Return four coloured images."""
    splits = ("train", "train", "validation", "train")
    subjects = ("bob", "7", "ann", "carol")
    return write_set(
        folder,
        [
            sample(f"c/{i}", photograph(10 + i, colour=True), splits[i], "fear", source="colour", subject=subjects[i])
            for i in range(4)
        ],
    )


def test_pixels_and_labels_come_through(tmp_path: Path) -> None:
    grey, rgb = grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")
    both = combine([grey, rgb], tmp_path / "both")
    assert both.keys == (*(f"grey/g/{i}" for i in range(6)), *(f"colour/c/{i}" for i in range(4)))
    assert both.sources == ("grey",) * 6 + ("colour",) * 4
    assert (both.channels, both.size) == (3, 48)
    np.testing.assert_array_equal(both.images(range(6)), np.repeat(grey.images(range(6)), 3, axis=3))
    np.testing.assert_array_equal(both.images(range(6, 10)), rgb.images(range(4)))
    for column in ("labels", "shares", "intensity"):
        expected = np.concatenate([getattr(grey, column), getattr(rgb, column)])
        np.testing.assert_array_equal(getattr(both, column), expected)
    assert both.subjects == grey.subjects + rgb.subjects
    both.verify()


def test_grey_stays_grey_at_every_level(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    sets = [
        write_set(tmp_path / name, [sample("x", np.ascontiguousarray(pixels))], size=16)
        for name, pixels in (("a", ramp), ("b", ramp[::-1]))
    ]
    both = combine(sets, tmp_path / "both")
    assert both.channels == 1
    np.testing.assert_array_equal(both.images([0, 1])[..., 0], np.stack([ramp, ramp[::-1]])[..., 0])


def test_almost_grey_pictures_of_a_coloured_set_keep_their_colours(tmp_path: Path) -> None:
    tinted = photograph(1).copy()
    tinted[..., 0] = np.minimum(tinted[..., 0], 250) + 3
    first = prepare([sample("tinted", tinted)], tmp_path / "a", dataset="a", size=48, channels=3)
    second = prepare([sample("b", photograph(2))], tmp_path / "b", dataset="b", size=48, channels=3)
    np.testing.assert_array_equal(combine([first, second], tmp_path / "both").images([0])[0], tinted)


def test_a_subject_in_several_splits_goes_to_the_last(tmp_path: Path) -> None:
    both = combine([grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")], tmp_path / "both")
    splits = dict(zip(both.keys, both.splits.tolist(), strict=True))
    assert splits["grey/g/0"] == splits["colour/c/2"] == "validation"  # ann was in training and in validation
    assert splits["grey/g/4"] == splits["colour/c/0"] == "test"  # bob was in test and in training
    assert splits["grey/g/2"] == "validation" and splits["colour/c/1"] == "train"  # a number is no name: two people
    assert splits["colour/c/3"] == "train"
    assert both.manifest["recipe"]["options"]["moved_subjects"] == ["ann", "bob"]


def test_a_number_is_one_person_within_a_source(tmp_path: Path) -> None:
    sets = [
        write_set(tmp_path / name, [sample("x", photograph(number), split, subject="12")])
        for name, number, split in (("a", 1, "train"), ("b", 2, "test"))
    ]
    both = combine(sets, tmp_path / "both")
    assert both.splits.tolist() == ["test", "test"]
    assert both.keys == ("test-1/x", "test-2/x") and both.sources == ("test-1", "test-2")


def test_the_manifest_tells_the_parents(tmp_path: Path) -> None:
    grey, rgb = grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")
    both = combine([tmp_path / "grey", tmp_path / "rgb"], tmp_path / "both")
    assert both.manifest["dataset"] == "combination"
    assert both.manifest["recipe"]["options"]["parents"] == [
        {"name": "grey", "dataset": "test", "hash": grey.hash, "count": 6},
        {"name": "colour", "dataset": "test", "hash": rgb.hash, "count": 4},
    ]


def test_a_combination_can_be_combined_again(tmp_path: Path) -> None:
    both = combine([grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")], tmp_path / "both")
    third = write_set(tmp_path / "third", [sample("x", photograph(20), source="third")])
    all_three = combine([both, third], tmp_path / "all")
    assert all_three.keys[0] == "combination/grey/g/0" and all_three.keys[-1] == "third/x"
    assert Counter(all_three.sources) == {"grey": 6, "colour": 4, "third": 1}


def test_one_set_without_its_leaks(tmp_path: Path) -> None:
    leaky = write_set(
        tmp_path / "leaky",
        [
            sample("a", photograph(0)),
            sample("a-again", photograph(0)),
            sample("same", photograph(0), "validation"),
            sample("near", brighter(photograph(0)), "test"),
            sample("own", photograph(1), "validation"),
            sample("of-validation", photograph(1)[:, ::-1], "test"),
            sample("other", photograph(2), "test"),
        ],
    )
    clean = combine([leaky], tmp_path / "clean", without_leaks=True)
    assert clean.keys == ("a", "a-again", "own", "other")
    reasons = dict(clean.rejected())
    assert reasons["same"] == "the train split has this picture too (same): `a`"
    assert reasons["of-validation"] == "the validation split has this picture too (mirrored): `own`"
    assert set(reasons) == {"same", "near", "of-validation"}


def test_where_pictures_end_comes_through(tmp_path: Path) -> None:
    frame = (1.25, 0.0, -0.125, 0.0, 1.25, -0.0625)
    rows = [dataclasses.replace(sample(f"{i}", photograph(i)), frame=frame if i else None) for i in range(2)]
    framed, plain = write_set(tmp_path / "framed", rows), write_set(tmp_path / "plain", [sample("p", photograph(5))])
    both = combine([framed, plain], tmp_path / "both", size=24)
    np.testing.assert_allclose(both.frames[1].ravel(), frame)
    np.testing.assert_array_equal(both.frames[[0, 2]], np.broadcast_to([[0, 0, 0.5], [0, 0, 0.5]], (2, 2, 3)))
    # What was not noted is not taken for a picture that fills its crop.
    unknown = dataclasses.replace(plain, frames=np.full((1, 2, 3), np.nan, np.float32))
    mixed = combine([framed, unknown], tmp_path / "mixed")
    assert np.isnan(mixed.frames[2]).all() and not np.isnan(mixed.frames[:2]).any()


def test_what_is_on_a_list_is_left_out(tmp_path: Path) -> None:
    sets = [grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")]
    (tmp_path / "mine.txt").write_text("g/1\n\ncolour/c/2\nnobody\n")  # a key of its set, one of the combination
    both = combine(sets, tmp_path / "both", leave_out=read_leave_out(tmp_path / "mine.txt"))
    assert dict(both.rejected()) == {"grey/g/1": "on the list `mine.txt`", "colour/c/2": "on the list `mine.txt`"}
    assert len(both) == 8
    said = both.manifest["recipe"]["options"]["leave_out"]
    assert (said["list"], said["images"]) == ("mine.txt", 2)
    (tmp_path / "mine.txt").write_text("g/1\ncolour/c/1\n")
    with pytest.raises(DataError, match="was prepared with options"):  # another list of that name
        combine(sets, tmp_path / "both", leave_out=read_leave_out(tmp_path / "mine.txt"))
    table = combine(sets, tmp_path / "again", leave_out=read_leave_out(both.path / "rejected.csv"))
    assert table.keys == both.keys
    (tmp_path / "none.txt").write_text("nobody\n")
    with pytest.raises(DataError, match=r"none of the sets' images is on the list `none\.txt`"):
        combine(sets, tmp_path / "none", leave_out=read_leave_out(tmp_path / "none.txt"))
    assert not (tmp_path / "none").exists()
    (tmp_path / "all.txt").write_text("\n".join(both.keys) + "\ng/1\nc/2\n")
    with pytest.raises(DataError, match=r"the list `all\.txt` leaves no image"):
        combine(sets, tmp_path / "none", leave_out=read_leave_out(tmp_path / "all.txt"))


def test_a_key_of_several_sets_has_to_be_clear(tmp_path: Path) -> None:
    sets = []
    for i, name in enumerate(("a", "b")):
        rows = [sample("1", photograph(i), source=name), sample("2", photograph(9 + i), source=name)]
        sets.append(write_set(tmp_path / name, rows))
    (tmp_path / "list.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"`1`, of the list `list\.txt`, is the key of 2 images") as caught:
        combine(sets, tmp_path / "both", leave_out=read_leave_out(tmp_path / "list.txt"))
    assert "combination's key" in caught.value.hint
    (tmp_path / "list.txt").write_text("b/1\n")
    both = combine(sets, tmp_path / "both", leave_out=read_leave_out(tmp_path / "list.txt"))
    assert both.keys == ("a/1", "a/2", "b/2")


@pytest.mark.parametrize("text", ["\ufeffg/1\ng/2\n", "\ufeffkey,reason\r\ng/1,no\r\ng/2,no\r\n"])
def test_lists_of_a_spreadsheet(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode())
    assert set(read_leave_out(tmp_path / "list.csv").reasons) == {"g/1", "g/2"}


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file") as caught:
        read_leave_out("fer2013-cover")
    assert "`fer2013-covered` (FER2013's training faces behind hands" in caught.value.hint
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="names no image"):
        read_leave_out(tmp_path / "empty.txt")
    (tmp_path / "picture.jpg").write_bytes(b"\x80" * 200_000)
    with pytest.raises(DataError, match="is no list"):
        read_leave_out(tmp_path / "picture.jpg")


def test_the_list_that_ships_knows_both_names_of_an_image() -> None:
    listed = read_leave_out("fer2013-covered")
    assert 3000 < len(listed.reasons) < 3500
    assert listed.reason("train/fer0000021", "fer2013") == "a hand covers the face"
    assert listed.reason("fer2013/train/0000021", "fer2013") == "a hand covers the face"
    assert listed.reason("fer2013-2/train/fer0000021", "fer2013-2") == "a hand covers the face"
    for key, source in (
        ("train/fer0000021", "rafdb"),
        ("validation/fer0000021", "fer2013"),
        ("train/fer0000000", "fer2013"),
    ):
        assert listed.reason(key, source) is None


def unequal(folder: Path) -> list[PreparedSet]:
    """Return two sets whose training splits hold 12 and 5 images; 9 happy, 6 sad, 2 fear."""
    counts = ({"happy": 8, "sad": 4}, {"happy": 1, "sad": 2, "fear": 2})
    sets = []
    for number, expressions in enumerate(counts):
        names = [name for name, count in expressions.items() for _ in range(count)]
        rows = [
            sample(f"{i}", photograph(100 * number + i), "train", name, source=f"s{number}")
            for i, name in enumerate(names)
        ]
        held = [
            sample(f"v{i}", photograph(100 * number + 50 + i), "validation", "happy", source=f"s{number}")
            for i in range(4)
        ]
        unnamed = sample("u", photograph(100 * number + 90), "train", None, source=f"s{number}")
        sets.append(write_set(folder / f"s{number}", [*rows, *held, *([unnamed] if number else [])]))
    return sets


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1.0, {"happy": 2, "sad": 2, "fear": 2}),
        (2.5, {"happy": 5, "sad": 5, "fear": 2}),
        (9, {"happy": 9, "sad": 6, "fear": 2}),
    ],
)
def test_balance_by_expressions(tmp_path: Path, ratio: float, expected: dict[str, int]) -> None:
    both = combine(unequal(tmp_path), tmp_path / "both", balance="expressions", ratio=ratio)
    train = both.select("train")
    names = Counter(VOCABULARY[label] if label >= 0 else None for label in both.labels[train].tolist())
    assert names == {**expected, None: 1}
    assert len(both.select("validation")) == 8
    assert len(both.rejected()) == 17 - sum(expected.values())
    assert {reason for _, reason in both.rejected()} <= {"left out to balance expressions"}


def test_balance_by_sources(tmp_path: Path) -> None:
    both = combine(unequal(tmp_path), tmp_path / "both", balance="sources")
    kept = Counter(source for source, split in zip(both.sources, both.splits, strict=True) if split == "train")
    assert kept == {"s0": 6, "s1": 6}  # the one without a label counts as well
    assert len(both.select("validation")) == 8


def test_the_seed_decides_which_and_nothing_else_does(tmp_path: Path) -> None:
    sets = unequal(tmp_path)
    first, again, other = (
        combine(sets, tmp_path / f"out{i}", balance="expressions", seed=seed).keys for i, seed in enumerate((0, 0, 1))
    )
    assert first == again != other and len(first) == len(other)


def test_other_sizes_only_when_asked(tmp_path: Path) -> None:
    small = write_set(tmp_path / "small", [sample("s", photograph(0), source="s")])
    large = write_set(tmp_path / "large", [sample("l", np.full((96, 96, 3), 77, np.uint8), source="l")], size=96)
    with pytest.raises(DataError, match="images of 48 and 96 pixels") as error:
        combine([small, large], tmp_path / "both")
    assert "--size 48" in error.value.hint and not (tmp_path / "both").exists()
    both = combine([small, large], tmp_path / "both", size=48)
    np.testing.assert_array_equal(both.images([0]), small.images([0]))
    assert both.images([1]).shape == (1, 48, 48, 1) and (both.images([1]) == 77).all()


def test_an_interrupted_combination_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")]
    whole = combine(sets, tmp_path / "whole")
    real, calls = PreparedSet.images, []

    def dying(self: PreparedSet, indices: object) -> np.ndarray:
        calls.append(indices)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return real(self, indices)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(PreparedSet, "images", dying)
    with pytest.raises(KeyboardInterrupt):
        combine(sets, tmp_path / "cut")
    monkeypatch.undo()
    with pytest.raises(DataError):
        PreparedSet.open(tmp_path / "cut")
    assert combine(sets, tmp_path / "cut").hash == whole.hash
    assert combine(sets, tmp_path / "cut").hash == whole.hash  # finished already: only checked
    with pytest.raises(DataError, match="was prepared with options"):
        combine(sets, tmp_path / "cut", balance="expressions")


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    grey, rgb = grey_set(tmp_path / "grey"), rgb_set(tmp_path / "rgb")
    copy = grey_set(tmp_path / "copy")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for sets, out, settings, error in (
        ([grey, grey], "out", {}, "hold the same data"),
        ([grey, copy], "out", {}, "hold the same data"),
        ([grey, rgb], "grey", {}, "lies in the set"),
        ([grey, rgb], "rgb/deep/out", {}, "lies in the set"),
        ([grey, rgb], ".", {}, "not empty"),
        ([grey, rgb], "out", {"balance": "people"}, "unknown balance `people`"),
        ([grey, rgb], "out", {"balance": "expressions", "ratio": 0.5}, "less than 1"),
        ([grey, rgb], "out", {"balance": "expressions", "ratio": float("nan")}, "less than 1"),
        ([grey], "out", {"balance": "sources"}, "one set cannot be balanced"),
        ([], "out", {}, "nothing to combine"),
        ([tmp_path / "none", grey], "out", {}, "no prepared set"),
    ):
        with pytest.raises((DataError, ConfigError), match=error) as caught:
            combine(sets, tmp_path / out, **settings)  # pyright: ignore[reportArgumentType]
        assert caught.value.hint, error
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_set_of_evaluation_images_alone_has_nothing_to_balance(tmp_path: Path) -> None:
    held = write_set(tmp_path / "held", [sample("v", photograph(0), "validation")])
    with pytest.raises(DataError, match="no training images"):
        combine([held], tmp_path / "out", balance="expressions")


def test_what_the_parents_rejected_is_not_said_again(tmp_path: Path) -> None:
    """It is named in the lists of the parents, which the manifest names."""

    def broken() -> np.ndarray:
        raise ImageError("cut short")

    rows = [sample("a", photograph(0)), Sample("b", broken, "sad", "train", "test")]
    parent = write_set(tmp_path / "parent", rows)
    assert combine([parent], tmp_path / "out").rejected() == []
