"""Commands that make models: train, presets, export."""

from __future__ import annotations

import json

from mien.apps import given, options


def train(
    preset: options.Preset,
    data: options.Data,
    out: options.RunOut,
    setting: options.Settings = None,
    init: options.Init = None,
    dry_run: options.DryRun = False,
) -> None:
    """Train a preset on a prepared set.

    The run folder fills with losses, sample pictures and checkpoints. The same command resumes what was interrupted.

    Example: mien train smoke --data data/drawn --out runs/smoke --set steps=1000
    """
    import dataclasses

    from mien.presets import configure, find_preset

    found = find_preset(preset)
    method_config, train_config = configure(found, given.settings(setting or [], "--set"))
    if dry_run:
        whole = {"method": dataclasses.asdict(method_config), "train": dataclasses.asdict(train_config)}
        print(json.dumps(whole, indent=2))
        return
    from mien.apps.progress import ProgressBar
    from mien.training import Progress
    from mien.training import train as run_training

    with ProgressBar("training", train_config.steps) as bar:

        def report(progress: Progress) -> None:
            losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
            bar.advance(progress.step, progress.steps, f"{progress.images_per_second:.0f} images/s  {losses}")

        run_training(preset, found.method, method_config, train_config, data, out, report, init)
    print(out)


def presets() -> None:
    """List what can be trained, and the number that each promises."""
    from mien.presets import PRESETS

    for name, preset in PRESETS.items():
        print(f"{name}\n    {preset.summary}\n    promise: {preset.promise}")


def export(run: options.RunFolder, out: options.WeightsOut) -> None:
    """Write a run's model as one file, for others to use.

    The averaged weights go, in half precision, into a .safetensors file; a JSON beside it tells where they come from.

    Example: mien export runs/smoke -o smoke.safetensors
    """
    from mien.pretrained import export as write_weights
    from mien.runs import Run

    print(write_weights(Run.read(run), out))
