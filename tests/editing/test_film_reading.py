"""What is read from a film: each frame as it is, with its time and face, as a table and as a chart."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from films_made import Brightener, Squares, scene, write_film

from mien.editing import Editor
from mien.editing.film_charts import film_figure
from mien.editing.film_reading import FrameReading, read_film, summarise
from mien.editing.reading_tables import write_table
from mien.errors import ConditionError, FaceError
from mien.plots import save_figure


class ByLight(Brightener):
    """A model whose critic sees happy by as much as a face is light: none at grey level 0, all at 255."""

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        light = (images[:, :, 6:10, 6:10].mean(axis=(1, 2, 3)) + 1) / 2
        probabilities = np.zeros((len(images), 7), np.float32)
        probabilities[:, 0], probabilities[:, 1] = 1 - light, light
        return probabilities, np.zeros((len(images), 2), np.float32)


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr("mien.editing.photo.load_detector", lambda *_, **__: Squares())
    return Editor(ByLight())


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red face all along, and a smaller green one, which is lighter, from the sixth frame on."""
    frames = [
        scene({"red": (80.0 + i, 120, 70)} | ({"green": (240.0, 120.0, 50.0)} if i >= 5 else {})) for i in range(15)
    ]
    return write_film(tmp_path_factory.mktemp("film") / "talk.mp4", frames)


def test_each_face_is_read_in_each_frame_that_shows_it(editor: Editor, film: Path) -> None:
    seen: list[tuple[int, int]] = []
    readings = list(read_film(editor, film, report=lambda done, total: seen.append((done, total))))
    assert [(each.frame, each.number) for each in readings] == [(i, n) for i in range(15) for n in ([1, 2], [1])[i < 5]]
    assert [each.seconds for each in readings if each.number == 1] == pytest.approx(np.arange(15) / 25)
    assert seen[-1] == (15, 15)
    # Rec. 601 luma of the squares' colours, as grey networks see them
    red, green = (0.299 * r + 0.587 * g + 0.114 * b for r, g, b in ((190, 30, 30), (30, 180, 40)))
    for each in readings:
        expected = (red if each.number == 1 else green) / 255
        assert each.reading.expressions["happy"] == pytest.approx(expected, abs=0.02)
        assert each.reading.intensity == pytest.approx(expected, abs=0.02)
    one = readings[-2]
    assert sum(one.face.detection.box[::2]) / 2 == pytest.approx(94, abs=1)
    told = one.to_json()
    assert (told["frame"], told["face"], told["expression"], told["angle_degrees"]) == (14, 1, "neutral", 0.0)
    assert told["p_happy"] + told["p_neutral"] == pytest.approx(1, abs=1e-3) and told["x"] == pytest.approx(
        red / 255, abs=0.02
    )


def test_one_face_alone_and_the_means_over_time(editor: Editor, film: Path) -> None:
    assert {each.number for each in read_film(editor, film, faces="2")} == {2}
    with pytest.raises(FaceError, match="no face 3"):
        list(read_film(editor, film, faces="3"))
    first, second = summarise(read_film(editor, film))
    assert (first.number, first.frames, first.begin) == (1, 15, 0.0) and first.end == pytest.approx(14 / 25)
    assert (second.number, second.frames) == (2, 10) and second.begin == pytest.approx(0.2)
    assert second.intensity > first.intensity
    green = (0.299 * 30 + 0.587 * 180 + 0.114 * 40) / 255
    assert second.expressions["happy"] == pytest.approx(green, abs=0.02)
    assert str(second).startswith("face 2 (0.20 to 0.56 s, 10 frames): neutral 0.") and "intensity 0." in str(second)
    assert summarise([]) == []


def test_the_table_has_a_line_for_each_face_and_frame(editor: Editor, film: Path, tmp_path: Path) -> None:
    readings = list(read_film(editor, film))
    write_table(tmp_path / "out.csv", [each.to_json() for each in readings])
    with (tmp_path / "out.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(readings) == 25
    for row, each in zip(rows, readings, strict=True):
        assert {name: row[name] for name in row} == {k: "" if v is None else str(v) for k, v in each.to_json().items()}
    assert list(rows[0])[:3] == ["frame", "seconds", "face"]


def test_the_chart_has_a_row_for_each_face_and_a_line_for_each_expression(
    editor: Editor, film: Path, tmp_path: Path
) -> None:
    readings = list(read_film(editor, film))
    figure = film_figure(readings)
    assert [row.get_title(loc="left") for row in figure.axes] == ["face 1", "face 2"]
    labels = [line.get_label() for line in figure.axes[0].lines if not str(line.get_label()).startswith("_")]
    assert labels == [*editor.space.expressions, "intensity"]
    thick = next(line for line in figure.axes[1].lines if line.get_label() == "happy")
    values = [each.reading.expressions["happy"] for each in readings if each.number == 2]
    assert np.mean(thick.get_ydata()) == pytest.approx(np.mean(values), abs=0.01)
    assert save_figure(figure, tmp_path / "chart.svg").read_text().startswith("<?xml")


def test_a_model_without_a_critic_reads_no_film(editor: Editor, film: Path) -> None:
    editor.model.can_read = False  # type: ignore[attr-defined]
    with pytest.raises(ConditionError, match="no critic"):
        next(read_film(editor, film))


def test_readings_are_values(editor: Editor, film: Path) -> None:
    first: FrameReading = next(read_film(editor, film))
    assert first.frame == 0 and first.face.crop.shape == (16, 16, 3)
