"""The report of a benchmark: numbers, tables and figures in a folder, and one page that holds all of it.

results.jsonl   every number with its circumstances
tables.md, tables.tex
figures/*.png
report.html     one file without a script or anything from elsewhere: it can be sent to a colleague
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mien.benchmark import figures, mosaics
from mien.benchmark.measures import MEASURES, Measure
from mien.benchmark.outcome import Outcome
from mien.benchmark.results import CIRCUMSTANCES, read_results, write_results
from mien.benchmark.tables import BASELINES, all_tables, shown_measures, undefined_lines
from mien.benchmark.typesetting import Table, document, to_markdown
from mien.curves import Course, curves_figure
from mien.errors import ConfigError
from mien.plots import figure_bytes

#: Pictures are compressed harder until the page is no larger than this, in bytes.
MAX_PAGE_BYTES = 6_000_000

#: Longer side of a picture in pixels, and quality: the first that keeps the page small enough is taken.
_COMPRESSIONS = ((1600, 86), (1200, 78), (900, 65), (600, 50))

#: What a figure that shows faces says of itself (PNG, `Comment`): of the dataset, or of photos (`--show`), which are named.
FACES_NOTE = "Shows faces of the dataset, whose licence may forbid to pass them on."
PHOTOS_NOTE = "Shows the photo {}, and no face of the dataset."

#: Names of figures that a report writes; older ones of these are removed with it.
_FIGURE_NAME = re.compile(r"(overview|sweep|grid|faces|gamut|training|samples|labels|fed)(-\d+.*)?\.png")


@dataclass(frozen=True, eq=False)
class _Figure:
    """A figure of the report."""

    section: str
    """Name of the table beside which it stands, or of a section of its own."""
    file: str
    """Its name in figures/, without suffix."""
    caption: str
    """What it shows, how the shown things were chosen."""
    plot: Any = None
    """A matplotlib figure, or None for a picture."""
    picture: np.ndarray | None = None
    """uint8 (height, width, 3), or None for a plot."""
    zoom: float = 1.0
    """How large the page shows a picture, of its own size."""
    shows_faces: bool = False
    """Whether it shows faces, whose licence may forbid to pass them on."""


def write_report(
    outcome: Outcome, folder: Path, *, pictures: bool = True, progress: Callable[[str], None] = lambda _: None
) -> Path:
    """Write the whole report and return the path of its page; until all is made, an older one stays as it is.

    `pictures=False` leaves out everything that shows a face. `progress` is told what is being made. Raises `ConfigError`
    where the folder cannot be one.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file", hint="give a folder for the report")
    staging = folder / ".report.tmp"
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    (staging / "figures").mkdir(parents=True)
    try:
        progress("tables")
        results = read_results(write_results(outcome, staging / "results.jsonl"))
        outcome = replace(outcome, lines=tuple(result.line for result in results))
        tables = all_tables(outcome)
        (staging / "tables.md").write_text(_as_markdown(outcome, tables), encoding="utf-8")
        (staging / "tables.tex").write_text(document(tables, _origin(outcome)), encoding="utf-8")
        progress("figures")
        drawn = _draw_figures(outcome, pictures)
        for figure in drawn:
            (staging / "figures" / f"{figure.file}.png").write_bytes(_png(figure, _note(figure, outcome)))
        progress("page")
        (staging / "report.html").write_text(_page(outcome, tables, drawn), encoding="utf-8")
        _move_into_place(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder / "report.html"


def _move_into_place(staging: Path, folder: Path) -> None:
    """Put each file in the place of an older one, the page last; figures that are no longer part of it go."""
    figures_folder = folder / "figures"
    figures_folder.mkdir(exist_ok=True)
    new = {path.name for path in (staging / "figures").iterdir()}
    for name in sorted(new):
        os.replace(staging / "figures" / name, figures_folder / name)
    for old in list(figures_folder.iterdir()):
        if old.name not in new and _FIGURE_NAME.fullmatch(old.name):
            old.unlink()
    for name in ("tables.md", "tables.tex", "results.jsonl", "report.html"):
        os.replace(staging / name, folder / name)


# ------------------------------------------------------------------------------------------------------------- figures


def _draw_figures(outcome: Outcome, pictures: bool) -> list[_Figure]:
    drawn = [
        _Figure("overview", "overview", "The main measures with their intervals.", figures.overview_figure(outcome)),
        *_sweep_figures(outcome),
        _Figure("fed", "fed", "FED over sample size: how much of a distance is the size of the sample.",
                figures.fed_figure(outcome)),
        *(_face_figures(outcome) if pictures else []),
        *_gamut_figures(outcome, pictures),
        *_training_figures(outcome, pictures),
        _label_figure(outcome),
    ]  # fmt: skip
    return [figure for figure in drawn if figure.plot is not None or figure.picture is not None]


def _sweep_figures(outcome: Outcome) -> list[_Figure]:
    faces = max((len(curves) for curves in outcome.curves.values()), default=0)
    return [
        _Figure(
            "smoothness", f"sweep-{place}", f"Probability of the asked expression over intensity, judged by {judge.name}: "
            f"mean and middle 80 % of the curves of up to {faces:,} faces.", figures.sweep_figure(outcome, judge.name),
        )
        for place, judge in enumerate(outcome.judges, start=1)
    ]  # fmt: skip


def _face_figures(outcome: Outcome) -> list[_Figure]:
    count = 0 if outcome.originals is None else len(outcome.originals)
    caption = "Example face {} of {}: every model (rows), every expression (columns) at intensity {:g}."
    drawn = [
        _Figure("faces", f"grid-{example + 1}", caption.format(example + 1, count, outcome.protocol.intensity),
                picture=mosaics.grid_picture(outcome, example), zoom=0.85, shows_faces=True)
        for example in range(count)
    ]  # fmt: skip
    for place, facts in enumerate(outcome.contestants, start=1):
        caption = f"{facts.name}: example face 1 with rising intensity."
        picture = mosaics.sweep_picture(outcome, facts.name)
        name = _file("faces", place, facts.name)
        drawn.append(_Figure("faces", name, caption, picture=picture, zoom=0.8, shows_faces=True))
    return drawn


def _gamut_figures(outcome: Outcome, pictures: bool) -> list[_Figure]:
    drawn, place = [], 0
    for facts in outcome.contestants:
        for index, judge in enumerate(judge for judge in outcome.judges if (facts.name, judge.name) in outcome.gamuts):
            place += 1
            shown = pictures and index == 0 and facts.name in outcome.walked
            what = (
                f"a face on the disc, and what {judge.name} sees there"
                if shown
                else f"what {judge.name} sees on the disc"
            )
            caption = f"{facts.name}: {what}; colour is "
            caption += (
                "the likeliest expression, pale where it is not likely; dots are measured, lines at the rim learned."
            )
            picture = mosaics.gamut_picture(outcome, facts.name, judge.name, with_faces=shown)
            name = _file("gamut", place, facts.name)
            drawn.append(_Figure("gamut", name, caption, picture=picture, zoom=0.66, shows_faces=shown))
    return drawn


def _training_figures(outcome: Outcome, pictures: bool) -> list[_Figure]:
    drawn = []
    for place, facts in enumerate(outcome.contestants, start=1):
        caption = f"{facts.name}: what training logged: weighted losses (the critic's dashed), speed, and judged F1."
        plot = curves_figure([Course(facts.name, facts.stats)])
        drawn.append(_Figure("training", _file("training", place, facts.name), caption, plot))
        if pictures and not outcome.circumstances.get("shown"):  # they show faces of the training data
            caption = f"{facts.name}: the run's first, middle and last sample pictures."
            picture = mosaics.samples_picture(facts)
            name = _file("samples", place, facts.name)
            drawn.append(_Figure("training", name, caption, picture=picture, shows_faces=True))
    return drawn


def _label_figure(outcome: Outcome) -> _Figure:
    counts = {split: own for split, own in outcome.label_counts.items() if sum(own.values())}
    dataset = str(outcome.circumstances.get("dataset") or "the prepared set")
    picture = None
    if counts:
        from mien.set_figures import distribution_figure

        by_source = {
            split: {name: {dataset: count} for name, count in own.items() if count} for split, own in counts.items()
        }
        picture = distribution_figure(by_source, "Images by expression")
    return _Figure(
        "labels", "labels", "How many images of each expression the prepared set holds.", picture=picture, zoom=0.66
    )


def _file(kind: str, place: int, name: str) -> str:
    """Return a name for a file that holds nothing a file system could mind."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[:40]
    return f"{kind}-{place}-{plain}" if plain else f"{kind}-{place}"


def _note(figure: _Figure, outcome: Outcome) -> str:
    """Return what a figure says of itself."""
    if not figure.shows_faces:
        return ""
    shown = outcome.circumstances.get("shown")
    return PHOTOS_NOTE.format(shown) if shown else FACES_NOTE


def _png(figure: _Figure, note: str) -> bytes:
    if figure.picture is None:
        content = figure_bytes(figure.plot, "png")
        figure.plot.set_layout_engine("none")  # is laid out now; the page's drawing need not do it again
        return content
    buffer = io.BytesIO()
    said = PngInfo()
    if note:
        said.add_text("Comment", note)
    Image.fromarray(figure.picture).save(buffer, "png", pnginfo=said)
    return buffer.getvalue()


# ---------------------------------------------------------------------------------------------------------------- page


def _page(outcome: Outcome, tables: list[Table], drawn: list[_Figure]) -> str:
    """Return the page, its pictures compressed until it is small enough to be sent."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((Path(__file__).parent / "report.html").read_text(encoding="utf-8"))
    plots = {f.file: "data:image/svg+xml;base64," + _base64(figure_bytes(f.plot)) for f in drawn if f.plot is not None}
    page = ""
    for longest, quality in _COMPRESSIONS:
        sources = plots | {f.file: _compressed(f.picture, longest, quality) for f in drawn if f.picture is not None}
        page = template.render(**_content(outcome, tables, drawn, sources))
        if len(page.encode("utf-8")) <= MAX_PAGE_BYTES:
            break
    return page


def _content(
    outcome: Outcome, tables: list[Table], drawn: list[_Figure], sources: Mapping[str, str]
) -> dict[str, Any]:  # fmt: skip
    """Return what the template is filled with."""

    def figures_of(section: str) -> list[dict[str, Any]]:
        return [{"source": sources[f.file], "caption": f.caption, "width": _shown_width(f)}
                for f in drawn if f.section == section]  # fmt: skip

    sections, told = [], set()
    for place, table in enumerate(tables):
        # What a measure is stands where its own table is; the overview has the list of what fools each.
        measures = [measure for measure in shown_measures(table) if place and measure.key not in told]
        told |= {measure.key for measure in measures}
        sections.append({"table": table, "measures": measures, "figures": figures_of(table.name)})
    models = sum(facts.kind not in BASELINES for facts in outcome.contestants)
    known = {table.name for table in tables}
    titles = {"faces": "Faces", "gamut": "What the judges see on the disc", "training": "Training", "labels": "Data",
              "fed": "Frechet emotion distance", "smoothness": "Intensity"}  # fmt: skip
    more = [(name, title, figures_of(name)) for name, title in titles.items() if name not in known]
    return {
        "title": f"Benchmark of {_counted(models, 'model')} on {outcome.circumstances.get('dataset') or 'a prepared set'}",
        "summary": _summary(outcome),
        "outcome": outcome,
        "sections": sections,
        "more": [(name, title, own) for name, title, own in more if own],
        "facts": _facts(outcome),
        "reading": [measure for measure in _used_measures(tables) if measure.fooled],
        "undefined": undefined_lines(outcome),
        "shows_faces": any(f.picture is not None and f.shows_faces for f in drawn),
        "command": outcome.circumstances.get("command"),
    }


def _shown_width(figure: _Figure) -> int:
    """Return the width on the page in CSS pixels, at most; plots take what there is."""
    return 940 if figure.picture is None else round(figure.picture.shape[1] * figure.zoom)


def _summary(outcome: Outcome) -> str:
    """Say the circumstances in a line; the page has all of them at its end."""
    given, protocol = outcome.circumstances, outcome.protocol
    edited = given.get("edited", protocol.faces)
    parts = [f"{protocol.split} split", f"{edited:,} faces edited to {len(outcome.expressions)} expressions"]
    parts += ["judged by " + ", ".join(judge.name for judge in outcome.judges)] if outcome.judges else []
    parts += [
        f"seed {protocol.seed}",
        f"mien {given.get('version') or ''} {str(given.get('commit') or '')[:12]}".strip(),
    ]
    parts += [str(given[name]) for name in ("device", "date") if given.get(name)]
    return " · ".join(parts)


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    """Return the circumstances as a person reads them."""
    given, protocol = outcome.circumstances, outcome.protocol
    machine = given.get("machine")
    machine = ", ".join(f"{k} {v}" for k, v in machine.items()) if isinstance(machine, Mapping) else machine
    facts = [
        ("Data", f"{given.get('dataset') or 'not named'}, {protocol.split} split"),
        ("Held-out faces", _thousands(given.get("images"))),
        (
            "Edited",
            f"{given.get('edited', protocol.faces):,} faces ({protocol.origin}) to every expression, "
            f"intensity {protocol.intensity:g}",
        ),
        ("Expressions", ", ".join(outcome.expressions)),
        ("Judges", "; ".join(f"{j.name} ({j.architecture}, {j.sha256[:12]})" for j in outcome.judges)),
        ("Seed", str(protocol.seed)),
        ("Data hash", str(given.get("data_hash") or "")[:16]),
        ("Device", str(given.get("device") or "")),
        ("Machine", str(machine or "")),
        ("Version", f"mien {given.get('version') or ''}".strip()),
        ("Commit", str(given.get("commit") or "")[:13]),
        ("Edits made by commit", ", ".join(name[:13] for name in given.get("collected_commits") or () if name)),
        ("Date", str(given.get("date") or "")),
    ]
    shown = {*CIRCUMSTANCES, "images", "command", "shown"}
    facts += [
        (str(name).replace("_", " ").capitalize(), str(value)) for name, value in given.items() if name not in shown
    ]
    return [(name, value) for name, value in facts if value]


def _as_markdown(outcome: Outcome, tables: Sequence[Table]) -> str:
    """Return tables.md: where the numbers come from, all tables, and what each measure is fooled by."""
    from mien.benchmark.typesetting import escape_markdown

    fooled = [f"- *{measure.heading}*: {escape_markdown(measure.fooled)}" for measure in _used_measures(tables)
              if measure.fooled]  # fmt: skip
    lines = ["# Benchmark", "", escape_markdown(_origin(outcome)), "", *map(to_markdown, tables)]
    if fooled:
        lines += ["### What each measure is fooled by", "", "No measure is enough by itself.", "", *fooled, ""]
    return "\n".join(lines)


def _used_measures(tables: Sequence[Table]) -> list[Measure]:
    """Return the measures that the tables show."""
    shown = {key for table in tables for key in table.measures}
    return [measure for key, measure in MEASURES.items() if key in shown]


def _origin(outcome: Outcome) -> str:
    given = outcome.circumstances
    parts = [f"mien {given.get('version')}", f"data {given.get('dataset')}", f"seed {outcome.protocol.seed}"]
    parts += [f"{name} {given[name]}" for name in ("commit", "device", "date") if given.get(name)]
    return "Measured with " + ", ".join(parts) + "."


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _thousands(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, np.integer)) else str(value or "")


def _compressed(picture: np.ndarray, longest: int, quality: int) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((longest, longest * 4), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "webp", quality=quality, method=4)
    return "data:image/webp;base64," + _base64(buffer.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
