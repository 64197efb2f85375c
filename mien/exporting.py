"""Write a trained model as one ONNX file, and refuse to unless onnxruntime's outputs equal torch's.

The graph holds the generator and the critic, for batches of any size; `mien.portable` says what the file looks like and
reads it. Weights are stored in half precision where that changes no value, which is so for every exported model; they
are computed with in single precision.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mien.datasets import drawn
from mien.errors import ConfigError, WeightsError
from mien.files import write_bytes
from mien.images import luma
from mien.pickled import release
from mien.portable import INPUTS, READ, RENDERED, PortableModel, metadata, open_portable, seal
from mien.pretrained import Model, export, load_model
from mien.runs import Run
from mien.spaces import DiscSpace
from mien.version import VERSION

if TYPE_CHECKING:
    import onnx

#: Versions of ONNX's operators that were tried.
OPSETS = range(18, 24)
OPSET = 20
#: The first torch that was seen to write every model: 2.6 wrote none, 2.8 and 2.9 neither StarGAN nor the Gaussian one.
OLDEST_TORCH = (2, 11)
#: Largest difference between onnxruntime and torch that an export may show: in displacements (1 is half the crop), in
#: light (1 is half the range of a pixel, so that a grey level is 0.008), in probabilities, and in places of the disc.
TOLERANCE = 1e-4
#: Weights of fewer values than this are not worth a conversion in the graph.
_SMALL = 256


class _Both(nn.Module):
    """All that the editor asks of a method, as one graph."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.method = model.method

    def forward(self, images: Tensor, codes: Tensor) -> tuple[Tensor, ...]:
        edit = self.method.render(images, codes)
        reading = self.method.read(images)
        return *(maps.float() for maps in edit if maps is not None), reading.probabilities, reading.codes


def export_onnx(source: str | Path | None, out: str | Path, opset: int = OPSET) -> Path:
    """Write a model (as `mien.pretrained.load_model` takes it) to an ONNX file; returns the file's path.

    What is exported is what `mien.pretrained.export` would write, in the same precision and with the same hash. Raises
    `WeightsError` where onnxruntime's outputs differ from torch's, `ConfigError` for an opset out of `OPSETS` and a torch
    before `OLDEST_TORCH`; then nothing is written.
    """
    out = Path(out)
    if out.suffix != ".onnx":
        raise WeightsError(f"{out} does not end in .onnx", hint="name the file NAME.onnx")
    if out.is_dir():
        raise WeightsError(f"{out} is a folder", hint="name a file: NAME.onnx")
    if opset not in OPSETS:
        raise ConfigError(f"opset {opset} is out of range", hint=f"give {OPSETS[0]} to {OPSETS[-1]}")
    if release(torch.__version__) < OLDEST_TORCH:
        oldest = "{}.{}".format(*OLDEST_TORCH)
        raise ConfigError(
            f"ONNX files are written by torch {oldest} or newer, and this is {torch.__version__}",
            hint=f"`pip install -U 'torch>={oldest}'`",
        )
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        model = as_exported(source, Path(folder))
    content = seal(_describe(model, _halve(_without_traces(_trace(model, opset)))))
    check(model, open_portable(content, "the export"))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, content)
    return out


def as_exported(source: str | Path | None, folder: Path) -> Model:
    """Load a model; a run is exported into `folder` first, so that its model is the one that others get."""
    if source is not None and (Path(source) / "checkpoints").is_dir():
        run = Run.read(Path(source))
        source = export(run, folder / f"{run.path.resolve().name}.safetensors")
    return load_model(source)


def _trace(model: Model, opset: int) -> onnx.ModelProto:
    """Turn both networks into a graph; the side of the images is fixed, since the critic takes no other."""
    side, channels = model.image_size, model.image_channels
    # Two examples: torch takes a batch of one for a batch that is always one.
    examples = (torch.zeros(2, channels, side, side), torch.zeros(2, model.space.size))
    batch = {0: torch.export.Dim("batch")}
    with _quiet():
        try:
            program = torch.onnx.export(
                _Both(model).eval(),
                examples,
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=list(INPUTS),
                output_names=[*_rendered(model), *READ],
                dynamic_shapes=(batch, batch),
            )
        except torch.onnx.OnnxExporterError as error:  # its message is a page
            raise WeightsError(
                f"torch cannot export this model: {str(error).splitlines()[0]}", hint="try another --opset"
            ) from error
    assert program is not None
    return program.model_proto


