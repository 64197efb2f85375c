"""Use a trained model on people's photos.

model.py     what the editor asks of a model
reading.py   which expression a face shows, and where on the disc that is
edits.py     where an edit starts from: the face as it is, or without the expression that is there
photo.py     find faces once, render many expressions, put them back at the photo's own resolution
figures.py   the disc and the intensity sweep as one picture
"""

from mien.editing.photo import Editor, Face, Rendering
from mien.editing.reading import FaceReading

__all__ = ["Editor", "Face", "FaceReading", "Rendering"]
