"""Commands that make models and let them travel: train, curves, presets, export, push, pull."""

from __future__ import annotations

import contextlib
import json
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mien.apps import given
from mien.apps.options import models as options
from mien.apps.options import shared
from mien.apps.output import edited_note, say
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.starting import StartingPoint

#: Exit code of a training whose time was up: what sysexits.h calls a temporary failure, to be tried again.
CALL_AGAIN = 75


def train(
    preset: options.Preset,
    data: shared.Data,
    out: shared.RunOut,
    setting: shared.Settings = None,
    init: options.Init = None,
    devices: options.Devices = 1,
    minutes: options.Minutes = None,
    workers: options.LoadingWorkers = 2,
    judge: options.WatchingJudges = None,
    guide: options.Guides = None,
    dry_run: shared.DryRun = False,
) -> None:
    """Train a preset on a prepared set.

    The run folder fills with losses, sample pictures and checkpoints; with --judge also with the F1 of the edits whenever
    samples are drawn (`--set sample_every=500`). With --guide a classifier that has learned from photos tells the
    generator what its edits look like, beside the critic. The same command resumes what was interrupted, also with
    another number of devices. `torchrun --no-python ... mien train` starts it on several machines.

    Example: mien train smoke --data data/drawn --out runs/smoke --set steps=1000

    Example: mien train ganmut-mixed-128-cpu-guided --data data/mine --init ganmut-mixed-128 --guide judge-vgg16 --out mine
    """
    from mien.presets import configure, find_preset
    from mien.runs import require_anchor

    found = find_preset(preset)
    method_config, train_config = configure(found, given.settings(setting or [], "--set"))
    if not guide and method_config.lambda_guide != configure(found, {})[0].lambda_guide:
        raise ConfigError("lambda_guide weighs what a guide says, and there is none", hint="name one with --guide")
    require_anchor(getattr(method_config, "lambda_anchor", 0.0), init is not None, out)
    if dry_run:
        print(json.dumps(_whole(method_config, train_config, guide or [], judge or []), indent=2))
        return
    from mien.pretrained import starting_point
    from mien.processes import leads
    from mien.training import train as run_training

    origin = starting_point(init) if init is not None else None
    if leads(devices) and not (out / "config.json").exists():
        _say_of_start(preset, init, origin, method_config)
        _say_of_lessons(preset, data, found.guided and not guide)
    how: dict[str, Any] = {"devices": devices, "minutes": math.inf if minutes is None else minutes, "workers": workers}
    if guide:
        from mien.classifiers import load_guide

        how["guides"] = [load_guide(each) for each in guide]
    if judge:
        from mien.benchmark.watching import watch

        how["watch"] = watch(data, judge, method_config.expressions)
        if leads(devices):
            _say_who_taught(how["watch"].judges, how.get("guides", []), origin)
    with _training_report(devices, train_config.steps) as report:
        run = run_training(preset, found.method, method_config, train_config, data, out, report, init=origin, **how)
    if not leads(devices):
        return
    if run.step < train_config.steps:
        say(f"time is up after step {run.step} of {train_config.steps}; the same command goes on")
        raise typer.Exit(CALL_AGAIN)
    tried = f"mien edit PHOTO -e {method_config.expressions[-1]} --model {shlex.quote(str(out))} -o FILE"
    say(f"all {run.step} steps are done; `{tried}` tries the model")
    print(out)


def _say_of_start(preset: str, init: str | None, origin: StartingPoint | None, config: Any) -> None:
    """Say what would surprise of where a new run starts from."""
    if origin is None:
        if config.enhancers:
            say(f"note: `{preset}` goes on from a model of half its side (`--init MODEL`); this run begins at random")
        return
    if origin.settings.get("both_sides") and not config.both_sides:
        say(f"note: {init} edits both sides of a face alike, this run will not; `--set both_sides=yes` keeps that")
    if (soft := origin.settings.get("soft_light", 0.0)) != config.soft_light:
        say(f"note: {init} was trained with soft_light={soft}, this run has {config.soft_light}")
    if origin.max_light > config.max_light:
        say(
            f"note: {init} may add more light than this run, which loses it; `--set max_light={origin.max_light}` keeps it"
        )
    side = origin.settings.get("image_size", config.image_size)
    if side * 2 ** (config.enhancers - origin.settings.get("enhancers", 0)) != config.image_size:
        say(f"note: {init} was trained at {side} px, this run is at {config.image_size}; it gets worse first")


