"""Settings: frozen dataclasses whose fields are checked by name, and built from JSON or from what somebody types."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mien.errors import ConfigError


def require(condition: bool, argument: str, value: object, allowed: str) -> None:
    """Raise `ConfigError` naming the argument, its value and what is allowed, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{argument} is {value!r}", hint=f"{argument} must be {allowed}")


def check_choices(config: Any) -> None:
    """Check every field of a configuration that is declared as a `Literal` against its choices."""
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        if get_origin(hints[field.name]) is Literal:
            choices = get_args(hints[field.name])
            value = getattr(config, field.name)
            require(value in choices, field.name, value, "one of " + ", ".join(map(str, choices)))


def config_from_mapping(kind: type, values: Any) -> Any:
    """Build a configuration from JSON values or command-line strings, converting each to its field's type.

    Raises `ConfigError` where `values` is no mapping, for a name that is no field (naming the nearest) and for a value
    that does not convert.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{values!r} is no table of settings", hint="give a name and a value for each")
    fields = {field.name for field in dataclasses.fields(kind)}
    hints = get_type_hints(kind)
    converted = {}
    for name, value in values.items():
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            guess = f"did you mean `{near[0]}`? " if near else ""
            raise ConfigError(f"unknown setting `{name}`", hint=f"{guess}known: {', '.join(sorted(fields))}")
        converted[name] = _convert(name, value, hints[name])
    return kind(**converted)


def setting_as_text(value: Any) -> str:
    """Return a setting's value as `--set` takes it, the same for a configuration's tuple and its list in JSON."""
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


#: What a person reads for a type.
_IN_WORDS: dict[Any, str] = {int: "whole number", float: "number", bool: "yes or no"}


def _convert(name: str, value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    try:
        if origin is tuple:
            if isinstance(value, str):
                value = value.split(",") if value.strip() else ()  # `hidden=` is the empty list
            parts: Sequence[Any] = value
            return tuple(_convert(name, part, get_args(hint)[0]) for part in parts)
        if origin is Literal:
            return value.strip() if isinstance(value, str) else value
        if hint is bool:
            words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            return value if isinstance(value, bool) else words[str(value).strip().lower()]
        if hint is int and float(value) != int(float(value)):
            raise ValueError
        return int(float(value)) if hint is int else float(value) if hint is float else str(value).strip()
    except (ValueError, KeyError, TypeError, OverflowError):
        wanted = _IN_WORDS.get(hint, "list, separated by commas")
        raise ConfigError(f"{name}={value!r} is not a {wanted}", hint=f"give {name} as a {wanted}") from None
