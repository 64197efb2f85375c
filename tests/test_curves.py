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
    names = [text.get_text() for text in figure.axes[4].get_legend().get_texts()]
    assert names == ["mine", "other", "judge", "dashed: the critic's"]


def is_logarithmic(values: list[float]) -> bool:
    figure = curves_figure([Course("mine", [{"step": n, "loss": value} for n, value in enumerate(values)])])
    assert figure is not None
    return figure.axes[0].get_yscale() == "symlog"


def test_what_begins_far_from_where_it_ends_is_drawn_logarithmically() -> None:
    assert is_logarithmic([51.0, 1.0, 1.0]) and not is_logarithmic([49.0, 1.0, 1.0])


@pytest.mark.parametrize("stats", [STATS[:1], [{"step": 1, "generator/bend": 0.0}, {"step": 2, "generator/bend": 0.0}]])
def test_what_was_logged_once_or_is_zero_throughout_is_no_curve(stats: Any) -> None:
    assert curves_figure([Course("mine", stats)]) is None


def test_what_is_no_number_is_left_out() -> None:
    stats = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}, {"loss": 1.0}, {"step": 3, "loss": float("inf")}]
    figure = curves_figure([Course("mine", [*stats, {"step": 4, "loss": 4.0}])])  # type: ignore[list-item]
    assert figure is not None
    (pale,) = lines_of(figure.axes[0], thick=False)
    assert (pale.get_xdata().tolist(), pale.get_ydata().tolist()) == ([1, 4], [2, 4])


def test_the_table_has_every_number_and_leaves_empty_what_is_not_known() -> None:
    head, *rows = csv.reader(curves_table([COURSE, Course("odd, name", STATS[:1])]).splitlines())
    assert tuple(head) == COLUMNS
    assert len(rows) == 4 + 2 + 4 + 2 + 4
    assert rows[0] == ["mine", "10", "80", "0.667", "critic/adv", "2.0"]
    assert rows[-1] == ["odd, name", "10", "", "", "images_per_second", "2.0"]


def test_smoothing() -> None:
    assert np.allclose(smoothed(np.array([1.0, 2.0, 6.0, 3.0])), [1.5, 3.0, 11 / 3, 4.5])
    assert np.allclose(smoothed(np.full(500, 0.3)), 0.3)


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
        ([run, empty], out, "steps", RunError, "empty has logged nothing yet"),
        ([once], out, "steps", RunError, "nothing was logged twice"),
        ([tmp_path], out, "steps", RunError, "is no run folder"),
    ):
        with pytest.raises(kind, match=message) as refused:
            write_curves(runs, file, unit)  # type: ignore[arg-type]
        assert refused.value.hint
    assert sorted(tmp_path.rglob("*")) == before
