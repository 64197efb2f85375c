"""A table of a report, and how it is set in Markdown and in LaTeX; the page sets the same table in HTML."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

#: Columns that a page of a paper holds at a size that can be read.
_MOST_COLUMNS = 6

#: What stands where nothing could be measured.
DASH = "—"


@dataclass(frozen=True)
class Value:
    """One number as it is printed."""

    text: str
    """The number, or a dash."""
    interval: str = ""
    """Its confidence interval, such as `0.571–0.648`; empty where there is none."""
    best: bool = False
    """Whether it is the best of the models."""
    note: str = ""
    """A footnote: why there is no number, or why it does not compare."""
    quiet: bool = False
    """Whether it belongs to a reference (a baseline, photos), which is set in italics and never the best."""
    mark: str = ""
    """Letter of the judge, where a cell holds the numbers of several."""


@dataclass(frozen=True)
class Column:
    """The head of a column."""

    heading: str
    """What it holds."""
    arrow: str = ""
    """`↑` where more is better, `↓` where less is; empty where neither is."""
    quiet: bool = False
    """Whether it holds what belongs to a reference."""
    words: bool = False
    """Whether it holds words, not numbers, and is set to the left."""
    group: str = ""
    """What stands above it and its neighbours of the same group: the judge."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    name: str
    """Whose numbers these are."""
    cells: tuple[tuple[Value, ...], ...]
    """One for each column; several values of one cell stand below each other."""
    quiet: bool = False
    """Whether it is a reference."""


@dataclass(frozen=True)
class Table:
    """What is said in one table."""

    name: str
    """Short name without blanks: anchor, label."""
    title: str
    """What stands above it."""
    corner: str
    """Head of the first column."""
    columns: tuple[Column, ...]
    """The other columns."""
    rows: tuple[Row, ...]
    """Its lines."""
    remarks: tuple[str, ...] = ()
    """Sentences below it."""
    measures: tuple[str, ...] = ()
    """Keys of the measures it shows, for what is said beside it."""

    @property
    def notes(self) -> dict[str, str]:
        """Footnotes: text -> letter, in the order of reading."""
        reasons = dict.fromkeys(
            value.note for row in self.rows for cell in row.cells for value in cell if value.note
        )  # fmt: skip
        return {reason: _letters(place) for place, reason in enumerate(reasons)}

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Judges above the columns and how many columns each spans."""
        return [(name, len(list(columns))) for name, columns in groupby(self.columns, key=lambda column: column.group)]


def escape_markdown(text: str) -> str:
    """Write text so that Markdown and the HTML in it take it as it is."""
    one_line = " ".join(text.split())
    entities = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#!])", r"\\\1", entities)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}", "—": "---", "–": "--", "−": "$-$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "°": r"\textdegree{}",
    "`": r"\textasciigrave{}", "\u2060": "{}",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Write text so that LaTeX prints it as it is, on one line; `T1` encoding is taken for granted."""
    one_line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    set_apart = one_line.replace("--", "-\u2060-").replace("--", "-\u2060-")  # two hyphens would become a dash
    return "".join(_LATEX.get(character, character) for character in set_apart)


def to_markdown(table: Table) -> str:
    """Set a table in Markdown, its notes below it."""
    notes = table.notes

    def set_value(value: Value) -> str:
        text = escape_markdown(value.text)
        text = f"**{text}**" if value.best else f"*{text}*" if value.quiet else text
        interval = f" <sub>{escape_markdown(value.interval)}</sub>" if value.interval else ""
        note = f"<sup>{notes[value.note]}</sup>" if value.note else ""
        return f"{value.mark} {text}{note}{interval}".strip()

    heads = [
        " ".join(
            filter(
                None,
                [
                    f"*{escape_markdown(c.heading)}*" if c.quiet else escape_markdown(c.heading),
                    c.arrow,
                    f"({escape_markdown(c.group)})" if c.group else "",
                ],
            )
        )
        for c in table.columns
    ]
    lines = [f"### {escape_markdown(table.title)}", ""]
    lines.append("| " + " | ".join([escape_markdown(table.corner), *heads]) + " |")
    lines.append("|---|" + "".join("---|" if column.words else "---:|" for column in table.columns))
    for row in table.rows:
        name = f"*{escape_markdown(row.name)}*" if row.quiet else escape_markdown(row.name)
        cells = ["<br>".join(set_value(value) for value in cell) for cell in row.cells]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    below = [f"<sup>{letter}</sup> {escape_markdown(reason)}" for reason, letter in notes.items()]
    below += [escape_markdown(remark) for remark in table.remarks]
    return "\n".join([*lines, "", *(f"{line}  " for line in below)]).rstrip() + "\n"


