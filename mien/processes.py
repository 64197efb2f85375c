"""Several processes that train as one, each on its own device.

Every process holds the whole method and takes its part of every batch (`mien.methods.base.Part`); after each player's
losses the gradients are averaged over the processes by one all-reduce, so that all of them make the same move. A method
calls its networks in more ways than one forward pass: so there is no wrapper round a module, and what is communicated is
plain to see: as many numbers as the player has parameters, once for each of its moves.

Fabric starts the processes (`mien train --devices N` starts itself again N - 1 times), or finds itself in those that
`torchrun` started. The first one leads: it alone writes and reports.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from mien.errors import ConfigError, RunError

#: How long a process waits for the others before it gives up: longer than writing samples and a checkpoint takes.
_PATIENCE = datetime.timedelta(minutes=10)


def _by_torchrun() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def leads(devices: int) -> bool:
    """Say whether this process leads, also before the others are started."""
    if _by_torchrun():
        return os.environ.get("RANK", "0") == "0"
    return devices == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def make_fabric(precision: str, devices: int = 1) -> Any:
    """Return what runs the networks in a precision: the GPUs if there are any, else processes on the CPU.

    Under `torchrun`, its numbers of processes and machines count and not `devices`.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError:  # the whole `lightning` package carries the same classes
        from lightning.fabric import Fabric  # type: ignore[import-not-found]
        from lightning.fabric.strategies.ddp import DDPStrategy  # type: ignore[import-not-found]
    for name in ("lightning_fabric", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # it would tell the precision and the backend
    machines = 1
    if _by_torchrun():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        machines = int(os.environ["WORLD_SIZE"]) // devices
    if devices * machines == 1:
        return Fabric(accelerator="auto", devices=1, precision=precision)  # type: ignore[arg-type]
    found = torch.cuda.device_count()
    if found and devices > found:
        raise ConfigError(
            f"{devices} devices are asked for, and this machine has {found}", hint=f"say --devices {found}"
        )
    if devices > 1 and not _by_torchrun():
        _die_with_the_leader()
    return Fabric(
        accelerator="cuda" if found else "cpu",
        devices=devices,
        num_nodes=machines,
        strategy=DDPStrategy(timeout=_PATIENCE),  # type: ignore[arg-type]
        precision=precision,  # type: ignore[arg-type]
    )


def knows_bfloat16() -> bool:
    """Say whether what `make_fabric` takes has instructions for products in bfloat16: a GPU, or an x86 processor with
    AVX512-BF16 or AMX. A processor without them is slower at it than at float32."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 does not tell
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def _die_with_the_leader() -> None:
    """Let Linux end a process that `mien train` started when the leader ends, however it does; else it might wait on."""
    if sys.platform == "linux" and os.environ.get("LOCAL_RANK", "0") != "0":
        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def average_gradients(fabric: Any, parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    if fabric.world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = average(fabric, torch.cat([gradient.reshape(-1) for gradient in gradients]))
    parts = flat.split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, parts, strict=True):
        gradient.copy_(mean.view(gradient.shape))


def average(fabric: Any, values: Tensor) -> Tensor:
    """Return the mean over the processes, in the place of the values."""
    if fabric.world_size > 1:
        with _named():
            torch.distributed.all_reduce(values)
        values /= fabric.world_size
    return values


def wait_for_all(fabric: Any) -> None:
    """Go on when all processes have come here."""
    with _named():
        fabric.barrier()


def part_ways(fabric: Any) -> None:
    """Close what the processes talked through, at the end."""
    if fabric.world_size > 1:
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Say in words what the backends say in addresses."""
    try:
        yield
    except RuntimeError as error:
        raise RunError(
            "another process of this training has ended",
            hint="it may have said why, above; the same command goes on from the last checkpoint",
        ) from error
