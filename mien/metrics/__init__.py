"""What a generator of expressions is worth: one number per file, its protocol in its name, an interval beside it.

measurement.py    a number with its circumstances, or the reason why there is none
intervals.py      the bootstrap over faces, and a first-order interval for distances
features.py       what measures on a judge's features ask of them
expression_f1.py  does a judge see what was asked for?
frechet.py        are the edits, as a judge describes them, like real faces? (FED)
smoothness.py     does the expression grow evenly with the intensity?
discriminator.py  can a critic tell edits from real faces?
two_sample.py     can a stranger learn to tell edits from photos of the same expression?
identity.py       is it still the same person?
distance.py       how much changes in the face, and outside of it
coverage.py       which mixed expressions of real people does the disc reach?

All take arrays of what judges and critics said, or pixels; none knows a network. docs/metrics.md tells the protocols and
what each can be fooled by. Needs no torch.
"""

from mien.metrics.coverage import compound_distances, find_compounds, gamut_coverage, jensen_shannon
from mien.metrics.discriminator import discriminator_f1
from mien.metrics.distance import change_measures, face_mask, image_change
from mien.metrics.expression_f1 import expression_f1, f1_per_class
from mien.metrics.frechet import conditional_fed, extrapolated_fed, fed, fed_curve, frechet_distance
from mien.metrics.identity import describe, identity_kept
from mien.metrics.intervals import bootstrap
from mien.metrics.measurement import Measurement
from mien.metrics.smoothness import smoothness
from mien.metrics.two_sample import conditional_two_sample_auc

__all__ = [
    "Measurement",
    "bootstrap",
    "change_measures",
    "compound_distances",
    "conditional_fed",
    "conditional_two_sample_auc",
    "describe",
    "discriminator_f1",
    "expression_f1",
    "extrapolated_fed",
    "f1_per_class",
    "face_mask",
    "fed",
    "fed_curve",
    "find_compounds",
    "frechet_distance",
    "gamut_coverage",
    "identity_kept",
    "image_change",
    "jensen_shannon",
    "smoothness",
]
