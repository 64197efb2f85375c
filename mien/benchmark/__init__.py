"""`mien bench`: which generator is better, in numbers that can be trusted.

protocol      how many faces, which intensity: numbers can be compared where this is equal
contestants   models of every kind, and baselines that show what a measure is worth
faces, pool   who is edited, and whom edits are compared with
collecting    the slow half: edit, show to the judges, keep what they say
measuring     the fast half: `mien.metrics` on what was kept
running       all of it in one call
outcome       what was found
results, tables, figures, report   what is shown of it
"""

from mien.benchmark.outcome import Outcome
from mien.benchmark.protocol import Protocol
from mien.benchmark.running import benchmark

__all__ = ["Outcome", "Protocol", "benchmark"]
