"""What a benchmark asks of every contestant: which faces, under which conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mien.benchmark.contestants import Contestant, Faces
from mien.benchmark.faces import choose_faces, read_faces
from mien.benchmark.protocol import Protocol
from mien.conditions import Condition
from mien.expressions import NEUTRAL, VOCABULARY
from mien.prepared import PreparedSet
from mien.spaces import DiscSpace


def named_conditions(expressions: Sequence[str], protocol: Protocol) -> list[Condition]:
    """Return every expression at the protocol's intensity; neutral has none."""
    return [Condition.named(name, 0.0 if name == NEUTRAL else protocol.intensity) for name in expressions]


def rising_conditions(expressions: Sequence[str], protocol: Protocol) -> tuple[list[Condition], tuple[int, int]]:
    """Return every expression but neutral at each step of intensity, and how many expressions and steps these are."""
    names = [name for name in expressions if name != NEUTRAL]
    steps = [(step + 1) / protocol.sweep_steps for step in range(protocol.sweep_steps)]
    return [Condition.named(name, step) for name in names for step in steps], (len(names), len(steps))


def walk_conditions(
    contestant: Contestant, expressions: Sequence[str], protocol: Protocol
) -> tuple[list[Condition], np.ndarray]:
    """Return the conditions of the walk and, for a disc, angle in radians and radius of each: float32 (codes, 2).

    Without a disc: every expression at each radius, and every pair of them in the shares 1:3, 1:1 and 3:1. A folder is
    asked for nothing: mixtures cannot be named there.
    """
    if isinstance(contestant.space, DiscSpace):
        angles = [2 * math.pi * index / protocol.gamut_angles for index in range(protocol.gamut_angles)]
        places = [(0.0, 0.0), *((angle, radius) for radius in protocol.gamut_radii for angle in angles)]
        return [Condition.polar(angle, radius) for angle, radius in places], np.array(places, np.float32)
    if contestant.facts.kind == "folder":
        return [], np.zeros((0, 2), np.float32)
    names = [name for name in expressions if name != NEUTRAL and name in contestant.facts.expressions]
    conditions = [Condition.named(name, radius) for radius in protocol.gamut_radii for name in names]
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            conditions += [Condition.blend({first: share, second: 1 - share}, 1.0) for share in (0.25, 0.5, 0.75)]
    return conditions, np.zeros((0, 2), np.float32)


def requested(prepared: PreparedSet, protocol: Protocol) -> list[tuple[Faces, Sequence[Condition]]]:
    """Return faces with the conditions under which each is edited: every expression, and rising intensity on some."""
    chosen = choose_faces(prepared, protocol, [VOCABULARY])
    return [
        (read_faces(prepared, chosen, chosen.edited), named_conditions(chosen.expressions, protocol)),
        (read_faces(prepared, chosen, chosen.sweep), rising_conditions(chosen.expressions, protocol)[0]),
    ]
