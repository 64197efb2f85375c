"""Commands that do whole studies: experiment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.apps import given
from mien.apps.options import experiments as options
from mien.apps.options import shared
from mien.apps.output import say

if TYPE_CHECKING:
    from mien.experiments import Plan
    from mien.experiments.steps import Step

#: What each study is made from, and what it alone takes.
_DATASETS = {"seed1": ("affwild2", "affectnet"), "open": ("fer2013", "faces_wild")}
_ALONE = {"seed1": ("official_ganmut", "imagenet", "sizes"), "open": ("scale",)}


def experiment(
    name: options.Experiment,
    out: options.ExperimentOut,
    affwild2: options.AffWild2 = None,
    affectnet: options.AffectNet = None,
    official_ganmut: options.OfficialGANmut = None,
    imagenet: options.ImageNet = None,
    sizes: options.Sizes = None,
    fer2013: options.FER2013 = None,
    faces_wild: options.FacesWild = None,
    scale: options.Scale = None,
    judge: options.ExperimentJudges = None,
    setting: options.TrainingSettings = None,
    show: shared.Shown = None,
    device: options.ExperimentDevice = None,
    dry_run: options.PlanOnly = False,
) -> None:
    """Do a whole study, from datasets to one report.

    Sets are prepared, judges and generators trained, all is measured. `seed1` is Surani's of 2024: Aff-Wild2, and its
    combination with AffectNet, by two detectors, at two sizes, beside GANmut as it was. `open` is the same with sets that
    anybody can have, FER2013 and faces in the wild. Every step is a `mien` command; --dry-run prints them with the time
    that each will take. The same command goes on where it stopped.

    Example: mien experiment open --fer2013 fer2013 --faces-wild faces-wild --out studies/open --dry-run

    Example: mien experiment seed1 --affwild2 Aff-Wild2 --affectnet AffectNet --out studies/seed1
    """
    takes = {
        "affwild2": affwild2, "affectnet": affectnet, "official_ganmut": official_ganmut, "imagenet": imagenet,
        "sizes": sizes, "fer2013": fer2013, "faces_wild": faces_wild, "scale": scale,
    }  # fmt: skip
    _check_options(name, takes)
    from mien.experiments import check, run

    given.settings(setting or [], "--set")
    chosen: dict[str, Any] = {
        "judges": judge or (), "settings": setting or (), "show": show or (), "device": _device(device),
    }  # fmt: skip
    plan = _seed1(takes, out, chosen) if name == "seed1" else _open(takes, out, chosen, fetch=not dry_run)
    check(plan)
    if dry_run:
        print(_as_text(plan))
        return
    try:
        run(plan, _report(plan))
    except KeyboardInterrupt:  # the step has said `stopped`
        say("the same `mien experiment` begins with this step")
        raise SystemExit(130) from None
    print(plan.steps[-1].out / "report.html")


def _check_options(name: str, takes: dict[str, Any]) -> None:
    """Refuse an unknown study, one without its datasets, and options of another one."""
    from mien.errors import ConfigError

    if name not in _DATASETS:
        raise ConfigError(f"unknown experiment `{name}`", hint=f"known: {', '.join(_DATASETS)}")
    for key, value in takes.items():
        if value is not None and key not in (*_DATASETS[name], *_ALONE[name]):
            other = next(other for other in _DATASETS if key in (*_DATASETS[other], *_ALONE[other]))
            raise ConfigError(f"`{_option(key)}` is for `mien experiment {other}`", hint="leave it out")
    missing = [key for key in _DATASETS[name] if takes[key] is None]
    if missing:
        words = " ".join(f"{_option(key)} DIR" for key in missing)
        raise ConfigError(f"`mien experiment {name}` needs `{words}`", hint="docs/datasets.md says what must lie there")


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _device(device: str | None) -> str:
    import torch

    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _seed1(takes: dict[str, Any], out: Path, chosen: dict[str, Any]) -> Plan:
    from mien.errors import ConfigError
    from mien.experiments import seed1

    try:
        sizes = [int(size) for size in (takes["sizes"] or "64,128").split(",")]
    except ValueError:
        raise ConfigError(
            f"`--sizes {takes['sizes']}` are no whole numbers", hint="for example `--sizes 64,128`"
        ) from None
    return seed1(
        takes["affwild2"], takes["affectnet"], out, sizes=sizes, official=takes["official_ganmut"],
        imagenet=takes["imagenet"], **chosen,
    )  # fmt: skip


def _open(takes: dict[str, Any], out: Path, chosen: dict[str, Any], *, fetch: bool) -> Plan:
    from mien.errors import ConfigError
    from mien.experiments import SCALES, open_study

    scale = takes["scale"] or "small"
    if scale not in SCALES:
        raise ConfigError(f"unknown scale `{scale}`", hint=f"known: {', '.join(SCALES)}")
    chosen = chosen | {"judges": _judges_of(chosen["judges"])}
    return open_study(
        takes["fer2013"], takes["faces_wild"], out, scale=scale, detectors=_detectors(fetch), **chosen
    )  # fmt: skip


def _judges_of(given_judges: Sequence[str]) -> Sequence[str]:
    """Return the judges that were given, else those that ship; where none do, the study trains two."""
    from mien.shipped import shipped_judges

    return given_judges or shipped_judges()


def _detectors(fetch: bool) -> Sequence[str]:
    """Return the detectors that can be had; RetinaFace is left out, aloud, where its weights cannot."""
    from mien.errors import WeightsError
    from mien.experiments import DETECTORS
    from mien.faces.retinaface_weights import on_this_machine, published_tensors

    if not fetch:
        if not on_this_machine():
            say("RetinaFace's weights are not on this machine: they will be fetched, or RetinaFace be left out")
        return DETECTORS
    try:
        published_tensors()
    except WeightsError as error:
        say(f"{error}: this study goes without RetinaFace")
        return [name for name in DETECTORS if name != "retinaface"]
    return DETECTORS


def _report(plan: Plan) -> Callable[[Step, float | None], None]:
    """Say what begins, what has ended, and what was done before."""
    from mien.apps.progress import in_words
    from mien.experiments import as_typed

    def report(step: Step, seconds: float | None) -> None:
        where = plan.number(step)
        if seconds is None:
            say(f"{where}, {step.title}: {as_typed(step)}")
        else:
            say(f"{where} took {in_words(seconds)}" if seconds else f"{where}, {step.title}: done already")

    return report


def _as_text(plan: Plan) -> str:
    """Lay out a plan: every command with its time, then the sum, and what both are worth."""
    from mien.apps.progress import in_words
    from mien.experiments import as_typed
    from mien.experiments.timing import describe_device, estimate

    say("counting images and trying this machine ...")
    seconds = estimate(plan)
    lines = [f"{plan.name}: {len(plan.steps)} steps in {plan.out}", ""]
    for number, (step, own) in enumerate(zip(plan.steps, seconds, strict=True), start=1):
        when = "done" if step.finished() else "not known" if own is None else f"about {in_words(own)}"
        lines += [f"{number:2}. {step.title}: {when}", f"    {as_typed(step)}"]
    left, unknown = sum(own or 0.0 for own in seconds), any(own is None for own in seconds)
    done = sum(step.finished() for step in plan.steps)
    lines += ["", f"{done} of {len(plan.steps)} steps are done; the others take about {in_words(left)}"
                  f"{' and what is not known' if unknown else ''} on {describe_device()}."]  # fmt: skip
    lines.append(
        "An estimate: from counts of images and steps, and from the speed of networks and detectors, measured just now."
    )
    if load := _load():
        lines.append(load)
    return "\n".join(lines)


def _load() -> str:
    """Say that other programs keep this machine busy, where they do: the estimate is for one that is free."""
    if not hasattr(os, "getloadavg"):
        return ""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    if busy < cores:
        return ""
    return (
        f"Other programs keep this machine busy (load {busy:.0f} on {cores} cores): it will take several times as long."
    )
