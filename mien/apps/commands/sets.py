"""Commands on prepared sets: combine, augment, inspect, unpack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.apps import given
from mien.apps.options import sets as options
from mien.apps.options import shared
from mien.apps.output import say

if TYPE_CHECKING:
    from mien.inspecting import Inspection

#: Names and reasons that are told before the rest is counted.
_SHOWN = 5


def combine(
    sets: options.PreparedSets,
    out: shared.PreparedOut = ...,  # type: ignore[assignment]
    balance: options.Balance = "none",
    ratio: options.Ratio = 1.0,
    size: options.NewSize = None,
    seed: options.ChoiceSeed = 0,
    without_leaks: options.WithoutLeaks = False,
    leave_out: options.LeaveOutList = None,
) -> None:
    """Make one prepared set of several, or a cleaner one of one.

    Keys begin with their set's name. Whoever is in several splits goes, with all images, to the last of them (test before
    validation before train). What was left out is listed in DIR/rejected.csv. The same command resumes what was
    interrupted.

    Example: mien combine data/affwild2 data/affectnet --out data/both --balance sources
    """
    from mien.apps.progress import ProgressBar
    from mien.combining import combine as write_combination
    from mien.leaving_out import read_leave_out
    from mien.prepared import PreparedSet

    opened = [PreparedSet.open(path) for path in sets]
    with ProgressBar("combining") as bar:
        combined = write_combination(
            opened,
            out,
            balance=balance,
            ratio=ratio,
            size=size,
            seed=seed,
            without_leaks=without_leaks,
            leave_out=None if leave_out is None else read_leave_out(leave_out),
            report=bar.advance,
        )
    if moved := combined.manifest["recipe"]["options"]["moved_subjects"]:
        say(f"{_count(moved, 'subject was', 'subjects were')} in several splits, now only in the last: {_some(moved)}")
    for split, counts in combined.manifest["counts"].items():
        if sum(counts.values()):
            say(f"{split}: " + ", ".join(f"{name} {count}" for name, count in counts.items() if count))
    if rejected := combined.manifest["rejected"]:
        say(f"left out: {rejected}, see {out / 'rejected.csv'}")
    print(out)


def augment(
    folder: options.PreparedFolder,
    out: shared.PreparedOut = ...,  # type: ignore[assignment]
    model: shared.Model = None,
    expression: options.FilledUp = None,
    count: options.FilledTo = None,
    intensity: options.EditedIntensities = "0.6:1",
    of: options.EditedOrigin = "neutral",
    judge: options.EditsJudge = None,
    seed: options.EditsSeed = 0,
) -> None:
    """Fill up a set's rare expressions with edited faces.

    For those who train recognisers of expressions. All images of the set stay as they are; faces of its training split,
    edited, come to them until each expression has as many as the most frequent one (neutral itself is filled up only with
    `-e neutral` or `--of any`). Validation and test get none. Edited faces keep their subject, have keys that begin with
    `mien-edited`, and are marked where `mien unpack` writes them. The same command resumes what was interrupted.

    Example: mien augment data/fer2013 --count 3000 --out data/filled

    Example: mien augment data/fer2013 -e fear -e disgust --judge judge-vgg16 --out data/filled
    """
    import torch

    from mien.apps.progress import ProgressBar
    from mien.augmenting import Wish
    from mien.augmenting import augment as fill_up
    from mien.classifiers import load_classifier
    from mien.loading import open_model
    from mien.prepared import PreparedSet

    weakest, strongest = given.span(intensity, "--intensity")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    wish = Wish(count, tuple(expression or ()), weakest, strongest, of, seed)
    prepared = PreparedSet.open(folder)
    looks = None if judge is None else load_classifier(judge).to(device)
    with ProgressBar("augmenting") as bar:
        done = fill_up(prepared, out, open_model(model, device), wish, judge=looks, report=bar.advance)
    say("edited: " + ", ".join(f"{name} {number}" for name, number in done.edited.items() if number))
    if looks is not None:
        say(f"turned down by {looks.name}: {done.refused}")
    if done.missing:
        lacks = ", ".join(f"{name} {number}" for name, number in done.missing.items())
        more = " (`--of any` edits others than neutral ones)" if of == "neutral" else ""
        say(f"no more faces to edit; still missing: {lacks}{more}")
    print(out)


def inspect(
    folder: options.PreparedFolder,
    out: options.ReportOut = None,
    near: options.Near = True,
    strict: options.Strict = False,
    as_json: options.AsJson = False,
) -> None:
    """Count what a prepared set holds, and search it for leaks.

    A leak is a picture or a subject in more than one split. Prints a table of splits and expressions. With --out it
    writes a report: the distribution and some faces of each expression as pictures, and the duplicates as a CSV. With
    --strict the exit code is 1 where there are leaks, as a pipeline wants it.

    Example: mien inspect data/fer2013 --out report
    """
    import json

    import typer

    from mien.apps.progress import ProgressBar
    from mien.inspecting import check_report_folder, write_report
    from mien.inspecting import inspect as inspect_set
    from mien.prepared import PreparedSet

    prepared = PreparedSet.open(folder)
    if out is not None:
        check_report_folder(out, prepared)
    with ProgressBar("inspecting") as bar:
        inspection = inspect_set(prepared, near=near, report=bar.advance)
    if out is not None:
        write_report(inspection, out)
        say(f"report: {out}")
    print(json.dumps(inspection.to_json(), indent=1) if as_json else _as_text(inspection))
    if not inspection.clean:
        _warn(inspection)
        if strict:
            raise typer.Exit(1)


def unpack(
    folder: options.PreparedFolder,
    out: options.ImagesOut = ...,  # type: ignore[assignment]
    form: options.Form = "folders",
) -> None:
    """Write a prepared set as PNG files for other programs.

    `folders` writes OUT/SPLIT/EXPRESSION/*.png, which most training code reads; `ganmut` writes OUT/images/*.png and the
    lists training.csv and validation.csv that GANmut's official code reads. `mien prepare folder` reads both. The same
    command resumes what was interrupted.

    Example: mien unpack data/fer2013 --format ganmut --out fer2013-for-ganmut
    """
    from mien.apps.progress import ProgressBar
    from mien.prepared import PreparedSet
    from mien.unpacking import unpack as write_images

    prepared = PreparedSet.open(folder)
    with ProgressBar("unpacking") as bar:
        count = write_images(prepared, out, form, report=bar.advance)
    if count < len(prepared):
        say(f"left out: {len(prepared) - count} images without a label")
    print(out)


def _as_text(inspection: Inspection) -> str:
    """Lay out what was counted: a table, then a line for each other fact."""
    from mien.expressions import VOCABULARY
    from mien.inspecting import UNLABELLED

    prepared = inspection.prepared
    sums = {split: {name: sum(of.values()) for name, of in row.items()} for split, row in inspection.counts.items()}
    names = [name for name in (*VOCABULARY, UNLABELLED) if any(name in row for row in sums.values())]
    table = [["", *sums, "all"]]
    for name in names:
        counts = [row.get(name, 0) for row in sums.values()]
        table.append([name, *map(str, counts), str(sum(counts))])
    table.append(["all", *(str(sum(row.values())) for row in sums.values()), str(len(prepared))])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    colours = "grey" if prepared.channels == 1 else "RGB"
    lines += ["", f"images: {prepared.size} x {prepared.size} pixels, {colours}"]
    lines.append(
        "sources: " + ", ".join(f"{name} {prepared.sources.count(name)}" for name in sorted(set(prepared.sources)))
    )
    if edited := int(prepared.edited.sum()):
        lines.append(f"edited by a model (`mien augment`): {edited}")
    if inspection.subjects:
        lines.append(f"subjects: {inspection.subjects}")
    if inspection.intensity:
        lines.append(
            "mean intensity: " + ", ".join(f"{name} {mean:.2f}" for name, mean in inspection.intensity.items())
        )
    if any(inspection.beyond.values()):
        shares = ", ".join(f"{name} {mean:.2f}" for name, mean in inspection.beyond.items())
        lines.append(f"share of the pixels beyond the picture, its border repeated: {shares}")
    rejected = sum(count for _, count in inspection.rejected)
    lines.append(f"rejected: {rejected}")
    lines += [f"  {count}  {reason}" for reason, count in inspection.rejected[:_SHOWN]]
    for words, part in (("between splits", "duplicates_between_splits"), ("within splits", "duplicates_within_splits")):
        found = inspection.to_json()[part]
        kinds = ", ".join(
            f"{found[kind]} {kind}" for kind in found if kind != "different_labels" and found[kind] is not None
        )
        lines.append(f"duplicates {words}: {kinds}; {found['different_labels']} with different labels")
    return "\n".join(lines)


def _warn(inspection: Inspection) -> None:
    """Say loudly that validation or test are not what they seem."""
    prepared, leaks, subjects = inspection.prepared, inspection.leaks, inspection.subjects_in_several_splits
    if leaks:
        many = _count(leaks, "picture of validation or test is", "pictures of validation or test are")
        say(f"WARNING: {many} in an earlier split too, {inspection.relabelled(leaks)} with another label:")
        for pair in leaks[:_SHOWN]:
            say(f"  {prepared.keys[pair.index]} = {prepared.keys[pair.earlier]} ({pair.kind}, {pair.correlation:.2f})")
        if len(leaks) > _SHOWN:
            say(f"  and {len(leaks) - _SHOWN} more; `--out REPORT` lists all in REPORT/duplicates.csv")
    if subjects:
        say(f"WARNING: {_count(subjects, 'subject is', 'subjects are')} in several splits: {_some(subjects)}")
    say(f"hint: `mien combine {prepared.path} --without-leaks --out CLEAN` writes the set without them")


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
