"""Commands about finding faces: detect-study."""

from __future__ import annotations

from mien.apps import given
from mien.apps.options import detection as options
from mien.apps.options import shared
from mien.apps.output import say


def detect_study(
    data: options.StudyData,
    detector: options.StudyDetectors = None,
    threshold: options.StudyThresholds = "0.9,0.7,0.4,0.1",
    padding: options.StudyPaddings = None,
    face: options.StudyFace = None,
    limit: options.StudyLimit = None,
    device: shared.DetectorDevice = "cpu",
    out: options.StudyOut = None,
) -> None:
    """Find out which detector and threshold suit some images.

    Prints a table: in how many images a face is found, of how many a usable crop comes out, and how fast. `drawn` faces
    have a known truth, so that hits, false positives and the error of the landmarks are told, too. With --out the table,
    a picture and the numbers as JSON are written.

    Example: mien detect-study photos/ --detector retinaface --detector mtcnn --threshold 0.9,0.4,0.1 --out study
    """
    from mien.apps.progress import ProgressBar
    from mien.datasets.sample import FACES
    from mien.detection_study import DRAWN, check_study_folder, study, study_images, table, write_study
    from mien.errors import ConfigError
    from mien.packages import installed
    from mien.runs import describe_machine

    images = study_images(data, limit)
    if face is not None and face not in FACES:
        raise ConfigError(f"face `{face}` is unknown", hint=f"give `{'`, `'.join(FACES)}`")
    if out is not None:
        check_study_folder(out)
    if not detector and not installed("torch"):
        say("RetinaFace needs torch, which is not installed: MTCNN alone is studied")
    detectors = detector or (["mtcnn", "retinaface"] if installed("torch") else ["mtcnn"])
    face = face or ("largest" if data == DRAWN else "cut")
    thresholds = given.numbers(threshold, "--threshold")
    paddings = given.numbers(padding, "--padding") if padding else [None]
    with ProgressBar("searching", len(images)) as bar:
        findings, unreadable = study(
            images, detectors, thresholds, paddings=paddings, face=face, device=device, report=bar.advance
        )
    print(table(findings))
    if unreadable:
        say(f"{unreadable} of {len(images)} images could not be read")
    if out is not None:
        facts = {"data": data, "face": face, "unreadable": unreadable, "device": device, "machine": describe_machine()}
        for path in write_study(out, findings, facts):
            print(path)
