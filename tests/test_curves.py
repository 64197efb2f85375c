"""`mien curves` draws what was logged, of runs side by side, and says what it cannot draw."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.curves import COLUMNS, Course, Progress, curves_figure, curves_table, read_courses, smoothed, write_curves
from mien.errors import ConfigError, RunError

#: Eight images to a step, two to a second before step 10 and four after it; what judges say stands behind the losses.
STATS = (
    {"step": 10, "critic/adv": 2.0, "generator/adv": 1.0, "generator/bend": 0.0, "images_per_second": 2.0},
    {"step": 10, "judged/f1": 0.5, "judged/fear": 0.2},
    {"step": 40, "critic/adv": 4.0, "generator/adv": 3.0, "generator/bend": 0.0, "images_per_second": 4.0},
    {"step": 40, "judged/f1": 0.7, "judged/fear": 0.6},
)
COURSE = Course("mine", STATS, batch_size=8)


def write_stats(folder: Path, stats: tuple[dict[str, float], ...] = STATS, **loop: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(loop or {"train_config": {"batch_size": 8}}))
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in stats))
    return folder


def lines_of(axes: Any, thick: bool = True) -> list[Any]:
    return [line for line in axes.get_lines() if (line.get_linewidth() > 1) == thick and len(line.get_xdata())]


@pytest.mark.parametrize(
    ("unit", "wanted"),
    [
        ("steps", [10, 10, 40, 40]),
        ("images", [80, 80, 320, 320]),
        # 80 images at 2 a second, then 240 at 4 a second; judging took time, too, and does not count.
        ("minutes", [40 / 60, 40 / 60, 100 / 60, 100 / 60]),
    ],
)
def test_progress(unit: Progress, wanted: list[float]) -> None:
    assert np.allclose(COURSE.progress(unit), wanted)


def test_without_a_batch_size_progress_is_known_in_steps_alone() -> None:
    course = Course("mine", STATS)
    assert np.isnan(course.progress("images")).all() and np.isnan(course.progress("minutes")).all()
    assert course.progress("steps").tolist() == [10, 10, 40, 40]


def test_a_panel_for_each_term_that_has_a_weight_judges_first_and_speed_last() -> None:
    figure = curves_figure([COURSE])
    assert figure is not None
    judged, adversarial, speed = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["F1 of edits, judged", "adv", "images/s"]
    assert [line.get_ydata().tolist() for line in lines_of(judged)] == [[0.5, 0.7], [0.2, 0.6]]
    critic, generator = lines_of(adversarial)
    assert critic.get_ydata().tolist() == [3.0, 3.0], "the mean of both: a twentieth is less than a line"
    assert [line.get_ydata().tolist() for line in lines_of(adversarial, thick=False)] == [[2.0, 4.0], [1.0, 3.0]]
    assert critic.is_dashed() and not generator.is_dashed()
    assert lines_of(speed, thick=False)[0].get_xdata().tolist() == [10, 40]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["F1, mean over expressions", "fear", "critic", "generator"]
    assert np.allclose(judged.get_ylim(), (0.175, 0.725)), "all of it, since it is high enough"
    assert [axes.get_xlim() for axes in figure.axes] == [judged.get_xlim()] * 3


def test_runs_are_drawn_over_each_other_and_told_by_colour() -> None:
    other = Course("other", STATS[:3], batch_size=8)
    judge = Course("judge", ({"step": 5, "loss": 2.0}, {"step": 9, "loss": 1.0}))
    figure = curves_figure([COURSE, other, judge])
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["F1 of edits, judged", "adv", "loss", "images/s"]
    assert len(lines_of(figure.axes[0])) == 2, "one line for each run that was judged: the mean over expressions"
    colours = [line.get_color() for line in lines_of(figure.axes[1])]
    assert colours[0] == colours[1] != colours[2] == colours[3], (
        "critic and generator of a run look alike but for dashes"
    )
    legend = figure.axes[4].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["mine", "other", "judge", "dashed: the critic's"]
    assert [line.is_dashed() for line in legend.get_lines()] == [False, False, False, True]
    assert [line.get_color() for line in legend.get_lines()][:2] == [colours[0], colours[2]]


def test_small_differences_between_judgements_look_small() -> None:
    stats = [{"step": step, "judged/f1": f1} for step, f1 in ((1, 0.80), (2, 0.82))]
    figure = curves_figure([Course("mine", stats)])
    assert figure is not None and np.allclose(figure.axes[0].get_ylim(), (0.76, 0.86))


def test_means_over_other_numbers_of_expressions_are_told() -> None:
    fewer = Course("fewer", [{"step": step, "judged/f1": 0.9, "judged/sad": 0.9} for step in (1, 2)])
    more = Course("more", [{"step": step, "judged/f1": 0.9, "judged/sad": 0.9, "judged/fear": 0.9} for step in (1, 2)])
    for courses, title in (
        ([fewer, more], "F1 of edits (of 1 to 2 expressions)"), ([more, more], "F1 of edits, judged"),
    ):  # fmt: skip
        figure = curves_figure(courses)
        assert figure is not None and figure.axes[0].get_title(loc="left") == title


def test_a_run_that_has_logged_once_is_a_point_beside_longer_ones() -> None:
    figure = curves_figure([COURSE, Course("young", STATS[:1], batch_size=8)])
    assert figure is not None
    young = lines_of(figure.axes[1])[-1]
    assert young.get_xdata().tolist() == [10] and young.get_marker() == "o"


def test_names_that_would_look_alike_when_shortened_are_written_out() -> None:
    names = [f"ganmut-mixed-128-{letter}-guided-version2" for letter in "ab"]
    figure = curves_figure([Course(name, STATS) for name in names])
    assert figure is not None
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == names


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([51.0, 1.0, 1.0], "log"),
        ([49.0, 1.0, 1.0], "linear"),
        ([-51.0, 1.0, 1.0], "symlog"),
        ([51.0, 1.0, 0.0, 1.0], "symlog"),
    ],
)
def test_what_begins_far_from_where_it_ends_is_drawn_logarithmically(values: list[float], scale: str) -> None:
    figure = curves_figure([Course("mine", [{"step": n, "loss": value} for n, value in enumerate(values)])])
    assert figure is not None and figure.axes[0].get_yscale() == scale


@pytest.mark.parametrize("stats", [STATS[:1], [{"step": 1, "generator/bend": 0.0}, {"step": 2, "generator/bend": 0.0}]])
def test_what_was_logged_once_or_is_zero_throughout_is_no_curve(stats: Any) -> None:
    assert curves_figure([Course("mine", stats)]) is None


@pytest.mark.parametrize("odd", [None, "x", float("inf"), float("nan"), True, [1], 10**400, 1e300])
def test_what_is_no_number_is_left_out(odd: Any) -> None:
    stats: Any = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": odd}, {"loss": 1.0}, {"step": odd, "loss": 1.0}]
    course = Course("mine", [*stats, {"step": 4, "loss": 4.0, "images_per_second": odd}], batch_size=2)
    figure = curves_figure([course])
    assert figure is not None
    (pale,) = lines_of(figure.axes[0], thick=False)
    assert (pale.get_xdata().tolist(), pale.get_ydata().tolist()) == ([1, 4], [2, 4])
    assert curves_table([course]).splitlines()[2] == "mine,2,4,,loss,"
    assert np.isnan(course.progress("minutes")).all()


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_a_speed_that_is_none_counts_as_unknown(speed: float) -> None:
    course = Course(
        "mine", [{"step": 1, "images_per_second": speed}, {"step": 2, "images_per_second": 1.0}], batch_size=60
    )
    assert course.progress("minutes").tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    "content", [b"[1, 2]\n", b"5\n", b"\xff\n", b'{"step": ' + b"9" * 5000 + b"}\n", b'{"step": 20, "lo']
)
def test_damaged_lines_are_left_out(tmp_path: Path, content: bytes) -> None:
    run = write_stats(tmp_path / "run")
    (run / "stats.jsonl").write_bytes(content + (run / "stats.jsonl").read_bytes().lstrip())
    (course,) = read_courses([run])
    assert [line["step"] for line in course.stats][-3:] == [10, 40, 40]


@pytest.mark.parametrize("loop", [None, [], 3, "x", {}, {"batch_size": "32"}, {"batch_size": 0}, {"batch_size": True}])
def test_a_run_without_a_batch_size_is_drawn_over_steps_alone(tmp_path: Path, loop: Any) -> None:
    run = write_stats(tmp_path / "run", train_config=loop)
    assert read_courses([run])[0].batch_size is None
    with pytest.raises(RunError, match="does not say its batch size") as error:
        write_curves([run], tmp_path / "curves.png", "minutes")
    assert "over steps" in error.value.hint


def test_the_table_has_every_number_and_leaves_empty_what_is_not_known() -> None:
    head, *rows = csv.reader(curves_table([COURSE, Course("odd, name", STATS[:1])]).splitlines())
    assert tuple(head) == COLUMNS
    assert len(rows) == 4 + 2 + 4 + 2 + 4
    assert rows[0] == ["mine", "10", "80", "0.667", "critic/adv", "2.0"]
    assert rows[-1] == ["odd, name", "10", "", "", "images_per_second", "2.0"]


def test_smoothing() -> None:
    assert np.allclose(smoothed(np.array([1.0, 2.0, 6.0, 3.0])), [1.5, 3.0, 11 / 3, 4.5])
    assert np.allclose(smoothed(np.full(500, 0.3)), 0.3)


def test_the_table_takes_any_number_of_runs(tmp_path: Path) -> None:
    runs = [write_stats(tmp_path / f"run{number}") for number in range(9)]
    table = write_curves(runs, tmp_path / "all.csv").read_text()
    assert len(table.splitlines()) == 1 + 9 * 12


def test_runs_are_called_by_what_tells_them_apart(tmp_path: Path) -> None:
    paths = [write_stats(tmp_path / name) for name in ("a/run", "b/run", "c")]
    assert [course.name for course in read_courses(paths)] == ["a/run", "b/run", str(Path(tmp_path.name) / "c")]
    assert [course.name for course in read_courses(paths[1:])] == ["run", "c"]


def test_batch_sizes_of_models_and_of_judges(tmp_path: Path) -> None:
    model = write_stats(tmp_path / "model")
    judge = write_stats(tmp_path / "judge", recipe={"batch_size": 64})
    assert [course.batch_size for course in read_courses([model, judge])] == [8, 64]


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".SVG", b"<?xml"), (".pdf", b"%PDF")])
def test_pictures_are_of_the_kind_that_their_names_say(tmp_path: Path, suffix: str, begin: bytes) -> None:
    out = tmp_path / "new" / f"curves{suffix}"
    assert write_curves([write_stats(tmp_path / "run")], out) == out
    assert out.read_bytes().startswith(begin)


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    run, out = write_stats(tmp_path / "run"), tmp_path / "curves.png"
    empty, once = write_stats(tmp_path / "empty", ()), write_stats(tmp_path / "once", STATS[:1])
    before = sorted(tmp_path.rglob("*"))
    for runs, file, unit, kind, message in (
        ([run], tmp_path / "curves.gif", "steps", ConfigError, "unknown suffix"),
        ([run], out, "hours", ConfigError, "over is 'hours'"),
        ([run, run], out, "steps", ConfigError, "named twice"),
        ([run] * 9, out, "steps", ConfigError, "9 runs are too many"),
        ([tmp_path / "none"], out, "steps", RunError, "is no run folder"),
        ([run, empty], out, "steps", RunError, "empty has logged nothing yet"),
        ([once], out, "steps", RunError, "nothing was logged twice"),
        ([tmp_path], out, "steps", RunError, "is no run folder"),
    ):
        with pytest.raises(kind, match=message) as refused:
            write_curves(runs, file, unit)  # type: ignore[arg-type]
        assert refused.value.hint
    assert sorted(tmp_path.rglob("*")) == before
