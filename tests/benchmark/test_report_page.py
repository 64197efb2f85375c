"""The report: one file that needs nothing else, safe whatever things are called, whole or the old one."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from outcomes import outcome
from PIL import Image

from mien.benchmark import report
from mien.benchmark.outcome import ContestantFacts, Line, Outcome
from mien.benchmark.report import write_report
from mien.benchmark.results import read_results
from mien.errors import ConfigError

NASTY = "<script>alert(1)</script>&\"'{{ 7 * 7 }}"
_NO_END = {"meta", "img", "br", "link", "input"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and notes what is opened and not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _NO_END:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    assert not reader.open
    return reader


def comments(folder: Path) -> dict[str, str | None]:
    """Return what each figure of a report says of itself."""
    said = {}
    for path in (folder / "figures").iterdir():
        with Image.open(path) as picture:
            said[path.name] = picture.info.get("Comment")
    return said


def bare(found: Outcome) -> Outcome:
    """Return a benchmark with numbers and no figure, which is quick to report."""
    return replace(
        found, curves={}, fed_curves={}, gamuts={}, label_counts={}, originals=None, edited={}, swept={}, walked={},
        contestants=tuple(replace(facts, stats=(), samples=()) for facts in found.contestants),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    whole = outcome(tmp_path_factory.mktemp("samples"))
    # Less of it: one judge on the disc and over intensity, one example face, few measures.
    assert whole.originals is not None
    few = ("expression-f1", "judge-f1", "smoothness-per-face", "background-change")
    return replace(
        whole,
        curves={key: value for key, value in whole.curves.items() if key[1] == "vgg16"},
        gamuts={key: value for key, value in whole.gamuts.items() if key[1] == "vgg16"},
        fed_curves={},
        originals=whole.originals[:1],
        lines=tuple(line for line in whole.lines if line.measurement.measure in few),
    )


@pytest.fixture(scope="module")
def written(found: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(found, tmp_path_factory.mktemp("out") / "report").parent


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plot that numbers alone bring about: drawing is what takes time."""
    monkeypatch.setattr(report.figures, "overview_figure", lambda outcome: None)


def test_everything_is_there(written: Path, found: Outcome) -> None:
    assert {path.name for path in written.iterdir()} == {
        "results.jsonl", "tables.md", "tables.tex", "figures", "report.html",
    }  # fmt: skip
    assert [result.line for result in read_results(written / "results.jsonl")] == list(found.lines)
    names = {path.name for path in (written / "figures").iterdir()}
    assert names == {
        "overview.png", "sweep-2.png", "grid-1.png", "faces-1-ganmut-128.png",
        "faces-2-stargan-48-4-expressions.png", "gamut-1-ganmut-128.png",
        "training-1-ganmut-128.png", "samples-1-ganmut-128.png", "labels.png",
    }  # fmt: skip
    text = (written / "tables.md").read_text(encoding="utf-8")
    _, _, fooled = text.partition("### What each measure is fooled by\n")
    assert "\n- *expression F1*: A photo of somebody else who does look as was asked has the best one" in fooled