def to_latex(table: Table) -> str:
    """Set a table in LaTeX with booktabs, its notes below it; a wide one is turned, or else scaled to the page."""
    table = _turned(table) if len(table.columns) > _MOST_COLUMNS and len(table.rows) <= _MOST_COLUMNS else table
    letters, wide = "".join("l" if column.words else "r" for column in table.columns), len(table.columns) > 5
    lines = [r"\begin{table}[htbp]", r"\centering", r"\small", rf"\caption{{{escape_latex(table.title)}}}"]
    lines.append(rf"\label{{tab:{table.name}}}")
    lines += [r"\resizebox{\textwidth}{!}{%"] if wide else []
    lines += [rf"\begin{{tabular}}{{l{letters}}}", r"\toprule", *_latex_heads(table), r"\midrule"]
    lines += [_latex_row(row, table.columns, table.notes) for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}" + ("}" if wide else "")]
    below = [rf"\textsuperscript{{{letter}}} {escape_latex(reason)}" for reason, letter in table.notes.items()]
    below += [escape_latex(remark) for remark in table.remarks]
    if below:
        lines.append("\n\\smallskip\n{\\footnotesize\\raggedright\n" + "\\\\\n".join(below) + "\\par}")
    return "\n".join([*lines, r"\end{table}", ""])


def _turned(table: Table) -> Table:
    """Return a table with its columns as rows: a page is higher than it is wide. Words stay words."""
    names = [" ".join(filter(None, [c.heading, c.arrow, f"({c.group})" if c.group else ""])) for c in table.columns]
    rows = [
        Row(name, tuple(row.cells[place] for row in table.rows), column.quiet)
        for place, (name, column) in enumerate(zip(names, table.columns, strict=True))
    ]
    words = all(column.words for column in table.columns)
    columns = tuple(Column(row.name, quiet=row.quiet, words=words) for row in table.rows)
    return replace(table, corner="", columns=columns, rows=tuple(rows))


def _latex_heads(table: Table) -> list[str]:
    lines = []
    if any(name for name, _ in table.groups):
        heads, rules, start = [], [], 2
        for name, span in table.groups:
            heads.append(rf"\multicolumn{{{span}}}{{c}}{{{escape_latex(name)}}}")
            rules += [rf"\cmidrule(lr){{{start}-{start + span - 1}}}"] if name else []
            start += span
        lines += [" & ".join(["", *heads]) + r" \\", " ".join(rules)]
    heads = [
        (rf"\textit{{{escape_latex(c.heading)}}}" if c.quiet else escape_latex(c.heading))
        + (f" {escape_latex(c.arrow)}" if c.arrow else "")
        for c in table.columns
    ]
    return [*lines, " & ".join([escape_latex(table.corner), *heads]) + r" \\"]


def _latex_row(row: Row, columns: Sequence[Column], notes: dict[str, str]) -> str:
    def set_value(value: Value) -> str:
        mark = f"{escape_latex(value.mark)} " if value.mark else ""
        text = escape_latex(value.text)
        text = rf"\textbf{{{text}}}" if value.best else rf"\textit{{{text}}}" if value.quiet else text
        interval = rf" {{\scriptsize {escape_latex(value.interval)}}}" if value.interval else ""
        note = rf"\textsuperscript{{{notes[value.note]}}}" if value.note else ""
        return mark + text + note + interval

    cells = []
    for cell, column in zip(row.cells, columns, strict=True):
        values = [set_value(value) for value in cell]
        below_each_other, side = r"\\ ".join(values), "l" if column.words else "r"
        cells.append(values[0] if len(values) == 1 else rf"\shortstack[{side}]{{{below_each_other}}}")
    name = rf"\textit{{{escape_latex(row.name)}}}" if row.quiet else escape_latex(row.name)
    return " & ".join([name, *cells]) + r" \\"


def document(tables: Sequence[Table], comment: str) -> str:
    """Set all tables in LaTeX, to be read by a paper's `\\input`, and say which packages they need."""
    head = [
        f"% {' '.join(comment.split())}",
        r"% needs \usepackage[T1]{fontenc} \usepackage{booktabs,graphicx,textcomp}",
    ]
    return "\n".join([*head, "", *(to_latex(table) for table in tables)])


def _letters(place: int) -> str:
    """Count a, b ... z, aa, ab ..."""
    alphabet = string.ascii_lowercase
    return alphabet[place] if place < 26 else alphabet[place // 26 - 1] + alphabet[place % 26]
