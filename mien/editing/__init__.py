"""Use a trained model on people's photos.

photo.py     find faces once, render many expressions, put them back at the photo's own resolution
figures.py   the disc and the intensity sweep as one picture
"""

from mien.editing.photo import Editor, Face, Rendering

__all__ = ["Editor", "Face", "Rendering"]