def _whole(method_config: Any, train_config: Any, guides: list[str], judges: list[str]) -> dict[str, Any]:
    """Return all that a training would be configured with, after opening who is to guide and to judge it."""
    import dataclasses

    whole: dict[str, Any] = {"method": dataclasses.asdict(method_config), "train": dataclasses.asdict(train_config)}
    if guides or judges:
        from mien.classifiers import load_guide, load_judge

        whole["guides"] = [load_guide(each).facts for each in guides]
        whole["judges"] = [load_judge(each).name for each in judges]
    return whole


def _say_of_lessons(preset: str, data: Path, lacks_guide: bool) -> None:
    """Say what would surprise of what a new run learns from."""
    from mien.prepared import PreparedSet

    if edited := edited_note(PreparedSet.open(data)):
        say(f"note: {edited}: a generator that learns from them repeats what edits look like")
    if lacks_guide:
        say(f"note: `{preset}` is made for a guide (`--guide`); without one its expressions stay weak")


def _say_who_taught(judges: Sequence[Any], guides: Sequence[Any], origin: StartingPoint | None) -> None:
    """Say which of the judges that look on have taught the model, or what it goes on from."""
    taught = [*(guide.facts for guide in guides), *(origin.facts.get("guides", []) if origin else [])]
    hashes = {facts["sha256"] for facts in taught}
    for judge in judges:
        if judge.fingerprint in hashes:
            say(f"note: {judge.name} guides this model: it says what the generator was taught to be told")


