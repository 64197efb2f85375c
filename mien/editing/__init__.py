"""Use a trained model on people's photos and films.

model.py     what the editor asks of a model
reading.py   which expression a face shows, and where on the disc that is
edits.py     where an edit starts from: the face as it is, or without the expression that is there
photo.py     find faces once, render many expressions, put them back at the photo's own resolution
figures.py   the disc and the intensity sweep as one picture
studio.py    photos that are open on a page

tracking.py, smoothing.py   follow faces through a film, and let their landmarks neither shake nor lag
kinds.py                    which files are photos and which are films
keyframes.py                conditions that change over time
film_faces.py, film.py      find the faces of a film in a first pass, edit them in a second one
walks.py                    one photo's face through the space, as an animation
live.py                     a camera's pictures as they come
"""

from mien.editing.photo import Editor, Face, Rendering
from mien.editing.reading import FaceReading

__all__ = ["Editor", "Face", "FaceReading", "Rendering"]
