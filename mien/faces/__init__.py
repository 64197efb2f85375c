"""Faces in photos: find them with five landmarks, align them to one crop.

detection.py   what a detector is: photo -> boxes, confidences, landmarks
mtcnn.py       the detector that ships (cascade.py: its numbers; mtcnn_onnx.py: without torch)
retinaface.py  the other one (retinaface_weights.py: found or fetched)
detectors.py   all of them by name
align.py       landmarks -> similarity -> crop, and the way back into the photo
aligner.py     images of a dataset -> crops of the faces that are meant

Importing this needs no torch; the detectors do.
"""

from mien.faces.align import (
    FACE_TEMPLATE,
    Alignment,
    crop_face,
    estimate_alignment,
)
from mien.faces.aligner import FaceAligner
from mien.faces.detection import Detection, Detector
from mien.faces.detectors import DETECTORS, load_detector

__all__ = [
    "DETECTORS",
    "FACE_TEMPLATE",
    "Alignment",
    "Detection",
    "Detector",
    "FaceAligner",
    "crop_face",
    "estimate_alignment",
    "load_detector",
]
