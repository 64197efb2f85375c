"""Faces in photos: find them with five landmarks, align them to one crop, paste an edit of the crop back.

detection.py   what a detector is: photo -> boxes, confidences, landmarks
mtcnn.py       the detector that ships
detectors.py   all of them by name
align.py       landmarks -> similarity -> crop, and the way back into the photo

Importing this needs no torch; the detectors do.
"""

from mien.faces.align import (
    FACE_TEMPLATE,
    Alignment,
    align_batch,
    crop_face,
    estimate_alignment,
    paste_face,
)
from mien.faces.detection import Detection, Detector
from mien.faces.detectors import DETECTORS, load_detector

__all__ = [
    "DETECTORS",
    "FACE_TEMPLATE",
    "Alignment",
    "Detection",
    "Detector",
    "align_batch",
    "crop_face",
    "estimate_alignment",
    "load_detector",
    "paste_face",
]
