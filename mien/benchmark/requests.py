"""What a benchmark asks of every contestant, as a list for programs that are not part of this one."""

from __future__ import annotations

from collections.abc import Sequence

from mien.benchmark.contestants import Faces
from mien.benchmark.faces import choose_faces, read_faces
from mien.benchmark.protocol import Protocol
from mien.expressions import NEUTRAL, VOCABULARY
from mien.prepared import PreparedSet
from mien.spaces import Condition


def requested(prepared: PreparedSet, protocol: Protocol) -> list[tuple[Faces, Sequence[Condition]]]:
    """Return faces with the conditions under which each is edited: every expression, and rising intensity on some."""
    chosen = choose_faces(prepared, protocol, [VOCABULARY])
    named = [Condition.named(n, 0.0 if n == NEUTRAL else protocol.intensity) for n in chosen.expressions]
    steps = [(step + 1) / protocol.sweep_steps for step in range(protocol.sweep_steps)]
    rising = [Condition.named(name, step) for name in chosen.expressions if name != NEUTRAL for step in steps]
    return [
        (read_faces(prepared, chosen, chosen.edited), named),
        (read_faces(prepared, chosen, chosen.sweep), rising),
    ]
