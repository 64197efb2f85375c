"""How a person names an official checkpoint: `official-stargan:200000-G.ckpt,expressions=angry+happy,size=128`.

A comma and a name begin an option. None of the signs means anything to a shell, so that nothing need be quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mien.errors import WeightsError
from mien.expressions import BASIC, NEUTRAL, VOCABULARY, parse_expression

Kind = Literal["official-ganmut", "official-stargan"]
KINDS: tuple[str, ...] = get_args(Kind)
OPTIONS = ("critic", "expressions", "size")

#: StarGAN's loader numbers the folders of a dataset in the order of the alphabet. Eight are RaFD's, as in the official
#: code; seven are RaFD's without contempt, which are FER2013's folders too; four are the Zagreb paper's.
_STARGAN_ORDERS: Mapping[int, tuple[str, ...]] = {
    8: ("anger", "contempt", "disgust", "fear", "happy", NEUTRAL, "sad", "surprise"),
    7: ("anger", "disgust", "fear", "happy", NEUTRAL, "sad", "surprise"),
    4: ("anger", "happy", "sad", "surprise"),
}
#: GANmut is trained on AffectNet's numbers.
_GANMUT_ORDERS: Mapping[int, tuple[str, ...]] = {len(BASIC): BASIC, len(VOCABULARY): VOCABULARY}


@dataclass(frozen=True)
class Specification:
    """What was asked for."""

    kind: Kind
    """Whose code wrote the checkpoint."""
    generator: Path
    """The generator's checkpoint (`-G.ckpt`), or what `convert` made of it (.safetensors)."""
    critic: Path | Literal["beside", "none"] = "beside"
    """The discriminator's checkpoint: the one that lies beside the generator's, if any, another one, or none."""
    expressions: tuple[str, ...] | None = None
    """Names in the order of the labels that it was trained on."""
    image_size: int | None = None
    """Side of the images that it was trained on, in pixels."""


def parse_specification(text: str) -> Specification:
    """Take a specification apart; `WeightsError` says which part of it is wrong."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS:
        raise WeightsError(f"`{kind}` is no official model", hint=f"known: {' and '.join(KINDS)}")
    path, *parts = re.split(r",(?=\w+=)", rest)
    if not path:
        raise WeightsError(f"`{text}` names no file", hint=f"for example `{kind}:200000-G.ckpt`")
    options: dict[str, str] = dict(part.split("=", 1) for part in parts)
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise WeightsError(f"`{unknown[0]}` is no option of {kind}", hint=f"known: {', '.join(OPTIONS)}")
    critic, names, size = (options.get(name) for name in OPTIONS)
    return Specification(
        kind,  # type: ignore[arg-type]
        Path(path).expanduser(),  # no shell does it behind a colon
        "beside" if critic is None else "none" if critic == "none" else Path(critic).expanduser(),
        None if names is None else _names(names),
        None if size is None else _size(size),
    )


def _names(text: str) -> tuple[str, ...]:
    names = tuple(parse_expression(name) for name in text.split("+"))
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WeightsError(f"`{twice}` stands twice among the expressions", hint="give each label its own name")
    return names


def _size(text: str) -> int:
    if not (text.isdecimal() and 16 <= (size := int(text)) <= 1024 and size % 4 == 0):
        raise WeightsError(f"size `{text}` is out of range", hint="give a multiple of 4 from 16 to 1024, such as 128")
    return size


def name_expressions(kind: Kind, count: int, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the names of a checkpoint's labels: those that were given, or the order that its code is known for.

    Raises `WeightsError` where their number is not the checkpoint's, or nothing says what its labels mean.
    """
    orders = _GANMUT_ORDERS if kind == "official-ganmut" else _STARGAN_ORDERS
    if given is None and count not in orders:
        celeba = " (CelebA's five are hair, sex and age)" if kind == "official-stargan" and count == 5 else ""
        raise WeightsError(
            f"the checkpoint has {count} labels, and nothing says which expressions they are{celeba}",
            hint="if they are expressions, name them in their order: `,expressions=angry+happy+sad`",
        )
    names = orders[count] if given is None else given
    if len(names) != count:
        raise WeightsError(
            f"{len(names)} expressions were given, the checkpoint has {count} labels", hint="name each label once"
        )
    if kind == "official-ganmut" and names[0] != NEUTRAL:
        raise WeightsError(f"the first expression is `{names[0]}`", hint="GANmut's label 0 is neutral: put it first")
    return names
