"""Faces in photos: find them with five landmarks, align them to one crop, paste an edit of the crop back.

detectors.py   MTCNN: photo -> boxes, confidences, landmarks
align.py       landmarks -> similarity -> crop, and the way back into the photo
"""

from mien.faces.align import (
    FACE_TEMPLATE,
    Alignment,
    align_batch,
    crop_face,
    estimate_alignment,
    paste_face,
)
from mien.faces.detectors import DETECTORS, MTCNN, Detection, Detector

__all__ = [
    "DETECTORS",
    "FACE_TEMPLATE",
    "MTCNN",
    "Alignment",
    "Detection",
    "Detector",
    "align_batch",
    "crop_face",
    "estimate_alignment",
    "paste_face",
]
