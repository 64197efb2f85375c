"""Networks that were trained at one side, or without what there is now, carried over."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from mien.critics import PatchCritic
from mien.errors import ConfigError
from mien.networks import WarpGenerator


def grown(generator: WarpGenerator, critic: PatchCritic, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a smaller pair of networks knows (`generator.*`, `critic.*`) as the state of this one, new so far.

    The pair has one enhancer more, and is the same besides. It then does to images what the small one does to them at half
    the side: the new enhancer adds nothing yet, and of the critic's new first layer two channels are the halved image and
    its negative, whose difference behind a leaky rectifier is the image again; its other channels begin at random, and
    count nothing at first.
    """
    if critic.base_channels < 2 * critic.image_channels:
        raise ConfigError(
            f"a critic of {critic.base_channels} channels cannot go on at twice the side",
            hint=f"critic_channels must be {2 * critic.image_channels} or more for that",
        )
    own = {f"critic.{name}": tensor for name, tensor in critic.state_dict().items()}
    own |= {f"generator.{name}": tensor for name, tensor in generator.state_dict().items()}
    added = ("critic.main.0.", f"generator.enhancers.{len(generator.enhancers) - 1}.")
    new = {name: tensor.detach().clone() for name, tensor in own.items() if name.startswith(added)}
    small = {}
    for name, tensor in state.items():
        part, _, rest = name.partition(".main.")
        index, _, kind = rest.partition(".")
        small[f"critic.main.{int(index) + 2}.{kind}" if part == "critic" and rest else name] = tensor
    entry, bias, first = new["critic.main.0.weight"], new["critic.main.0.bias"], small["critic.main.2.weight"]
    onward = first.new_zeros(first.shape[0], len(entry), *first.shape[2:])
    for channel in range(critic.image_channels):
        for sign in (1, -1):
            at = 2 * channel + (sign < 0)
            entry[at], bias[at] = 0.0, 0.0
            entry[at, channel, 1:3, 1:3] = sign / 4
            onward[:, at] = first[:, channel] * (sign / (1 + critic.slope))
    return {**new, **small, "critic.main.2.weight": onward}


def resampled(critic: PatchCritic, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a method's networks (`generator.*`, `critic.*`) know, for a critic of images of another side.

    Only the critic's heads have a side, each a kernel over the whole face. It is divided anew, so that every part of the
    face counts what it did (but for the last pixels, where halving leaves a remainder). The other layers are kept; but a
    face has more pixels for them now, or fewer, and what they made of its details has changed with that: these networks
    have to be trained on.
    """
    wanted = {f"critic.{name}": tensor.shape[-1] for name, tensor in critic.state_dict().items() if "heads" in name}
    result = dict(state)
    for name, side in wanted.items():
        if name in state and state[name].shape[-1] != side:
            shares = _overlaps(state[name].shape[-1], side).to(state[name].device)
            result[name] = (shares @ state[name].float() @ shares.T).to(state[name].dtype)
    return result


def with_wipe(generator: WarpGenerator, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a generator without `wipes` knows (`generator.*`, among others) as the state of this one, which wipes.

    It moves and adds what it did, and wipes as a new one: next to nothing.
    """
    own = {f"generator.{name}": tensor.detach() for name, tensor in generator.state_dict().items()}
    result = dict(state)
    for name, tensor in own.items():
        if name.startswith("generator.to_wipe."):
            result[name] = tensor.clone()
        elif ".to_coarse." in name and name in state:
            before = state[name]
            result[name] = torch.cat([before, before.new_zeros(tensor.shape[0] - before.shape[0], *before.shape[1:])])
    return result


def with_light(before: float, after: float, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a generator with one `max_light` knows as the state of one with another.

    It adds nearly what it did where that is far from either bound: a tanh is as steep at zero as it was.
    """
    ratio = before / after
    return {name: tensor * ratio if ".to_residual." in name else tensor for name, tensor in state.items()}


def with_mouth(critic: PatchCritic, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state for this critic, of one that may have another second critic of mouths, or none: that begins anew."""
    own = {
        f"critic.{name}": tensor.detach() for name, tensor in critic.state_dict().items() if name.startswith("mouth.")
    }
    rest = {name: tensor for name, tensor in state.items() if not name.startswith("critic.mouth.")}
    fits = all(name in state and state[name].shape == tensor.shape for name, tensor in own.items())
    return rest | {name: state[name] if fits else tensor.clone() for name, tensor in own.items()}


def _overlaps(before: int, after: int) -> Float[Tensor, "after before"]:
    """Return what share of each of `before` equal parts of a line lies in each of `after` equal parts of it."""
    old, new = torch.arange(before + 1.0), torch.arange(after + 1.0) * (before / after)
    ends, starts = torch.minimum(new[1:, None], old[None, 1:]), torch.maximum(new[:-1, None], old[None, :-1])
    return (ends - starts).clamp_min(0.0)
