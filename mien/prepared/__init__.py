"""The prepared set: one format on disk for every dataset, with its one writer and its one reader.

A folder holds

    shard-00000.images.npy     uint8 (N, size, size, channels): faces, aligned and resized
    shard-00000.samples.csv    a line for each: key, split, expression, intensity, subject, source, votes
    shard-00001. ...           (both described in `mien.shards`)
    rejected.csv               key and reason of every row that could not be used
    manifest.json              what this is, where from, how made, counts, and hashes; written last

Why not the dataset's own images: decoding costs more than a training step of a small network, so it is done once, and a
plain array can be mapped into memory: a batch costs one copy, processes share the pages, and nothing is loaded that is
not used. Why not HDF5, LMDB or WebDataset: numpy and a spreadsheet open these files, today and in ten years. Why
shards: an interrupted preparation keeps what it has finished, and no file grows beyond what one likes to copy.

While a set is being made the folder holds `preparing.json`, the recipe, so that other options cannot continue it,
`preparing.lock`, so that no second run writes there, parts of shards (`mien.prepared.parts`), and no manifest. Two runs
with the same recipe over the same source write the same bytes: killed and resumed or not, in one process, in many, or
on a cluster.

    writing.py     rows of a dataset -> jobs, parts -> shards -> manifest: `prepare`
    parts.py       a job: some rows decoded, cropped and written; parts merged into a shard
    engines.py     who does the jobs: this process, or one of the two below
    workers.py     processes on the cores of this machine
    on_ray.py      tasks on a Ray cluster
    lock.py        one run at a time in a folder
    layout.py      the names of the files, and their version
    reading.py     the finished folder -> labels in memory, images mapped: `PreparedSet`
"""

from mien.datasets.sample import EDITED, edited_key, original_key
from mien.prepared.layout import VERSION
from mien.prepared.parts import Channels, Crop
from mien.prepared.reading import PreparedSet
from mien.prepared.writing import Report, check_place, prepare

__all__ = [
    "EDITED",
    "VERSION",
    "Channels",
    "Crop",
    "PreparedSet",
    "Report",
    "check_place",
    "edited_key",
    "original_key",
    "prepare",
]
