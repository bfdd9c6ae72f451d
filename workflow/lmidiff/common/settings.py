"""From a block of the config to a settings dataclass; unknown keys are errors that name the key."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check_finite

Settings = TypeVar("Settings")


def settings_of(kind: type[Settings], block: Mapping[str, Any], where: str) -> Settings:
    """Build the dataclass ``kind`` from ``block``.

    Lists become tuples, so that settings stay hashable, and text a number where the default is one,
    for a command line knows text alone. A key whose default is settings itself takes a block, which
    is laid on that default.

    Args:
        kind: a dataclass.
        block: keys and values from the config.
        where: the block's place in the config, for the message.

    Raises:
        StudyError: an unknown key, a number that is not finite, or a value the dataclass refuses.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(block) - known)
    if unknown:
        raise StudyError(
            f"config: {where}.{unknown[0]} is not a known key; known are {', '.join(sorted(known))}"
        )
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    values = {key: _as(defaults[key], value, f"{where}.{key}") for key, value in block.items()}
    check_finite({where: values}, "config")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise StudyError(f"config: {where}: {error}") from error


def _as(default: Any, value: Any, where: str) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if dataclasses.is_dataclass(default) and isinstance(value, Mapping):
        return settings_of(type(default), {**dataclasses.asdict(default), **value}, where)
    if (
        isinstance(value, str)
        and isinstance(default, (int, float))
        and not isinstance(default, bool)
    ):
        try:
            return int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError as error:
            raise StudyError(f"config: {where}: {value!r} is not a number") from error
    return value