def _rendered(model: Model) -> tuple[str, ...]:
    """Return the names of the maps that a model's edits have."""
    return RENDERED[: len(model.render(_noise(model), _codes(model, 3)[0]))]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says to its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)


def _halve(graph_of: onnx.ModelProto) -> onnx.ModelProto:
    """Store each large weight in half precision where that loses nothing; the graph turns it back."""
    from onnx import TensorProto, helper, numpy_helper

    graph = graph_of.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or math.prod(tensor.dims) < _SMALL:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return graph_of


def _without_traces(graph_of: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what the exporter notes beside the graph: for every node, the paths of the code on this machine."""
    graph = graph_of.graph
    described = (graph.node, graph.input, graph.output, graph.value_info, graph.initializer, graph_of.functions)
    of_functions = (function.node for function in graph_of.functions)
    for each in [graph, *itertools.chain(*described, *of_functions)]:
        del each.metadata_props[:]
        each.doc_string = ""
    return graph_of


def _describe(model: Model, graph_of: onnx.ModelProto) -> onnx.ModelProto:
    from onnx import helper

    graph_of.producer_name, graph_of.producer_version = "mien", VERSION
    graph_of.graph.name = model.name
    helper.set_model_props(graph_of, metadata(model, wipes=len(_rendered(model)) == len(RENDERED)))
    return graph_of


def check(model: Model, portable: PortableModel) -> None:
    """Raise `WeightsError` unless both give the same, on noise and on faces, one by one and in batches of three."""
    largest: dict[str, float] = {}

    def compare(names: tuple[str, ...], wanted: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> None:
        for name, one, other in zip(names, wanted, given, strict=True):
            difference = float(np.abs(one - other).max()) if one.shape == other.shape else math.nan
            largest[name] = max(largest.get(name, 0.0), difference) if math.isfinite(difference) else math.inf

    for images in (_noise(model), _faces(model)):
        for batch, codes in ((images, _codes(model, 3)), (images[:1], _codes(model, 1)[::3])):
            compare(READ, model.read(batch), portable.read(batch))
            for code in codes:
                compare(_rendered(model), model.render(batch, code), portable.render(batch, code))
    name, difference = max(largest.items(), key=lambda item: item[1])
    if difference > TOLERANCE:
        raise WeightsError(
            f"the ONNX graph does not give what the model gives: {name} differs by {difference:.2g}, "
            f"more than {TOLERANCE:g}",
            hint="try another --opset or another version of onnxruntime",
        )


def _noise(model: Model) -> np.ndarray:
    shape = (3, model.image_channels, model.image_size, model.image_size)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def _faces(model: Model) -> np.ndarray:
    """Draw three faces, framed and scaled as the editor's crops are."""
    people = enumerate(("neutral", "surprise", "anger"))
    faces = [drawn.DrawnFace(drawn.identity(seed), drawn.express({name: 1.0})) for seed, name in people]
    pixels = np.stack([drawn.draw(face, model.image_size, drawn.CROP) for face in faces])
    planes = luma(pixels)[:, None] if model.image_channels == 1 else pixels.transpose(0, 3, 1, 2)
    return planes.astype(np.float32) / 127.5 - 1


def _codes(model: Model, count: int) -> np.ndarray:
    """Return batches of codes (batches, count, size) from all over the space.

    For a disc its centre, its rim and what lies between; for labels each alone, none, and all at once.
    """
    size = model.space.size
    if isinstance(model.space, DiscSpace):
        angles = np.linspace(0, 2 * math.pi, 8, endpoint=False)
        rim = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        points = np.concatenate([np.zeros((1, 2)), 0.5 * rim[::2], rim])
    else:
        points = np.concatenate([np.eye(size), np.zeros((1, size)), np.full((1, size), 1 / size)])
    batches = math.ceil(len(points) / count)
    return np.resize(points, (batches, count, size)).astype(np.float32)
