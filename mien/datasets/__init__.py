"""Published datasets as they lie on people's disks, read into one kind of sample.

Each file of this package knows one dataset and offers `read(source, **options)`, which yields `Sample` and `Rejected`
in an order that never changes. Nothing here detects faces or writes files; `mien.prepared` does with what is yielded.
To add a dataset: write such a function and put it into `READERS`.
"""

from __future__ import annotations

from mien.datasets import affectnet, affwild2, drawn, fer2013, folder, rafdb
from mien.datasets.sample import SPLITS, Reader, Rejected, Row, Sample, thinned

#: Every dataset that can be prepared, by the name that the command line takes.
READERS: dict[str, Reader] = {
    "affectnet": affectnet.read,
    "affwild2": affwild2.read,
    "fer2013": fer2013.read,
    "rafdb": rafdb.read,
    "folder": folder.read,
    "drawn": drawn.read,
}

__all__ = ["READERS", "SPLITS", "Reader", "Rejected", "Row", "Sample", "thinned"]
