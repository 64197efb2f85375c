"""How many faces which detector finds at which threshold: the study that precedes the preparation of a dataset.

Experiments on datasets of cropped faces (Surani, arXiv 2406.11079) stand and fall with the detector's threshold: a
strict one loses most faces, a loose one takes ears for faces. So each detector is run over the same images at each
threshold (and each padding), as `mien prepare` would run it. Where the truth is known, on drawn faces, what was found
is held against it.

images.py    what is searched: images on disk, or drawn scenes with known truth
measure.py   detectors x thresholds x paddings -> findings
report.py    findings -> table, picture, JSON
"""

from mien.detection_study.images import DRAWN, StudyImage, drawn_scene, study_images
from mien.detection_study.measure import Finding, overlap, study
from mien.detection_study.report import check_study_folder, figure, table, write_study

__all__ = [
    "DRAWN", "Finding", "StudyImage", "check_study_folder", "drawn_scene", "figure", "overlap", "study", "study_images",
    "table", "write_study",
]  # fmt: skip
