"""Find faces without torch: the cascade of `mien.faces.mtcnn` in numpy, its networks run by onnxruntime.

Weights, thresholds, pyramid and results are the same; see there for the paper and the meaning of the numbers. The
networks are small enough to be written down as ONNX graphs when the detector is made, from the very file that the other
one loads.

Coordinates are those of `mien.faces.detection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.faces.cascade import ONET_SIZE, RNET_SIZE, Candidates, Cascade, checked_weights
from mien.faces.integral import Integral
from mien.sessions import open_session

if TYPE_CHECKING:
    import onnxruntime

_WEIGHTS = Path(__file__).parent.parent / "weights" / "mtcnn.safetensors"

#: Pixels of photos that go through PNet together: bounds memory.
_PIXELS_AT_ONCE = 4_000_000

#: ONNX operators that all onnxruntimes since 1.13 have.
_OPSET, _IR_VERSION = 17, 8

#: Layers of each network: a convolution, a pool of that window and stride, a dense layer. Each of the first and last is
#: followed by its PReLU, whose number is that of the layer.
_LAYERS: Mapping[str, Sequence[tuple[str, int]]] = {
    "pnet": (("conv1", 0), ("pool", 2), ("conv2", 0), ("conv3", 0)),
    "rnet": (("conv1", 0), ("pool", 3), ("conv2", 0), ("pool", 3), ("conv3", 0), ("dense", 4)),
    "onet": (
        *(("conv1", 0), ("pool", 3), ("conv2", 0), ("pool", 3), ("conv3", 0), ("pool", 2)),
        *(("conv4", 0), ("dense", 5)),
    ),
}
#: What each network says besides the probability of a face, side by side.
_VALUES: Mapping[str, Sequence[str]] = {"pnet": ("box",), "rnet": ("box",), "onet": ("box", "landmarks")}


class PortableMTCNN(Cascade):
    """The cascade of arXiv 1604.02878 for many images at once, on the processor or, by onnxruntime-gpu, on a GPU."""

    name = "mtcnn-onnx"

    def __init__(
        self,
        device: str = "cpu",
        threshold: float | None = None,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        minimum_size: float = 20.0,
        scale_factor: float = 0.709,
        longest_side: int = 1280,
    ) -> None:
        """Load the weights that ship with the package.

        `threshold` is the confidence from which something is a face; `thresholds` sets the three stages one by one
        instead. `minimum_size` is the side of the smallest face in pixels; `scale_factor` is the step of the pyramid;
        larger photos are searched at `longest_side` pixels.
        """
        super().__init__(threshold, thresholds, minimum_size, scale_factor, longest_side, _PIXELS_AT_ONCE)
        from safetensors.numpy import load

        tensors = load(checked_weights(_WEIGHTS))
        self._pnet, self._rnet, self._onet = (open_session(_graph(name, tensors), device) for name in _LAYERS)

    def _views(self, stack: np.ndarray) -> _Views:
        return _Views(stack)

    def _candidates(self, views: _Views, size: tuple[int, int]) -> Candidates:
        probability, correction = _run(self._pnet, views.shrink(size))
        owner, row, column = np.nonzero(probability > self.thresholds[0])
        return Candidates(owner, row, column, probability[owner, row, column], correction[owner, :, row, column])

    def _judge(
        self, network: str, views: _Views, owners: np.ndarray, boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        session, size = (self._rnet, RNET_SIZE) if network == "rnet" else (self._onet, ONET_SIZE)
        return _run(session, views.cut(owners, boxes, size))


class _Views:
    """A stack of images, of which smaller copies and crops can be had."""

    def __init__(self, stack: np.ndarray) -> None:
        """Take uint8 (count, height, width, 3)."""
        self._integral = Integral(stack)
        self.height, self.width = self._integral.height, self._integral.width

    def shrink(self, size: tuple[int, int]) -> np.ndarray:
        """Return all images at another (height, width), normalised float32 (count, 3, height, width)."""
        return np.ascontiguousarray(self._integral.shrink(size).transpose(0, 3, 1, 2))

    def cut(self, owners: np.ndarray, boxes: np.ndarray, size: int) -> np.ndarray:
        """Return the contents of boxes, normalised float32 (count, 3, size, size)."""
        return np.ascontiguousarray(self._integral.cut(owners, boxes, size).transpose(0, 3, 1, 2))


def _run(session: onnxruntime.InferenceSession, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probability, values = session.run(None, {"images": images})
    return np.asarray(probability), np.asarray(values)


# ------------------------------------------------------------------------------------------------------ the networks


def _graph(network: str, tensors: Mapping[str, np.ndarray]) -> bytes:
    """Write a network as an ONNX model: images -> probability of a face, and corrections with landmarks."""
    from onnx import TensorProto, helper

    graph = _Graph(network, tensors)
    x = "images"
    prelu = 0
    for layer, window in _LAYERS[network]:
        if layer == "pool":
            x = graph.add("MaxPool", [x], kernel_shape=[window] * 2, strides=[2, 2], ceil_mode=1)
            continue
        prelu += 1
        x = graph.convolution(x, layer) if layer != "dense" else graph.dense(graph.flatten(x), layer)
        x = graph.prelu(x, f"prelu{prelu}", spatial=layer != "dense")
    head = graph.convolution if network == "pnet" else graph.dense
    both = graph.add("Softmax", [head(x, "face")], axis=1)
    graph.add("Gather", [both, graph.constant("face_index", np.array(1, np.int64))], "probability", axis=1)
    graph.add("Concat", [head(x, name) for name in _VALUES[network]], "values", axis=1)
    shape = ["count", 3, "height", "width"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network,
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("probability", "values")],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    return model.SerializeToString()


class _Graph:
    """An ONNX graph that grows node by node; each method returns the name of its result."""

    def __init__(self, network: str, tensors: Mapping[str, np.ndarray]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._network, self._tensors = network, tensors

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add a node."""
        from onnx import helper

        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add an array."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, name: str) -> np.ndarray:
        """Return one of the network's tensors."""
        return self._tensors[f"{self._network}.{name}"]

    def convolution(self, x: str, layer: str) -> str:
        """Add a convolution without padding."""
        names = [self.constant(f"{layer}.{part}", self.weight(f"{layer}.{part}")) for part in ("weight", "bias")]
        return self.add("Conv", [x, *names])

    def dense(self, x: str, layer: str) -> str:
        """Add a dense layer; its weights are (out, in)."""
        names = [self.constant(f"{layer}.{part}", self.weight(f"{layer}.{part}")) for part in ("weight", "bias")]
        return self.add("Gemm", [x, *names], transB=1)

    def prelu(self, x: str, layer: str, *, spatial: bool) -> str:
        """Add a PReLU with a slope for each channel."""
        slopes = self.weight(f"{layer}.weight")
        return self.add("PRelu", [x, self.constant(layer, slopes.reshape(-1, 1, 1) if spatial else slopes)])

    def flatten(self, x: str) -> str:
        """Flatten in the order width, height, channel: the networks were trained in Matlab's column-major layout."""
        return self.add("Flatten", [self.add("Transpose", [x], perm=[0, 3, 2, 1])], axis=1)
