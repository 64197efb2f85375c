"""Expression classifiers: what names a face's expression, and so judges generators.

    networks    VGG16 with batch norm, ResNet18 and ResNet50, layer for layer as torchvision has them
    published   torchvision's names, and weights learned on ImageNet as a start
    settings    what a classifier is made of, how it is trained; the presets
    training    the loop; resumes like a generator's
    classifier  a trained one as a file; images in, probabilities and features out
    report      accuracy, F1, confusion, calibration

A judge must not have met the generator that it judges: it is trained on photos alone. One that met it is a guide
(`load_guide`, `mien.guiding`), which teaches.
"""

from mien.classifiers.classifier import Classifier, Judged, export_classifier, load_classifier, load_guide, load_judge
from mien.classifiers.settings import ClassifierConfig, Recipe
from mien.classifiers.training import train_classifier

__all__ = [
    "Classifier",
    "ClassifierConfig",
    "Judged",
    "Recipe",
    "export_classifier",
    "load_classifier",
    "load_guide",
    "load_judge",
    "train_classifier",
]
