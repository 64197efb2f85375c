"""Run ONNX graphs: the one way in which this package opens them.

Needs `onnxruntime`, which the extra `onnx` brings, and nothing of torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError

if TYPE_CHECKING:
    import onnxruntime

#: onnxruntime's levels of logging run from 0 (verbose) to 4 (fatal): what it cannot do, it raises.
_ERRORS_ONLY = 3


def open_session(graph: bytes, device: str = "cpu") -> onnxruntime.InferenceSession:
    """Return a session of a serialised ONNX model on `cpu`, `cuda` or `cuda:N`.

    Raises `ConfigError` for a device that this onnxruntime cannot use; what onnxruntime raises for a broken graph is the
    caller's to explain.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Several small sessions take turns; one that waits must not keep the cores from the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=_providers(device))


def _providers(device: str) -> list[Any]:
    import onnxruntime

    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return ["CPUExecutionProvider"]
    if kind != "cuda" or not (index or "0").isdigit():
        raise ConfigError(f"onnxruntime has no device `{device}`", hint="give `cpu`, `cuda` or `cuda:1`")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise ConfigError(
            f"this onnxruntime cannot use `{device}`", hint="`pip install onnxruntime-gpu`, or stay on `cpu`"
        )
    return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]
