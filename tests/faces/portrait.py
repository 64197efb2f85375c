"""What is known of assets/astronaut.png."""

import numpy as np

#: Eyes, nose and corners of the mouth, read off the enlarged picture by eye.
ASTRONAUT = np.array([[204.0, 101.0], [247.0, 103.0], [224.0, 129.0], [202.0, 140.0], [245.0, 141.0]])
#: The same of the portrait seen in a mirror are these, from the mirror's edge.
MIRRORED = [1, 0, 2, 4, 3]