def test_the_page_needs_nothing_else(written: Path) -> None:
    page = read(written / "report.html")
    content = (written / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import", content) and not any(tag == "script" for tag, _ in page.tags)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == 9 and all((a["src"] or "").startswith("data:image/") and a["alt"] for a in pictures)
    links = {a["href"] for tag, a in page.tags if tag == "a"}
    anchors = {f"#{a['id']}" for _, a in page.tags if a.get("id")}
    assert links <= anchors and len(content) < report.MAX_PAGE_BYTES


def test_the_page_says_how_it_came_about(written: Path, found: Outcome) -> None:
    text = read(written / "report.html").text
    assert "This page shows images of drawn faces; mind its licence" in text
    assert found.circumstances["command"] in text and "5d19902" in text and "sweep_faces = 60" in text
    assert "0.710" in text and "0.680–0.740" in text and "nobody was asked to look fear" in text


@pytest.mark.usefixtures("no_plots")
def test_names_are_text_whatever_they_hold(found: Outcome, tmp_path: Path) -> None:
    facts = (ContestantFacts(NASTY, "model", "", ("happy",), training_data=NASTY), *found.contestants[1:])
    lines = tuple(Line(NASTY if line.contestant == "ganmut-128" else line.contestant, line.judge, line.measurement)
                  for line in found.lines)  # fmt: skip
    circumstances = {**found.circumstances, "dataset": NASTY, "command": NASTY}
    named = replace(bare(found), contestants=facts, lines=lines, circumstances=circumstances)
    page = write_report(named, tmp_path / "report")
    assert not any(tag == "script" for tag, _ in read(page).tags)
    assert read(page).text.count(NASTY) >= 5


def test_without_pictures_no_face_is_shown(
    found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(report.figures, "overview_figure", lambda outcome: None)
    monkeypatch.setattr(report, "curves_figure", lambda courses: None)
    page = write_report(replace(found, curves={}), tmp_path, pictures=False)
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["gamut-1-ganmut-128.png", "labels.png"]
    assert "example face" not in read(page).text


def test_photos_that_were_shown_are_named_and_no_training_data_is_seen(
    found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(report.figures, "overview_figure", lambda outcome: None)
    monkeypatch.setattr(report, "curves_figure", lambda courses: None)
    circumstances = {**found.circumstances, "shown": "portrait.png"}
    shown = replace(found, curves={}, gamuts={}, swept={}, label_counts={}, circumstances=circumstances)
    page = write_report(shown, tmp_path)
    assert "This page shows edits of portrait.png." in read(page).text
    assert not list((tmp_path / "figures").glob("samples*"))
    said = comments(tmp_path)
    assert {comment for name, comment in said.items() if name.startswith("grid")} == {
        "Shows the photo portrait.png, and no face of the dataset."
    }
    assert report.FACES_NOTE not in said.values()


@pytest.mark.usefixtures("no_plots")
def test_figures_with_faces_of_the_dataset_say_so(found: Outcome, tmp_path: Path) -> None:
    write_report(replace(found, curves={}), tmp_path)
    said = comments(tmp_path)
    assert {name.partition("-")[0] for name, comment in said.items() if comment == report.FACES_NOTE} == {
        "grid", "faces", "gamut", "samples",
    }  # fmt: skip
    assert said["labels.png"] is None


@pytest.mark.usefixtures("no_plots")
def test_an_interrupted_report_leaves_the_old_one(
    found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    folder = tmp_path / "report"
    write_report(bare(found), folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "_page", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report(replace(bare(found), lines=()), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("no_plots")
def test_old_figures_go_and_what_is_not_ours_stays(found: Outcome, tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "work").mkdir()
    for name in ("faces-9-gone.png", "sweep-3.png", "mine.png", "overview-of-mine.png"):
        (tmp_path / "figures" / name).write_bytes(b"x")
    (tmp_path / ".report.tmp").mkdir()  # of a run that was killed
    write_report(bare(found), tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"mine.png", "overview-of-mine.png"}
    assert (tmp_path / "work").is_dir() and not (tmp_path / ".report.tmp").exists()


@pytest.mark.usefixtures("no_plots")
def test_a_large_page_is_compressed_harder(found: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictured = replace(bare(found), originals=found.originals, edited=found.edited)
    usual = write_report(pictured, tmp_path / "usual").stat().st_size
    monkeypatch.setattr(report, "MAX_PAGE_BYTES", usual - 1)
    assert write_report(pictured, tmp_path / "small").stat().st_size < usual


@pytest.mark.usefixtures("no_plots")
def test_nothing_measured(found: Outcome, tmp_path: Path) -> None:
    empty = replace(bare(found), lines=(), contestants=(), judges=(), circumstances={})
    assert "Benchmark of 0 models on a prepared set" in read(write_report(empty, tmp_path)).text


def test_a_file_is_no_folder(found: Outcome, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(ConfigError, match="is a file"):
        write_report(found, tmp_path / "report")
    assert (tmp_path / "report").read_text() == "mine"
