"""A method with all that lets it move: optimisers, the average that ships, and the step on the parts of a batch."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mien.errors import RunError
from mien.methods import Method
from mien.methods.base import Batch, compile_network
from mien.processes import average_gradients
from mien.settings import check_choices, require


@dataclass(frozen=True)
class TrainConfig:
    """Settings of the loop, the same for every method."""

    steps: int = 20_000
    """Critic steps in all."""
    batch_size: int = 16
    """Images in a batch, over all devices."""
    seed: int = 0
    """From this and the step number follows everything random."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """`bf16-mixed` runs convolutions in bfloat16; penalties stay in float32."""
    balance: float = 0.0
    """Images are drawn with weight count^-balance of their class: 0 as they come, 1 every class alike."""
    accumulate: int = 1
    """Parts that a batch is taken in, one after the other, to save memory; what is learned stays the same."""
    compile: bool = False
    """Compile the networks (`torch.compile`); penalties on the critic's gradient stay as they are."""
    augmentation: bool = True
    """Random rotation, shift, zoom and mirroring (`mien.batches.Augmentation`)."""
    ema_decay: float = 0.0
    """Decay of the moving average of the generator and its space; 0: no average."""
    decay_share: float = 0.0
    """Last share of the steps in which the learning rate falls evenly to zero; 0: it stays, 1: it falls from the start."""
    log_every: int = 50
    """Steps between lines of stats.jsonl; losses leave the device only then."""
    sample_every: int = 1000
    """Steps between sample grids."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("steps", "batch_size", "accumulate", "log_every", "sample_every", "checkpoint_every"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "at least 0 and below 1")
        require(0 <= self.decay_share <= 1, "decay_share", self.decay_share, "from 0 to 1")
        require(0 <= self.balance <= 10, "balance", self.balance, "from 0 to 10")
        require(abs(self.seed) < 2**63, "seed", self.seed, "a whole number of 63 bits")


#: Settings that decide nothing of what is learned: a run may be resumed with others.
FREE_SETTINGS = ("log_every", "sample_every", "checkpoint_every")

#: What torch says where memory is short, besides by errors of a kind of their own.
_NO_MEMORY = re.compile(r"can't allocate memory|DefaultCPUAllocator|out of memory", re.IGNORECASE)


class TooLittleMemoryError(RunError):
    """A training that needs more memory than there is; of several processes it may be one alone that meets it."""


@contextlib.contextmanager
def enough_memory(hint: str) -> Iterator[None]:
    """Raise `TooLittleMemoryError` with a hint where memory, the processor's or a GPU's, is too little for the block."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError, of a GPU, is a RuntimeError
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if not known and not _NO_MEMORY.search(str(error)):
            raise
        raise TooLittleMemoryError("the training needs more memory than there is", hint=hint) from error


class Average:
    """Moving average of the generator player's tensors (learned axes included), in float32."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.parameters = parameters
        self.tensors = {name: tensor.detach().clone() for name, tensor in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters; faster at first, so that it forgets how they were initialised."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, tensor in self.tensors.items():
            tensor.lerp_(self.parameters[name], 1 - decay)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average in the place of the parameters inside the block."""
        kept = {name: tensor.detach().clone() for name, tensor in self.parameters.items()}
        with torch.no_grad():
            for name, tensor in self.parameters.items():
                tensor.copy_(self.tensors[name])
        try:
            yield
        finally:
            with torch.no_grad():
                for name, tensor in self.parameters.items():
                    tensor.copy_(kept[name])


def generator_names(method: Method) -> list[str]:
    """Return the names of the parameters that the generator player owns: what is averaged and shipped."""
    owned = {id(parameter) for parameter in method.players()["generator"]}
    return [name for name, parameter in method.named_parameters() if id(parameter) in owned]


