"""An invented benchmark: two models, a disc among them, a baseline, two judges, drawn faces as pictures."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from mien.benchmark.outcome import ContestantFacts, JudgeFacts, Line, Outcome
from mien.benchmark.protocol import Protocol
from mien.datasets.drawn import CROP, DrawnFace, draw, express, identity
from mien.expressions import BASIC
from mien.metrics.measurement import Measurement

EXPRESSIONS = BASIC
JUDGES = ("resnet18", "vgg16")
STEPS = 10


def number(measure: str, value: float, half: float, n: int, better: str, expression: str | None = None) -> Measurement:
    return Measurement(measure, value, value - half, value + half, n, better, expression)  # pyright: ignore


def nothing(measure: str, better: str, reason: str, expression: str | None = None) -> Measurement:
    return Measurement(measure, None, None, None, 0, better, expression, reason)  # pyright: ignore


def judged_lines(name: str, judge: str, level: float) -> list[Line]:
    """Return what a judge finds of a model of this level, 0 to 1."""
    found = [number("expression-f1", level, 0.03, 3500, "higher")]
    for place, expression in enumerate(EXPRESSIONS):
        if name == "identity" and expression == "fear":
            found.append(nothing("expression-f1", "higher", "nobody was asked to look fear", expression))
        else:
            value = level * (1 - 0.05 * place)
            found.append(number("expression-f1", value, 0.04 * level, 500, "higher", expression))
    found.append(number("fed-features-n500", 80 * (1.02 - level), 4.0 * (1.02 - level), 500, "lower"))
    found.append(number("conditional-fed-features-n60", 120 * (1.02 - level), 6.0 * (1.02 - level), 1200, "lower"))
    found.append(
        nothing("fed-features-extrapolated", "lower", "500 samples are too few for 512 dimensions: 2,048 needed")
    )
    if name == "identity":
        flat = "the judge's probability rises by more than 0.05 on no curve"
        found += [nothing("smoothness-per-face", "lower", flat), nothing("smoothness-mean-curve", "lower", flat)]
        found.append(number("smoothness-defined-share", 0.0, 0.0, 360, "higher"))
        found.append(
            nothing("intensity-rank-correlation", "higher", "the judge's probability is the same at every intensity")
        )
    else:
        found.append(number("smoothness-per-face", 0.9 - 0.5 * level, 0.02, 300, "lower"))
        found.append(number("smoothness-mean-curve", 0.5 - 0.3 * level, 0.02, 360, "lower"))
        found.append(number("smoothness-defined-share", level, 0.05, 360, "higher"))
        found.append(number("intensity-rank-correlation", level, 0.05, 360, "higher"))
    if name == "ganmut-128":
        found.append(number("gamut-coverage", 0.41, 0.06, 812, "higher"))
        found.append(number("compound-distance", 0.3, 0.02, 77, "lower"))
        for place, (compound, faces) in enumerate((("fearfully surprised", 43), ("sadly angry", 34))):
            details = {"code": [1.0 + place, 0.7]}
            value = 0.28 + 0.04 * place
            found.append(
                Measurement(
                    "compound-distance", value, value - 0.01, value + 0.01, faces, "lower", compound, "", details
                )
            )
    else:
        found.append(nothing("gamut-coverage", "higher", "the model has no disc"))
    return [Line(name, judge, measurement) for measurement in found]


def lines() -> list[Line]:
    levels = {"ganmut-128": 0.71, "stargan_48 (4 expressions)": 0.58, "identity": 0.14}
    result = []
    for place, judge in enumerate(JUDGES):
        result.append(Line("real", judge, number("judge-f1", 0.72 - 0.03 * place, 0.02, 3000, "higher")))
        for expression in EXPRESSIONS:
            result.append(Line("real", judge, number("judge-f1", 0.7 - 0.03 * place, 0.03, 400, "higher", expression)))
        for name, level in levels.items():
            result += judged_lines(name, judge, level - 0.04 * place)
    for name, level in levels.items():
        still = name == "identity"
        if not still:
            result.append(Line(name, None, number("discriminator-auc", 0.6, 0.02, 1000, "lower")))
        result += [
            Line(
                name,
                None,
                number("discriminator-f1-by-ganmut-128", 0.5 if still else 1 - level / 2, 0.02, 500, "lower"),
            ),
            Line(
                name,
                None,
                number("discriminator-auc-by-ganmut-128", 0.5 if still else 1 - level / 3, 0.02, 1000, "lower"),
            ),
            Line(name, None, number("identity-rank1", 1.0 if still else level + 0.1, 0.0, 3500, "higher")),
            Line(name, None, number("background-change", 0.0 if still else 3 * level, 0.0, 3500, "lower")),
            Line(name, None, number("face-change", 0.0 if still else 12 * level, 0.0, 3500, "lower")),
        ]
    return result


def faces(wishes: list[dict[str, float]], person: int) -> np.ndarray:
    return np.stack(
        [face(person, *max(wish.items(), key=lambda part: part[1], default=("happy", 0))) for wish in wishes]
    )


def face(person: int, expression: str, intensity: float) -> np.ndarray:
    """Draw a face at one of four intensities: few are drawn, since drawing takes longer than any test."""
    return drawn(person, expression if round(3 * intensity) else "neutral", round(3 * intensity))


@functools.cache
def drawn(person: int, expression: str, thirds: int) -> np.ndarray:
    return draw(DrawnFace(identity(person), express({expression: thirds / 3})), 48, CROP)


def walk() -> np.ndarray:
    angles = np.arange(24) * 2 * np.pi / 24
    rings = [(angle, radius) for radius in (0.35, 0.7, 1.0) for angle in angles]
    return np.array([(0.0, 0.0), *rings], np.float32)


def angles() -> dict[str, float]:
    return {name: 12.0 + 360.0 * place / 6 for place, name in enumerate(EXPRESSIONS[1:])}


def at_code(angle: float, radius: float) -> dict[str, float]:
    """Mix the two expressions between which an angle lies."""
    place = (np.degrees(angle) - 12.0) % 360 / 60
    first, share = int(place) % 6, place % 1
    return {EXPRESSIONS[1 + first]: radius * (1 - share), EXPRESSIONS[1 + (first + 1) % 6]: radius * share}


def seen_at(angle: float, radius: float) -> np.ndarray:
    wish = at_code(angle, radius)
    values = np.array([1 - radius, *(wish.get(name, 0.0) for name in EXPRESSIONS[1:])]) + 0.05
    return (values / values.sum()).astype(np.float32)


def outcome(folder: Path | None = None, pictures: bool = True) -> Outcome:
    """Return the invented benchmark; sample pictures of a run lie in `folder`."""
    random = np.random.default_rng(5)
    names = ("ganmut-128", "stargan_48 (4 expressions)", "identity")
    rho = np.arange(1, STEPS + 1) / STEPS
    curves, fed_curves = {}, {}
    for name, slope in zip(names, (9.0, 5.0, 0.0), strict=True):
        for judge in JUDGES:
            middle = random.uniform(0.3, 0.7, (40, 6, 1))
            rise = 1 / (1 + np.exp(-slope * (rho - middle))) if slope else np.full((40, 6, STEPS), 0.1)
            curves[name, judge] = (rise * random.uniform(0.7, 1, (40, 6, 1))).astype(np.float32)
            if name.startswith("stargan"):
                curves[name, judge][:, 3] = np.nan  # fear is none of its expressions
            fed_curves[name, judge] = [{"n": n, "value": 40 - 4 * slope + 2000 / n} for n in (60, 125, 250, 500)]
    codes = walk()
    seen = np.stack([seen_at(float(angle), float(radius)) for angle, radius in codes])
    steps = [{"step": 20.0 * i, "critic/adv": 1.4 - 0.004 * i + 0.1 * random.normal(), "critic/cls": 2.0 / (1 + i / 20),
              "generator/adv": 0.7 + 0.1 * random.normal(), "generator/rec": 0.1 + 0.002 * i, "generator/bend": 0.0,
              "images_per_second": 200.0} for i in range(120)]  # fmt: skip
    samples = []
    for place in range(5 if folder else 0):
        from PIL import Image

        assert folder is not None
        row = faces([{name: 0.25 * place} for name in EXPRESSIONS], 3)
        samples.append(folder / f"step-{place * 600:07d}.png")
        Image.fromarray(np.concatenate(list(row), axis=1)).save(samples[-1])
    contestants = (
        ContestantFacts("ganmut-128", "model", "a1" * 32, EXPRESSIONS, 8_421_138, 61.2, "mtcnn", "FER2013", angles(),
                        steps, samples, "f1" * 32),
        ContestantFacts("stargan_48 (4 expressions)", "official", "b2" * 32, EXPRESSIONS, 8_430_000, 83.0, "mtcnn"),
        ContestantFacts("identity", "identity", "", EXPRESSIONS),
    )  # fmt: skip
    shown = {
        name: np.stack([faces([{e: strength} for e in EXPRESSIONS], person) for person in range(2)])
        for name, strength in zip(names, (0.9, 0.6, 0.0), strict=True)
    }
    swept = {
        name: np.stack([faces([{e: float(r) * strength} for r in rho], 0) for e in EXPRESSIONS[1:]])
        for name, strength in zip(names[:2], (1.0, 0.6), strict=True)
    }
    return Outcome(
        protocol=Protocol(),
        circumstances={
            "data_hash": "c3" * 32, "dataset": "drawn faces", "images": 3000, "commit": "5d19902", "device": "cpu",
            "machine": {"processor": "a slow one", "threads": "2"}, "version": "0.1.0", "date": "2026-11-21",
            "command": "mien bench runs/ganmut --data drawn --judge resnet18 --judge vgg16 --out report",
        },
        expressions=EXPRESSIONS,
        contestants=contestants,
        judges=tuple(JudgeFacts(name, f"{place}d" * 32, name, EXPRESSIONS) for place, name in enumerate(JUDGES)),
        lines=tuple(lines()),
        label_counts={"train": {e: 900 - 110 * i for i, e in enumerate(EXPRESSIONS)}, "validation": {"happy": 90}},
        curves=curves,
        gamuts={("ganmut-128", judge): seen for judge in JUDGES},
        gamut_codes={"ganmut-128": codes},
        fed_curves=fed_curves,
        originals=np.stack([faces([{}], person)[0] for person in range(2)]) if pictures else None,
        edited=shown if pictures else {},
        swept=swept if pictures else {},
        walked={"ganmut-128": faces([at_code(float(a), float(r)) for a, r in codes], 0)} if pictures else {},
    )  # fmt: skip
