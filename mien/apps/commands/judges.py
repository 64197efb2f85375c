"""Commands about judges, the classifiers that measure generators: train-judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mien.apps import given
from mien.apps.options import judges as options
from mien.apps.options import shared
from mien.apps.output import edited_note, say


def train_judge(
    preset: options.Judge,
    data: shared.Data,
    out: shared.RunOut,
    setting: shared.Settings = None,
    init: options.JudgeInit = None,
    dry_run: shared.DryRun = False,
) -> None:
    """Train a judge, a classifier of expressions.

    It names the expression of a face, and so measures generators. A judge learns from photos alone; what has learned from
    edited faces (`mien augment`) is a recogniser of expressions, and no benchmark takes it as a judge. The run folder fills
    with losses and checkpoints; the same command resumes what was interrupted. In the end the judge is measured on the
    validation split: report.json, confusion.png and calibration.png in the run folder. For a run that is finished, only
    that is done.

    Example: mien train-judge resnet18-small --data data/fer2013 --out runs/judge

    Example: mien train-judge resnet50 --data data/mine --init resnet50.pth --set unfreeze_after=5 --out runs/judge
    """
    import dataclasses

    from mien.classifiers.settings import configure

    network, recipe = configure(preset, given.settings(setting or [], "--set"))
    if dry_run:
        print(json.dumps({"network": dataclasses.asdict(network), "recipe": dataclasses.asdict(recipe)}, indent=2))
        return
    from mien.apps.progress import ProgressBar, in_words
    from mien.classifiers import train_classifier
    from mien.classifiers.training import JudgeProgress
    from mien.packages import need
    from mien.prepared import PreparedSet

    prepared = PreparedSet.open(data)
    if note := edited_note(prepared):
        say(f"note: {note}: what learns from them recognises expressions, and judges no generator")
    can_be_measured = len(prepared.select("validation", network.expressions, photos=True)) > 0
    if can_be_measured:
        need("matplotlib")  # for its report
    with ProgressBar("training") as bar:

        def report(progress: JudgeProgress) -> None:
            left = f", {in_words(progress.seconds_left)} left" if progress.step < progress.steps else ""
            detail = f"{progress.images_per_second:.0f} images/s{left}  loss {progress.loss:.3f}"
            bar.advance(progress.step, progress.steps, detail)

        train_classifier(preset, network, recipe, data, out, init, report)
    if can_be_measured:
        _measure(out, prepared)
    else:
        say(f"{data} has no validation images of these expressions: the judge was not measured")
    print(out)


def _measure(run: Path, prepared: Any) -> None:
    """Write the report of a run's judge into the run folder, and say the main numbers."""
    import torch

    from mien.apps.progress import ProgressBar
    from mien.classifiers import load_classifier
    from mien.classifiers.report import headline, measure_classifier, write_report

    judge = load_classifier(run).to("cuda" if torch.cuda.is_available() else "cpu")
    with ProgressBar("measuring") as bar:
        facts = measure_classifier(judge, prepared, report=bar.advance)
    write_report(facts, run)
    say(headline(facts))
