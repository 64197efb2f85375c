"""Whole studies as lists of steps: which datasets, detectors, sizes and judges, and in the end one report.

A step is a `mien` command that a person could type. `--dry-run` prints them with the time that each will take; running
does what is not done yet. `steps` knows each command and when it is done, `plan` crosses datasets with detectors and sizes,
`seed1` and `open` are the studies, `timing` estimates, `running` does it.
"""

from __future__ import annotations

from mien.experiments.open import DETECTORS, SCALES, open_study
from mien.experiments.plan import Plan
from mien.experiments.running import as_typed, check, run
from mien.experiments.seed1 import seed1

__all__ = ["DETECTORS", "SCALES", "Plan", "as_typed", "check", "open_study", "run", "seed1"]