class Trainer:
    """A method with its optimisers and average: the state that a checkpoint holds."""

    def __init__(self, method: Method, config: TrainConfig, device: torch.device) -> None:
        self.method = method.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device.type == "cpu":
            for layer in method.modules():
                # On the CPU (torch 2.13) the gradient of a single image is wrong where these weights are channels_last.
                if isinstance(layer, torch.nn.ConvTranspose2d):
                    layer.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        else:
            torch.backends.cudnn.benchmark = True  # all batches are of one size: let it try its algorithms once
        if config.compile:
            for network in (method.generator, method.critic):
                compile_network(network, device)
        self.parameters = method.players()
        settings = method.config
        self.optimizers = {
            player: torch.optim.Adam(
                parameters, lr=settings.learning_rate, betas=settings.betas, fused=device.type in ("cuda", "cpu")
            )
            for player, parameters in self.parameters.items()
        }
        parameters = dict(method.named_parameters())
        averaged = {name: parameters[name] for name in generator_names(method)}
        self.average = Average(averaged, config.ema_decay) if config.ema_decay else None
        self.config = config

    def set_learning_rate(self, step: int) -> None:
        """Set the learning rates of a step, counted from 0: the method's, or what is left of them near the end."""
        falling, left = self.config.decay_share * self.config.steps, self.config.steps - step
        share = min(1.0, max(0, left) / falling) if falling else 1.0
        rate = share * self.method.config.learning_rate
        critics = rate * getattr(self.method.config, "critic_rate", 1.0)
        for player, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = critics if player == "critic" else rate

    def state(self) -> dict[str, Tensor]:
        """Return every tensor of the state under a flat name."""
        tensors = {f"method.{name}": tensor for name, tensor in self.method.state_dict().items()}
        if self.average:
            tensors |= {f"average.{name}": tensor for name, tensor in self.average.tensors.items()}
        for name, parameter, optimizer in self._optimized():
            tensors |= moments(optimizer, name, parameter)
        return tensors

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned."""
        self.method.load_state_dict(under("method.", tensors))
        if self.average:
            for name, tensor in under("average.", tensors).items():
                self.average.tensors[name].copy_(tensor)
        for name, parameter, optimizer in self._optimized():
            load_moments(optimizer, name, parameter, tensors)

    def _optimized(self) -> Iterator[tuple[str, torch.nn.Parameter, torch.optim.Optimizer]]:
        names = {id(parameter): name for name, parameter in self.method.named_parameters()}
        for player, parameters in self.parameters.items():
            for parameter in parameters:
                yield names[id(parameter)], parameter, self.optimizers[player]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Method]:
        """Give the method as it is shipped: with the average, where there is one."""
        with self.average.applied() if self.average else contextlib.nullcontext():
            yield self.method


def moments(optimizer: torch.optim.Optimizer, name: str, parameter: torch.nn.Parameter) -> dict[str, Tensor]:
    """Return what Adam, or AdamW, remembers of a parameter, under flat names."""
    remembered = optimizer.state.get(parameter, {})
    return {f"adam.{key}.{name}": torch.as_tensor(value) for key, value in remembered.items()}


def load_moments(
    optimizer: torch.optim.Optimizer, name: str, parameter: torch.nn.Parameter, tensors: Mapping[str, Tensor]
) -> None:
    """Take back what `moments` returned.

    In the parameter's layout: fused Adam takes gradients and moments in the order in which they lie in memory.
    """
    for key in ("step", "exp_avg", "exp_avg_sq"):
        if (saved := tensors.get(f"adam.{key}.{name}")) is not None:
            on_device = key != "step" or parameter.device.type == "cuda"
            layout = parameter if key != "step" else saved
            value = torch.empty_like(layout, device=parameter.device if on_device else "cpu").copy_(saved)
            optimizer.state[parameter][key] = value


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def _set_random_state(device: torch.device, state: tuple[Tensor, Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1], device)


def take_step(
    trainer: Trainer, parts: Sequence[Batch], step: int, fabric: Any
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Take a step on the parts of a batch that this process has, one after the other; yield each move and its losses.

    A player moves when all parts, here and in the other processes, have given their gradients: the move is the same as
    for the whole batch at once. Each part is given the random numbers that the whole batch would be given.
    """
    many = len(parts) > 1
    trainer.set_learning_rate(step)
    updates = [trainer.method.updates(dataclasses.replace(part, waits=many), step) for part in parts]
    random = [_random_state(fabric.device)] * len(parts)
    while True:
        player, losses = "", {}
        for number, update in enumerate(updates):
            if many:
                _set_random_state(fabric.device, random[number])
            with fabric.autocast():
                move = next(update, None)
            if move is None:
                return
            if many:
                random[number] = _random_state(fabric.device)
            player, terms = move
            if number == 0:
                trainer.optimizers[player].zero_grad(set_to_none=True)
            fabric.backward(torch.stack(list(terms.values())).sum() / len(parts))
            for term, value in terms.items():
                losses[term] = losses.get(term, 0) + value.detach() / len(parts)
        average_gradients(fabric, trainer.parameters[player])
        trainer.optimizers[player].step()
        yield player, losses
