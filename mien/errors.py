"""Every error that a user can cause, with the way out of it.

    MienError
    ├── ImageError       a file that is not a picture, is broken, or is too large
    ├── FilmError        a film that is none, is broken, or cannot be written
    ├── FaceError        no face, or not the face that was asked for
    ├── ConditionError   an unknown expression, an intensity out of range, a blend that cancels out
    ├── DataError        a dataset or a prepared set that cannot be read
    ├── ConfigError      a setting that is unknown or out of its range
    ├── RunError         a run folder that belongs to another configuration, or a broken checkpoint
    └── WeightsError     weights that are missing, altered or of another kind

Each carries one line that says what is wrong and one `hint` that says what to do. The command line prints both and
exits with code 2; programs catch `MienError`.
"""

from __future__ import annotations


class MienError(Exception):
    """Say what is wrong in one line, and in `hint` what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ImageError(MienError):
    """A file that is not a picture, is broken, or is too large to be decoded safely."""


class ClosedPhotoError(MienError):
    """A photo of the studio that is not open, or no longer."""


class FilmError(MienError):
    """A file that is no film, is broken, or cannot be written."""


class FaceError(MienError):
    """No face was found, or not the one that was asked for."""


class ConditionError(MienError):
    """An expression, intensity or blend that the model's space cannot express."""


class DataError(MienError):
    """A dataset or a prepared set that cannot be read as it lies on disk."""


class ConfigError(MienError):
    """A setting that does not exist or is out of its range."""


class RunError(MienError):
    """A run folder that another configuration wrote, or a checkpoint that is broken."""


class WeightsError(MienError):
    """Weights that are missing, altered, or of another kind than expected."""
