"""Faces that the program draws itself, with known identity, expression and intensity: ground truth for tests.

A face is an `Identity` (skin, head, eyes, nose, mouth, hair, light: invented from a seed) and `Muscles` (what moves:
brows, lids, mouth, nose, cheeks). Each of the seven expressions is a direction in the space of the muscles, after
Ekman's descriptions of the basic expressions; an intensity from 0 to 1 is how far one goes along it, and blends add. So
angle, radius, landmarks and identity of every picture are known exactly, which no photograph offers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from mien.datasets.drawing import CROP, PORTRAIT, Colour, DrawnFace, Identity, Muscles, Window, box, draw, landmarks
from mien.datasets.sample import TRAIN, VALIDATION, Row, Sample
from mien.errors import ConfigError
from mien.expressions import BASIC

__all__ = [
    "CROP", "DIRECTIONS", "PORTRAIT", "DrawnFace", "Identity", "Muscles", "Window",
    "box", "draw", "express", "faces", "identity", "landmarks", "read",
]  # fmt: skip

#: Weaker than this, an expression is not told from neutral at 48 pixels, and a label would be a lie.
_WEAKEST = 0.3

_SKINS: tuple[Colour, ...] = ((246, 212, 188), (232, 190, 160), (205, 156, 122), (160, 112, 82), (110, 74, 54))
_HAIRS: tuple[Colour, ...] = ((34, 27, 24), (66, 44, 32), (112, 76, 46), (178, 138, 84), (140, 138, 136))
_IRISES: tuple[Colour, ...] = ((62, 42, 30), (84, 62, 40), (70, 98, 116), (80, 104, 78))

#: The way from neutral to each expression at intensity 1.
DIRECTIONS: Mapping[str, Muscles] = {
    "neutral": Muscles(),
    "happy": Muscles(lid_opening=-0.2, corner_lift=1.0, mouth_opening=0.4, mouth_stretch=0.7, cheek_raise=1.0),
    "sad": Muscles(brow_tilt=1.0, lid_opening=-0.45, corner_lift=-1.0, mouth_opening=-0.1, mouth_stretch=-0.2),
    "surprise": Muscles(brow_raise=1.0, lid_opening=0.9, mouth_opening=1.0, mouth_stretch=-0.6),
    "fear": Muscles(
        brow_raise=0.55, brow_tilt=0.8, lid_opening=1.0, corner_lift=-0.5, mouth_opening=0.4, mouth_stretch=0.6
    ),
    "disgust": Muscles(
        brow_raise=-0.6, brow_tilt=-0.35, lid_opening=-0.75, corner_lift=-0.4, mouth_opening=0.12, nose_wrinkle=1.0,
        cheek_raise=0.4,
    ),
    "anger": Muscles(
        brow_raise=-0.55, brow_tilt=-1.0, lid_opening=0.1, corner_lift=-0.3, mouth_opening=-0.6, mouth_stretch=-0.1
    ),
}  # fmt: skip


def identity(seed: int) -> Identity:
    """Invent a person; the same seed gives the same person."""
    random = np.random.default_rng((seed, 0x1DE))

    def factor(spread: float) -> float:
        return float(1 + spread * random.uniform(-1, 1))

    def between(colours: tuple[Colour, ...]) -> Colour:
        place = random.uniform(0, len(colours) - 1)
        low = min(int(place), len(colours) - 2)
        mixed = (1 - (place - low)) * np.array(colours[low]) + (place - low) * np.array(colours[low + 1])
        return int(mixed[0]), int(mixed[1]), int(mixed[2])

    grey = int(random.integers(60, 200))
    return Identity(
        skin=between(_SKINS),
        hair=between(_HAIRS),
        iris=_IRISES[random.integers(len(_IRISES))],
        background=(grey, grey + int(random.integers(-12, 13)), grey + int(random.integers(-12, 13))),
        head_width=factor(0.08),
        head_height=factor(0.05),
        jaw=float(random.uniform(0.05, 0.25)),
        eye_spacing=factor(0.08),
        eye_size=factor(0.1),
        brow_thickness=factor(0.35),
        nose_length=factor(0.12),
        nose_width=factor(0.2),
        mouth_width=factor(0.1),
        lip_fullness=factor(0.25),
        hairline=float(random.uniform(0, 1)),
        hair_length=float(random.uniform(0, 1)),
        light_radians=float(random.uniform(-0.9, 0.9)),
    )


def express(intensities: Mapping[str, float]) -> Muscles:
    """Add up expressions, each so far along its direction as its intensity says."""
    total = dict.fromkeys(asdict(Muscles()), 0.0)
    for name, intensity in intensities.items():
        for muscle, pull in asdict(DIRECTIONS[name]).items():
            total[muscle] += intensity * pull
    return Muscles(**total)


def faces(count: int, seed: int = 0) -> Iterator[tuple[int, str, float, DrawnFace]]:
    """Yield (person, expression, intensity, face): each person in turn with all seven expressions."""
    for index in range(count):
        person, expression = index // len(BASIC), BASIC[index % len(BASIC)]
        random = np.random.default_rng((seed, index, 0x1F))
        intensity = 0.0 if expression == "neutral" else round(float(random.uniform(_WEAKEST, 1.0)), 4)
        who = identity(seed * 1_000_003 + person)
        yield person, expression, intensity, DrawnFace(who, express({expression: intensity}))


def read(source: Path | str | None = None, count: int = 2100, size: int = 64, seed: int = 0) -> Iterator[Row]:
    """Yield drawn faces as samples; nothing is read, `source` is only there because every reader has one.

    They are framed as the crops of aligned photos are; every tenth person is in the validation part. Raises
    `ConfigError` for fewer than one face or less than 16 pixels.
    """
    if count < 1 or size < 16 or seed < 0:
        raise ConfigError(
            f"{count} drawn faces of {size} pixels with seed {seed}",
            hint="draw at least one, with 16 pixels or more; seeds start at 0",
        )
    return (
        Sample(
            key=f"person-{person:06d}/{expression}",
            read=partial(draw, face, size, CROP),
            expression=expression,
            split=VALIDATION if person % 10 == 9 else TRAIN,
            source="drawn",
            intensity=intensity,
            subject=f"person-{person:06d}",
        )
        for person, expression, intensity, face in faces(count, seed)
    )
