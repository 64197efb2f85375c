"""When a step counts as done: by its product alone, whole, and made with these settings from this data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from mien.benchmark.protocol import Protocol
from mien.combining import combine
from mien.datasets import READERS, thinned
from mien.errors import RunError
from mien.experiments.steps import Bench, Combine, Prepare, Source, Train, TrainJudge
from mien.prepared import PreparedSet, prepare
from mien.presets import configure, find_preset
from mien.runs import Run
from mien.shipped import DEFAULT, WEIGHTS, shipped_judges

DRAWN = {"count": 14, "size": 16}


def prepare_drawn(out: Path, seed: int = 0) -> PreparedSet:
    options = DRAWN | {"seed": seed}
    return prepare(READERS["drawn"](None, **options), out, dataset="drawn", size=16, options=options)


def drawn_step(out: Path, **changes: Any) -> Prepare:
    step = Prepare(Source("Drawn", "drawn", Path("."), DRAWN | {"seed": 0}), out, "none", 16)
    return dataclasses.replace(step, **changes)


def test_a_prepared_set_is_done_when_its_manifest_says_so(tmp_path: Path) -> None:
    step = drawn_step(tmp_path / "set")
    assert not step.finished()
    prepare_drawn(step.out)
    assert step.finished()
    others = [{"size": 32}, {"detector": "mtcnn"}, {"source": dataclasses.replace(step.source, share=0.5)}]
    others.append({"source": dataclasses.replace(step.source, options=DRAWN | {"seed": 1})})
    assert not any(dataclasses.replace(step, **change).finished() for change in others)
    (step.out / "manifest.json").unlink()
    assert not step.finished()


def test_a_combination_is_done_only_of_the_sets_as_they_are(tmp_path: Path) -> None:
    sets = [prepare_drawn(tmp_path / f"set-{seed}", seed) for seed in (0, 1)]
    step = Combine("both", (sets[0].path, sets[1].path), tmp_path / "both")
    combine(sets, tmp_path / "leaky")
    assert not dataclasses.replace(step, out=tmp_path / "leaky").finished()
    combine(sets, step.out, without_leaks=True)
    assert step.finished()
    prepare_drawn(tmp_path / "set-2", 2)
    assert not dataclasses.replace(step, parents=(sets[0].path, tmp_path / "set-2")).finished()


def write_run(folder: Path, data: PreparedSet, settings: dict[str, str], step: int) -> None:
    method, loop = configure(find_preset("smoke"), settings)
    run = Run.open(
        folder,
        {
            "preset": "smoke", "method_config": dataclasses.asdict(method), "train_config": dataclasses.asdict(loop),
            "data": data.origin,
        },
    )  # fmt: skip
    run.save_checkpoint(step, {})


def test_a_training_is_done_at_its_last_step(tmp_path: Path) -> None:
    data, other = prepare_drawn(tmp_path / "set"), prepare_drawn(tmp_path / "other", 1)
    step = Train("Drawn", "smoke", data.path, tmp_path / "run", ("steps=20",))
    assert not step.finished()
    write_run(step.out, data, {"steps": "20"}, 10)
    assert not step.finished()
    write_run(step.out, data, {"steps": "20"}, 20)
    assert step.finished()
    assert not dataclasses.replace(step, settings=("steps=19",)).finished()
    assert not dataclasses.replace(step, preset="smoke-stargan").finished()
    assert not dataclasses.replace(step, data=other.path).finished()


def test_a_training_with_any_other_setting_is_not_done(tmp_path: Path) -> None:
    data = prepare_drawn(tmp_path / "set")
    step = Train("Drawn", "smoke", data.path, tmp_path / "run", ("steps=20", "lambda_cls=0.7"))
    write_run(step.out, data, {"steps": "20", "lambda_cls": "0.7"}, 20)
    assert step.finished()
    assert dataclasses.replace(step, settings=("lambda_cls=0.70", "steps=20")).finished()  # the same, typed otherwise
    for change in ("lambda_cls=0.8", "learning_rate=1e-5", "seed=1", "batch_size=8", "num_free_codes=3"):
        assert not dataclasses.replace(step, settings=(*step.settings, change)).finished(), change
    assert not dataclasses.replace(step, settings=("steps=20",)).finished()
    config = step.out / "config.json"
    said = json.loads(config.read_text())
    del said["method_config"]["cutout"], said["train_config"]["accumulate"]  # as before there were these settings
    config.write_text(json.dumps(said))
    assert step.finished()
    assert not dataclasses.replace(step, settings=(*step.settings, "cutout=0.4")).finished()
    config.write_text(json.dumps(said | {"init": {"model": "another", "sha256": "0" * 64}}))
    assert not step.finished()  # it was fine-tuned, which no step of a study asks for


def test_a_step_with_other_settings_is_one_that_its_command_refuses(tmp_path: Path) -> None:
    """What counts as done and what resumes follow from one rule."""
    data = prepare_drawn(tmp_path / "set")
    step = Train("Drawn", "smoke", data.path, tmp_path / "run", ("steps=20",))
    write_run(step.out, data, {"steps": "20"}, 20)
    with pytest.raises(RunError, match="seed: 0 there, 1 now"):
        write_run(step.out, data, {"steps": "20", "seed": "1"}, 20)


def write_judge(step: TrainJudge, data: PreparedSet, init: dict[str, str] | None = None) -> None:
    network, recipe = step.configuration()
    sections = {"classifier": dataclasses.asdict(network), "recipe": dataclasses.asdict(recipe)}
    Run.open(step.out, {"preset": step.preset, **sections, "data": data.origin, "init": init}).save_checkpoint(4, {})


def test_a_judge_is_done_when_it_was_measured(tmp_path: Path) -> None:
    data = prepare_drawn(tmp_path / "set")
    step = TrainJudge("resnet18-small", data.path, tmp_path / "judge", ("epochs=2",))
    assert not step.finished()
    write_judge(step, data)
    assert not step.finished()
    (step.out / "report.json").write_text("{}")
    assert step.finished()
    for change in ("epochs=3", "seed=1", "learning_rate=1e-4", "batch_size=8", "dropout=0.1", "width=16"):
        assert not dataclasses.replace(step, settings=("epochs=2", change)).finished(), change
    config = step.out / "config.json"
    said = json.loads(config.read_text())
    del said["classifier"]["hidden"], said["recipe"]["unfreeze_after"]  # as before there were these settings
    config.write_text(json.dumps(said))
    assert step.finished()


def test_a_judge_is_done_only_from_the_weights_that_it_is_to_start_from(tmp_path: Path) -> None:
    data, weights = prepare_drawn(tmp_path / "set"), tmp_path / "resnet18.pth"
    weights.write_bytes(b"weights")
    step = TrainJudge("resnet18-small", data.path, tmp_path / "judge", (), weights)
    write_judge(step, data, {"file": "resnet18.pth", "sha256": hashlib.sha256(b"weights").hexdigest()})
    (step.out / "report.json").write_text("{}")
    assert step.finished()
    assert not dataclasses.replace(step, init=None).finished()
    weights.write_bytes(b"others")
    assert not step.finished()
    weights.unlink()
    assert not step.finished()


def test_a_report_is_done_of_these_weights_judges_and_faces(tmp_path: Path) -> None:
    data = prepare_drawn(tmp_path / "set")
    for name in ("run", "judge"):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        checkpoint = tmp_path / name / "checkpoints" / "step-0000001.json"
        checkpoint.write_text(json.dumps({"step": 1, "sha256": f"{name}-weights"}))
    (tmp_path / "G.ckpt").write_bytes(b"official")
    official = hashlib.sha256(b"official").hexdigest()
    models = (("A / B", str(tmp_path / "run")), ("C", f"official-ganmut:{tmp_path / 'G.ckpt'},size=128"))
    step = Bench(models, data.path, (str(tmp_path / "judge"),), tmp_path / "report", ("faces=9",))
    line = {
        "judge_sha256": "judge-weights",
        "data_hash": data.hash,
        "protocol": json.loads(json.dumps(Protocol(faces=9).to_json())),
    }
    lines = [
        line | {"contestant": "A / B", "model_sha256": "run-weights"},
        line | {"contestant": "C", "model_sha256": official},
        line | {"contestant": "C", "model_sha256": official, "judge_sha256": None},
        line | {"contestant": "identity", "model_sha256": None},
    ]
    step.out.mkdir()

    def is_done_with(*written: dict[str, Any]) -> bool:
        (step.out / "results.jsonl").write_text("".join(json.dumps(each) + "\n" for each in written))
        return step.finished()

    assert not is_done_with(*lines)  # the page is missing
    (step.out / "report.html").touch()
    assert is_done_with(*lines)
    assert not is_done_with(lines[0]) and not is_done_with()
    for change in ({"model_sha256": "x"}, {"judge_sha256": "x"}, {"data_hash": "x"}, {"protocol": {}}):
        assert not is_done_with(lines[0] | change, *lines[1:]), change
    (tmp_path / "G.ckpt").write_bytes(b"another")
    assert not is_done_with(*lines)
    (tmp_path / "G.ckpt").unlink()
    assert not is_done_with(*lines)


def test_a_report_on_a_converted_checkpoint_is_done_of_the_one_that_it_was_made_of(tmp_path: Path) -> None:
    data = prepare_drawn(tmp_path / "set")
    (tmp_path / "G.json").write_text(json.dumps({"sha256": "its own", "files": {"generator": {"sha256": "theirs"}}}))
    step = Bench((("C", f"official-ganmut:{tmp_path / 'G.safetensors'}"),), data.path, (), tmp_path / "report")
    step.out.mkdir()
    (step.out / "report.html").touch()
    protocol = json.loads(json.dumps(Protocol().to_json()))
    line = {"contestant": "C", "judge_sha256": None, "data_hash": data.hash, "protocol": protocol}
    for sha256, done in (("theirs", True), ("its own", False)):
        (step.out / "results.jsonl").write_text(json.dumps(line | {"model_sha256": sha256}) + "\n")
        assert step.finished() is done


def test_a_report_by_other_judges_than_those_that_ship_is_not_done(tmp_path: Path) -> None:
    (shipped, *_) = shipped_judges()
    sha256 = json.loads((WEIGHTS / f"{shipped}.json").read_text())["sha256"]
    data = prepare_drawn(tmp_path / "set")
    step = Bench((("A", DEFAULT),), data.path, (shipped,), tmp_path / "report")
    step.out.mkdir()
    (step.out / "report.html").touch()
    protocol = json.loads(json.dumps(Protocol().to_json()))
    weights = hashlib.sha256((WEIGHTS / f"{DEFAULT}.safetensors").read_bytes()).hexdigest()
    line = {"contestant": "A", "model_sha256": weights, "data_hash": data.hash, "protocol": protocol}
    for judge, done in ((sha256, True), ("another", False)):
        (step.out / "results.jsonl").write_text(json.dumps(line | {"judge_sha256": judge}) + "\n")
        assert step.finished() is done


# --- what steps need of the rest of the package ------------------------------------------------------------------


def test_a_share_of_the_rows_is_always_the_same_and_grows() -> None:
    rows = list(READERS["drawn"](None, count=400, size=16))
    quarter, half = ([row.key for row in thinned(rows, share)] for share in (0.25, 0.5))
    assert quarter == [row.key for row in thinned(iter(rows), 0.25)]
    assert set(quarter) < set(half) and half == [row.key for row in rows if row.key in set(half)]
    # Five standard deviations of a binomial count.
    assert abs(len(quarter) - 100) < 5 * (400 * 0.25 * 0.75) ** 0.5
    assert [row.key for row in thinned(rows, 1.0)] == [row.key for row in rows]


def test_sets_say_who_found_their_faces(tmp_path: Path) -> None:
    plain = prepare_drawn(tmp_path / "plain")
    assert plain.detectors == () and plain.origin["detector"] is None
    found = prepare(
        READERS["drawn"](None, **DRAWN), tmp_path / "found", dataset="drawn", size=16, detector={"name": "mtcnn"}
    )
    assert found.detectors == ("mtcnn",)
    both = combine([prepare_drawn(tmp_path / "third", 3), found], tmp_path / "both")
    assert both.detectors == ("mtcnn",) and both.origin["detector"] == "mtcnn"
    # A set of an older version says it in its recipe alone.
    manifest = json.loads((found.path / "manifest.json").read_text())
    del manifest["detectors"]
    (found.path / "manifest.json").write_text(json.dumps(manifest))
    assert PreparedSet.open(found.path).detectors == ("mtcnn",)


def test_a_run_of_an_older_version_resumes_though_it_did_not_note_the_detector(tmp_path: Path) -> None:
    old = {"data": {"hash": "a", "dataset": "drawn"}, "preset": "smoke"}
    Run.open(tmp_path / "run", old)
    Run.open(tmp_path / "run", old | {"data": {"hash": "a", "dataset": "drawn", "detector": "mtcnn"}})
    with pytest.raises(Exception, match="hash: a there, b now"):
        Run.open(tmp_path / "run", old | {"data": {"hash": "b", "dataset": "drawn", "detector": "mtcnn"}})