@contextlib.contextmanager
def _told_where_it_stopped() -> Iterator[None]:
    """Say after which step Ctrl-C has stopped a training, which goes on from there."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if str(stop):
            say(str(stop))
        raise


@contextlib.contextmanager
def _training_report(devices: int, steps: int) -> Iterator[Callable[[Any], None]]:
    """Give what shows progress; of several processes only the one that leads talks, also about what went wrong."""
    from mien.apps.progress import ProgressBar
    from mien.errors import MienError
    from mien.processes import leads
    from mien.stepping import TooLittleMemoryError

    if leads(devices):
        with ProgressBar("training", steps) as bar, _told_where_it_stopped():

            def report(progress: Any) -> None:
                losses = " ".join(f"{name} {value:.3f}" for name, value in progress.losses.items())
                bar.advance(progress.step, progress.steps, f"{progress.images_per_second:.0f} images/s  {losses}")

            yield report
        return
    try:
        yield lambda progress: None
    except TooLittleMemoryError as error:  # this device may have less than that of the process that leads
        say(f"error: {error}\nhint: {error.hint}")
        raise typer.Exit(2) from None
    except (MienError, KeyboardInterrupt):
        raise typer.Exit(2) from None


def curves(runs: options.LoggedRuns, out: options.CurvesOut, over: options.Progress = "steps") -> None:
    """Draw how trainings went: losses, judged F1, speed.

    Of models and of judges, also while they train; several runs are drawn over each other. Thick lines are means over a
    twentieth of what was logged, pale ones what was logged, and the critic's losses are dashed.

    Example: mien curves runs/ganmut -o curves.png

    Example: mien curves runs/a runs/b --over minutes -o compared.svg

    Example: mien curves runs/a runs/b -o numbers.csv
    """
    from mien.curves import write_curves

    write_curves(runs, out, over)
    print(out)


def presets() -> None:
    """List what can be trained, and what each promises."""
    from mien.classifiers.settings import PRESETS as JUDGES
    from mien.presets import PRESETS

    for name, preset in PRESETS.items():
        print(f"{name}\n    {preset.summary}\n    promise: {preset.promise}")
    for name, judge in JUDGES.items():
        print(f"{name}\n    judge: {judge.summary}\n    promise: {judge.promise}")


def export(
    run: options.Exported,
    out: options.WeightsOut,
    to: options.ExportTo = None,
    opset: options.Opset = None,
) -> None:
    """Write a model as one file, for others to use.

    As safetensors, a run's averaged weights go, in half precision, into a .safetensors file; a JSON beside it tells where
    they come from. As ONNX, generator, critic and that description go into one file, which is written only if onnxruntime
    computes from it what torch computes; it runs without torch (`mien edit --model FILE.onnx`).

    A run of `mien train-judge` becomes a .safetensors file of the judge, its tensors named as torchvision names them.

    A checkpoint of the official code, `official-ganmut:G.ckpt` or `official-stargan:G.ckpt`, becomes a .safetensors file
    of the same values, with a JSON.

    Example: mien export runs/smoke -o smoke.onnx
    """
    from mien.errors import ConfigError

    kind = to or out.suffix.removeprefix(".")
    if kind not in ("safetensors", "onnx"):
        raise ConfigError(
            f"cannot export to `{kind}`", hint="end --out in .safetensors or .onnx, or say `--to safetensors`"
        )
    official = run.startswith("official-")
    if official and (kind == "onnx" or opset is not None):
        raise ConfigError("official checkpoints are not exported to ONNX", hint="end --out in .safetensors")
    if not official and _is_judge(run):
        if kind == "onnx" or opset is not None:
            raise ConfigError("judges are not exported to ONNX", hint="end --out in .safetensors")
        from mien.classifiers import export_classifier
        from mien.runs import Run

        print(export_classifier(Run.read(Path(run)), out))
        return
    if kind == "onnx":
        from mien.exporting import OPSET, export_onnx

        print(export_onnx(run, out, OPSET if opset is None else opset))
        return
    if opset is not None:
        raise ConfigError("`--opset` is for ONNX", hint="add `--to onnx`")
    if official:
        from mien.official import convert

        print(convert(run, out))
        return
    from mien.pretrained import write_model

    print(write_model(run, out))


def _is_judge(source: str) -> bool:
    """Say whether this is the run folder of `mien train-judge`."""
    from mien.runs import Run

    return (Path(source) / "config.json").is_file() and "classifier" in Run.read(Path(source)).configuration


def info(model: options.InfoModel = None, as_json: shared.Json = False) -> None:
    """Say what a model is: method, expressions, sizes, data.

    --json adds all that its description holds: settings, commands, what was measured.

    Example: mien info

    Example: mien info runs/mine --json
    """
    from mien.loading import open_model
    from mien.model_card import model_facts

    opened = open_model(model)
    facts = model_facts(opened.name, opened.sha256, opened.space, opened.description)
    if as_json:
        print(json.dumps({**facts, "description": opened.description}, indent=1))
        return
    for name, value in facts.items():
        for line in value if name == "limits" else [_in_words(value)]:
            print(f"{name + ':':16}{line}")


def _in_words(value: Any) -> str:
    """Say a fact of a model in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each:,.0f}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def push(
    model: options.Exported,
    target: options.Target,
    onnx: options.WithOnnx = False,
    public: options.Public = False,
) -> None:
    """Publish a model with its card, here or on the hub.

    A folder gets README.md (the model card), config.json and model.safetensors: the layout of huggingface_hub. `hf://`
    before the name means the Hugging Face hub, with the login of `hf auth login`; a repository that is new there is
    private unless --public is given.

    Example: mien push runs/smoke hf://user/smoke
    """
    from mien.hub import push as publish

    print(publish(model, target, onnx=onnx, public=public))


def pull(source: options.ModelPlace, out: options.ModelFolderOut) -> None:
    """Fetch a model of others into a new folder.

    It comes from the Hugging Face hub, or from a folder of `mien push`. Its hash is checked, and nothing but its own four
    files is fetched. `--model` of the other commands takes the folder, and `hf://user/name` itself.

    Example: mien pull hf://user/smoke -o models/smoke
    """
    from mien.hub import pull as get

    print(get(source, out))
