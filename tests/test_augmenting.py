"""Rare expressions are filled up with edited faces, and nothing else of a set changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from untrained import write_run

from mien.apps.cli import main
from mien.augmenting import Augmented, Wish, augment
from mien.benchmark.faces import choose_faces
from mien.benchmark.protocol import Protocol
from mien.benchmark.running import benchmark
from mien.benchmark.watching import watch
from mien.classifiers import export_classifier, load_classifier, load_guide
from mien.classifiers.report import measure_classifier
from mien.combining import combine
from mien.datasets import READERS, Sample
from mien.errors import ConfigError, DataError
from mien.expressions import BASIC, VOCABULARY
from mien.images import read_mark
from mien.inspecting import inspect
from mien.leaving_out import read_leave_out
from mien.lineage import edited_faces
from mien.prepared import EDITED, PreparedSet, original_key, prepare
from mien.pretrained import Model, load_model
from mien.unpacking import unpack

SIZE = 24
#: Training images of each expression, in the vocabulary's order from neutral on.
COUNTS = {"neutral": 7, "happy": 9, "sad": 2, "fear": 1}


def face(seed: int) -> np.ndarray:
    smooth = np.random.default_rng(seed).uniform(40, 200, (4, 4))
    grey = np.kron(smooth, np.ones((SIZE // 4, SIZE // 4))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def samples(counts: dict[str, int] = COUNTS) -> list[Sample]:
    rows, number = [], 0
    for split, share in (("train", 1), ("validation", 3)):
        for name, count in counts.items():
            for _ in range(-(-count // share)):
                number += 1
                pixels = face(number)
                rows.append(
                    Sample(
                        f"{split}/{number}", lambda pixels=pixels: pixels, name, split, "studio",
                        subject=f"person {number}", frame=(1.0, 0.0, 0.0, 0.0, 0.5, 0.0),
                    )
                )  # fmt: skip
    return rows


@pytest.fixture
def photos(tmp_path: Path) -> PreparedSet:
    return prepare(samples(), tmp_path / "photos", dataset="studio", size=SIZE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(write_run(tmp_path_factory.mktemp("models") / "tiny").path)


def train_counts(prepared: PreparedSet) -> dict[str, int]:
    return {name: len(prepared.select("train", [name])) for name in prepared.expressions}


def test_every_expression_comes_to_the_most_frequent_ones_number(
    photos: PreparedSet, model: Model, tmp_path: Path
) -> None:
    done = augment(photos, tmp_path / "out", model, Wish(origin="any"))
    neutral = done.prepared.select("train", ["neutral"])
    assert not done.prepared.intensity[neutral[done.prepared.edited[neutral]]].any()
    assert train_counts(done.prepared) == dict.fromkeys(("neutral", "happy", "sad", "fear"), 9)
    assert done.edited == {"neutral": 2, "happy": 0, "sad": 7, "fear": 8} and done.missing == {}
    recipe = done.prepared.manifest["recipe"]["options"]
    assert recipe["model_sha256"] == model.sha256 and recipe["parent"]["hash"] == photos.hash
    assert recipe["edited"] == {"neutral": 2, "sad": 7, "fear": 8}


def test_what_was_there_stays_as_it_was(photos: PreparedSet, model: Model, tmp_path: Path) -> None:
    made = augment(photos, tmp_path / "out", model).prepared
    count = len(photos)
    assert made.keys[:count] == photos.keys and made.subjects[:count] == photos.subjects
    assert np.array_equal(made.images(np.arange(count)), photos.images(np.arange(count)))
    assert np.array_equal(made.shares[:count], photos.shares) and np.array_equal(made.frames[:count], photos.frames)
    assert np.array_equal(made.splits[:count], photos.splits)
    assert not made.edited[:count].any() and made.edited[count:].all() and not photos.edited.any()
    assert set(made.splits[count:]) == {"train"}


def test_an_edit_is_what_the_model_makes_of_a_neutral_training_face(
    photos: PreparedSet, model: Model, tmp_path: Path
) -> None:
    made = augment(photos, tmp_path / "out", model, Wish(weakest=0.5, strongest=0.9)).prepared
    places = dict(zip(photos.keys, range(len(photos)), strict=True))
    intensities = []
    for index in np.flatnonzero(made.edited):
        marker, name, key = made.keys[index].split("/", 2)
        assert name != "neutral"  # which is filled up only where it is asked for
        donor = places[key]
        assert marker == EDITED and VOCABULARY[made.labels[index]] == name
        assert photos.splits[donor] == "train" and VOCABULARY[photos.labels[donor]] == "neutral"
        assert made.subjects[index] == photos.subjects[donor] and made.sources[index] == photos.sources[donor]
        assert np.array_equal(made.frames[index], photos.frames[donor])
        intensities.append(float(made.intensity[index]))
        before, after = photos.images([donor])[0], made.images([index])[0]
        assert np.abs(before.astype(int) - after.astype(int)).mean() > 1
    assert min(intensities) >= 0.5 and max(intensities) <= 0.9 and len(set(intensities)) > len(intensities) // 2


def test_it_says_what_is_missing_where_faces_run_out(photos: PreparedSet, model: Model, tmp_path: Path) -> None:
    done = augment(photos, tmp_path / "out", model, Wish(count=12, expressions=("fear", "neutral")))
    # Seven neutral faces can become fearful; of the others, twelve can become neutral.
    assert done.edited == {"neutral": 5, "fear": 7} and done.missing == {"fear": 4}
    assert train_counts(done.prepared) == {"neutral": 12, "happy": 9, "sad": 2, "fear": 8}


def test_the_choice_is_the_same_in_every_run_and_another_with_another_seed(
    photos: PreparedSet, model: Model, tmp_path: Path
) -> None:
    def made(out: str, **wish: Any) -> PreparedSet:
        return augment(photos, tmp_path / out, model, Wish(count=6, **wish)).prepared

    first = made("first")
    assert made("again").hash == first.hash == made("first").hash  # the last finds it finished
    assert made("other", seed=1).hash != first.hash
    larger = augment(photos, tmp_path / "larger", model, Wish(count=7)).prepared
    assert set(first.keys) < set(larger.keys)
    with pytest.raises(DataError, match="was prepared with options: count 6, not 7"):
        augment(photos, tmp_path / "first", model, Wish(count=7))


class Says:
    """A judge that calls every second face what was asked."""

    name, sha256, expressions = "says", "5" * 64, BASIC

    def __init__(self, name: str) -> None:
        self._index, self.asked = BASIC.index(name), 0

    def judge(self, images: np.ndarray) -> Any:
        answers = np.zeros((len(images), len(BASIC)), np.float32)
        for row in answers:
            row[self._index if self.asked % 2 else (self._index + 1) % len(BASIC)] = 1
            self.asked += 1
        return type("Judged", (), {"probabilities": answers})()


def test_with_a_judge_other_faces_stand_in_for_what_it_turns_down(
    photos: PreparedSet, model: Model, tmp_path: Path
) -> None:
    says: Any = Says("fear")
    done = augment(photos, tmp_path / "out", model, Wish(count=4, expressions=("fear",)), judge=says)
    assert (done.edited, done.refused, done.missing) == ({"fear": 3}, 3, {})
    assert done.prepared.manifest["recipe"]["options"]["judge_sha256"] == "5" * 64
    without = augment(photos, tmp_path / "plain", model, Wish(count=4, expressions=("fear",)))
    order = [
        key for key in augment(photos, tmp_path / "all", model, Wish(count=8, expressions=("fear",))).prepared.keys
    ]
    edits = [key for key in order if key.startswith(EDITED)]
    assert [key for key in done.prepared.keys if key.startswith(EDITED)] == edits[1:6:2]
    assert [key for key in without.prepared.keys if key.startswith(EDITED)] == edits[:3]


def test_no_judge_is_asked_for_what_has_no_place(photos: PreparedSet, model: Model, tmp_path: Path) -> None:
    augment(photos, tmp_path / "out", model, Wish(count=6))
    (tmp_path / "file").write_text("")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("mine")
    says: Any = Says("fear")
    for place, error in (
        ("out", 'prepared with options: judge_sha256 null, not "555'),
        ("photos", 'prepared with dataset "studio", not "augmentation"'),
        ("file", "is a file"),
        ("other", "is not empty and holds no prepared set"),
    ):
        wished = photos if place != "photos" else PreparedSet.open(tmp_path / "out")
        with pytest.raises(DataError, match=error):
            augment(wished, tmp_path / place, model, Wish(count=6, expressions=("fear",), origin="any"), judge=says)
    assert says.asked == 0


def test_an_edited_face_is_not_edited_again(photos: PreparedSet, model: Model, tmp_path: Path) -> None:
    once = augment(photos, tmp_path / "once", model, Wish(count=9, expressions=("neutral",))).prepared
    twice = augment(once, tmp_path / "twice", model, Wish(count=8, expressions=("fear",)))
    assert twice.edited == {"fear": 7}
    assert not any(key.count(EDITED) > 1 for key in twice.prepared.keys)


def test_a_set_that_was_filled_up_is_filled_up_with_other_faces(
    photos: PreparedSet, model: Model, tmp_path: Path
) -> None:
    first = augment(photos, tmp_path / "first", model, Wish(count=4, expressions=("fear",))).prepared
    more = augment(first, tmp_path / "more", model, Wish(count=6, expressions=("fear",)))
    assert more.edited == {"fear": 2} and train_counts(more.prepared)["fear"] == 6
    at_once = augment(photos, tmp_path / "at once", model, Wish(count=6, expressions=("fear",)))
    assert set(more.prepared.keys) == set(at_once.prepared.keys)
    rest = augment(more.prepared, tmp_path / "rest", model, Wish(count=99, expressions=("fear",)))
    assert rest.edited == {"fear": 2} and rest.missing == {"fear": 91}
    with pytest.raises(DataError, match="no more training faces to edit to fear"):
        augment(rest.prepared, tmp_path / "none", model, Wish(count=99, expressions=("fear",)))
    # Only of the newest edits is it known who made them.
    unpack(more.prepared, tmp_path / "images")
    marks = [read_mark(path) for path in sorted((tmp_path / "images").rglob(f"*{EDITED}*"))]
    assert sorted(mark["model"] for mark in marks if mark) == sorted(["not known"] * 3 + [model.sha256] * 2)


@pytest.mark.parametrize(
    ("wish", "error", "hint"),
    [
        ({"count": 0}, "count is 0", "1 or more"),
        ({"weakest": 0.9, "strongest": 0.5}, "intensities from 0.9 to 0.5", "in order"),
        ({"weakest": 0.0}, "intensities from 0.0", "from 0.01 to 1"),
        ({"origin": "happy"}, "unknown origin `happy`", "neutral, any"),
        ({"expressions": ("contempt",)}, "cannot give contempt", "it knows neutral"),
        ({"count": 1}, "has 1 training images or more of each of happy, sad, fear already", "--count"),
    ],
)
def test_what_cannot_be_wished_is_refused(
    photos: PreparedSet, model: Model, tmp_path: Path, wish: dict[str, Any], error: str, hint: str
) -> None:
    with pytest.raises((ConfigError, DataError), match=error) as caught:
        augment(photos, tmp_path / "out", model, Wish(**wish))
    assert hint in caught.value.hint and not (tmp_path / "out").exists()


def test_a_set_without_neutral_faces_is_refused_with_the_way_out(model: Model, tmp_path: Path) -> None:
    happy = prepare(samples({"happy": 3, "sad": 1}), tmp_path / "happy", dataset="studio", size=SIZE)
    with pytest.raises(DataError, match="no neutral training faces") as caught:
        augment(happy, tmp_path / "out", model)
    assert "--of any" in caught.value.hint
    assert augment(happy, tmp_path / "out", model, Wish(origin="any")).edited == {"happy": 0, "sad": 2}


def test_into_the_set_itself_nothing_is_written(photos: PreparedSet, model: Model) -> None:
    with pytest.raises(DataError, match="lies in the set"):
        augment(photos, photos.path / "more", model)


@pytest.fixture
def filled(photos: PreparedSet, model: Model, tmp_path: Path) -> Augmented:
    return augment(photos, tmp_path / "filled", model, Wish(count=9))


def test_unpacked_edits_carry_the_mark_and_photos_do_not(filled: Augmented, model: Model, tmp_path: Path) -> None:
    unpack(filled.prepared, tmp_path / "images")
    lines = (tmp_path / "images" / "samples.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len(lines) == len(filled.prepared)
    for line in lines:
        path, key = line.split(",")[:2]
        mark = read_mark(tmp_path / "images" / path)
        assert (mark is not None) == key.startswith(EDITED)
        assert (EDITED in path) == key.startswith(EDITED)
        if mark is not None:
            assert mark["model"] == model.sha256 and mark["condition"].startswith(f"{key.split('/')[1]} @ 0.")


def test_edits_that_were_unpacked_and_prepared_again_are_still_known(filled: Augmented, tmp_path: Path) -> None:
    unpack(filled.prepared, tmp_path / "images")
    again = prepare(READERS["folder"](tmp_path / "images"), tmp_path / "again", dataset="folder", size=SIZE)
    assert again.edited.sum() == filled.prepared.edited.sum() > 0
    # Without a folder for validation none is made up: whose photos the edits show is not known any more.
    shutil.rmtree(tmp_path / "images" / "validation")
    alone = prepare(READERS["folder"](tmp_path / "images"), tmp_path / "alone", dataset="folder", size=SIZE)
    assert set(alone.splits) == {"train"} and alone.edited.sum() == again.edited.sum()


def test_an_inspection_counts_the_edits(
    filled: Augmented, photos: PreparedSet, capsys: pytest.CaptureFixture[str]
) -> None:
    count = int(filled.prepared.edited.sum())
    assert inspect(filled.prepared, near=False).to_json()["edited_faces"] == count
    for prepared, told in ((filled.prepared, True), (photos, False)):
        with pytest.raises(SystemExit):
            main(["inspect", str(prepared.path), "--no-near"])
        assert (f"edited by a model (`mien augment`): {count}\n" in capsys.readouterr().out) == told


def test_edits_stay_known_in_a_combination(
    filled: Augmented, make_prepared: Callable[..., PreparedSet], tmp_path: Path
) -> None:
    both = combine([filled.prepared, make_prepared(size=SIZE)], tmp_path / "both")
    assert both.edited.sum() == filled.prepared.edited.sum() > 0
    assert set(both.splits[both.edited]) == {"train"}


def test_edits_go_where_their_person_is_held_out(model: Model, tmp_path: Path) -> None:
    """And nothing is measured on an edited face, however it came to be held out."""
    rows = samples()
    neutral = [row for row in rows if row.split == "train" and row.expression == "neutral"]
    twin = replace(neutral[0], key="validation/twin", split="validation")
    photos = prepare([*rows, twin], tmp_path / "photos", dataset="studio", size=SIZE)
    filled = augment(photos, tmp_path / "filled", model, Wish(count=99, expressions=("fear",))).prepared
    assert filled.edited.sum() == 7
    clean = combine([filled], tmp_path / "clean")
    assert clean.edited.sum() == 6 and set(clean.splits[clean.edited]) == {"train"}
    (key, reason) = clean.rejected()[0]
    assert key == f"{EDITED}/fear/{neutral[0].key}" and reason == "an edited face of somebody in validation"
    unpack(filled, tmp_path / "images")
    for path in list((tmp_path / "images").rglob(f"*{EDITED}*")):
        goal = tmp_path / "images" / "validation" / "fear" / path.name
        goal.parent.mkdir(exist_ok=True)
        path.rename(goal)
    (tmp_path / "images" / "samples.csv").unlink()
    mixed = prepare(READERS["folder"](tmp_path / "images"), tmp_path / "mixed", dataset="folder", size=SIZE)
    assert set(mixed.splits[mixed.edited]) == {"validation"} and mixed.edited.sum() == 7
    chosen = choose_faces(mixed, Protocol(origin="any"), [BASIC])
    assert len(chosen.rows) and not mixed.edited[chosen.rows].any()
    report = measure_classifier(load_classifier("judge-resnet18"), mixed)
    assert report["n"] == len(chosen.rows)


def test_edits_of_photos_on_a_list_are_left_out_with_them(filled: Augmented, tmp_path: Path) -> None:
    index = int(np.flatnonzero(filled.prepared.edited)[0])
    key = filled.prepared.keys[index]
    (tmp_path / "list.txt").write_text(original_key(key) + "\n", encoding="utf-8")
    less = combine([filled.prepared], tmp_path / "less", leave_out=read_leave_out(str(tmp_path / "list.txt")))
    gone = set(filled.prepared.keys) - set(less.keys)
    assert {key, original_key(key)} <= gone and {original_key(each) for each in gone} == {original_key(key)}


def test_balancing_leaves_out_edits_before_photos(filled: Augmented, tmp_path: Path) -> None:
    even = combine([filled.prepared], tmp_path / "even", balance="expressions")
    for name in even.expressions:
        rows = even.select("train", [name])
        photos = len(filled.prepared.select("train", [name])) - sum(
            key.startswith(f"{EDITED}/{name}/") for key in filled.prepared.keys
        )
        assert even.edited[rows].sum() == max(0, len(rows) - photos)


def test_who_learned_from_edits_notes_it_and_is_no_judge(
    filled: Augmented, photos: PreparedSet, tmp_path: Path
) -> None:
    from mien.classifiers.settings import configure
    from mien.classifiers.training import train_classifier

    network, recipe = configure(
        "resnet18-small",
        {"width": 2, "image_size": 32, "epochs": 1, "batch_size": 8, "expressions": "neutral,happy,sad,fear"},
    )
    run = train_classifier("resnet18-small", network, recipe, filled.prepared.path, tmp_path / "run")
    count = int(filled.prepared.edited.sum())
    assert edited_faces(run.configuration) == count == edited_faces(load_classifier(run.path).description)
    assert "edited" not in photos.origin and edited_faces({"data": photos.origin}) == 0
    after = train_classifier(
        "resnet18-small",
        network,
        recipe,
        photos.path,
        tmp_path / "after",
        export_classifier(run, tmp_path / "j.safetensors"),
    )
    for met in (run, after):
        with pytest.raises(ConfigError, match=f"learned from {count} edited faces") as caught:
            benchmark(["identity"], [str(met.path)], photos.path, tmp_path / "report")
        assert "photos alone" in caught.value.hint
    with pytest.raises(ConfigError, match="edited faces"):
        watch(photos.path, [str(run.path)], BASIC)
    with pytest.raises(ConfigError, match="guide `run` has learned from"):
        load_guide(run.path)


def test_the_command_fills_up_and_says_what_it_did(
    photos: PreparedSet, model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "filled"
    run = write_run(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        main(
            ["augment", str(photos.path), "--out", str(out), "--model", str(run.path), "--count", "9", "-i", "0.7:0.8"]
        )
    said = capsys.readouterr()
    assert ended.value.code in (0, None) and said.out == f"{out}\n"
    assert "edited: sad 7, fear 7" in said.err and "still missing: fear 1 (`--of any`" in said.err
    assert json.loads((out / "manifest.json").read_text())["recipe"]["options"]["intensities"] == [0.7, 0.8]
    with pytest.raises(SystemExit) as ended:
        main(["augment", str(photos.path), "--out", str(out), "-i", "strong"])
    assert ended.value.code == 2 and "is no FROM:TO" in capsys.readouterr().err


def test_an_edit_that_is_held_out_moves_nobody(filled: Augmented, tmp_path: Path) -> None:
    index = int(np.flatnonzero(filled.prepared.edited)[0])
    own = filled.prepared
    odd = Sample(
        own.keys[index], lambda: np.repeat(own.images([index])[0], 3, axis=2), "fear", "test", "studio",
        subject=own.subjects[index],
    )  # fmt: skip
    photo = next(row for row in samples() if row.subject == own.subjects[index])
    mixed = prepare([photo, odd, samples()[-1]], tmp_path / "mixed", dataset="studio", size=SIZE)
    clean = combine([mixed], tmp_path / "clean")
    assert clean.splits[clean.keys.index(photo.key)] == "train" and set(clean.splits[clean.edited]) == {"train"}


def test_long_names_keep_the_mark(model: Model, tmp_path: Path) -> None:
    rows = [replace(row, key=f"{row.key}-{'n' * 70}") for row in samples()]
    photos = prepare(rows, tmp_path / "photos", dataset="studio", size=SIZE)
    prepared, count = augment(photos, tmp_path / "filled", model).prepared, 0
    for turn in range(2):
        unpack(prepared, tmp_path / f"images-{turn}")
        source = READERS["folder"](tmp_path / f"images-{turn}")
        prepared, before = prepare(source, tmp_path / f"again-{turn}", dataset="folder", size=SIZE), count
        count = int(prepared.edited.sum())
        assert count > 0 and before in (0, count)
