"""From a block of the config to a settings dataclass; unknown keys are errors that name the key."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from lmidiff.common.errors import StudyError

Settings = TypeVar("Settings")


def settings_of(kind: type[Settings], block: Mapping[str, Any], where: str) -> Settings:
    """Build the dataclass ``kind`` from ``block``.

    Lists become tuples, so that settings stay hashable.

    Args:
        kind: a dataclass.
        block: keys and values from the config.
        where: the block's place in the config, for the message.

    Raises:
        StudyError: an unknown key, or a value the dataclass refuses.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(block) - known)
    if unknown:
        raise StudyError(
            f"config: {where}.{unknown[0]} is not a known key; known are {', '.join(sorted(known))}"
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in block.items()}
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise StudyError(f"config: {where}: {error}") from error
