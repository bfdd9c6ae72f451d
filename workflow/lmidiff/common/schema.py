"""Checks of what people write: the config and the tables beside it, against JSON Schemas."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from lmidiff.common.errors import StudyError

SCHEMAS = Path(__file__).parents[1] / "schemas"


def read_yaml(path: str | Path) -> Any:
    """What a YAML file says, by the parser in C where there is one: it is far faster.

    Raises:
        OSError, yaml.YAMLError: it cannot be read.
    """
    return yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def check_config(config: Mapping[str, Any]) -> None:
    """Raise StudyError, one line with the key's full name, unless the config fits its schema."""
    check(config, "config", "config")


def check(value: Any, schema: str, where: str) -> None:
    """Raise StudyError unless ``value`` fits ``schemas/<schema>.schema.yaml``.

    A schema may carry the annotation ``says``: the message for what it refuses, with ``{key}``
    and ``{value}``.
    """
    check_finite(value, where)
    errors = sorted(
        _validator(schema).iter_errors(value),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
    if errors:
        raise StudyError(f"{where}: {_in_words(errors[0])}")


def check_finite(value: Any, where: str) -> None:
    """Raise StudyError, with the key's full name, if a number anywhere in ``value`` is not finite.

    JSON Schema's ranges hold for NaN, which is neither below nor above anything.
    """
    for keys, number in _numbers(value, ()):
        if not math.isfinite(number):
            key = ".".join(map(str, keys))
            raise StudyError(f"{where}: {key}: {number} is no number to work with; give another")


def _numbers(value: Any, keys: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], float]]:
    if isinstance(value, float):
        yield keys, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, (*keys, key))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, inner in enumerate(value):
            yield from _numbers(inner, (*keys, place))


def check_block(value: Any, name: str, where: str) -> None:
    """Raise StudyError unless a block of a model's settings fits its part of the config's schema.

    Args:
        value: the block, such as the ``unet`` of a model's config.json.
        name: of the block, a key of the schema's ``$defs``; another is not looked at.
        where: what the message begins with.
    """
    check_finite({name: value}, where)
    rules = _validator("config").schema
    if name not in rules["$defs"]:
        return
    block = _Validator({"properties": {name: rules["$defs"][name]}, "$defs": rules["$defs"]})
    errors = sorted(block.iter_errors({name: value}), key=lambda error: str(error.absolute_path))
    if errors:
        raise StudyError(f"{where}: {_in_words(errors[0])}")


def columns(schema: str) -> tuple[list[str], list[str]]:
    """The required and the optional columns of a table, in the order of its schema."""
    rules = _validator(schema).schema
    optional = [name for name in rules["properties"] if name not in rules["required"]]
    return rules["required"], optional


@cache
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return _Validator(read_yaml(SCHEMAS / f"{schema}.schema.yaml"))


def _is_whole(_: Any, value: Any) -> bool:
    """JSON Schema takes 20.0 for an integer; range() does not."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)


def _in_words(error: jsonschema.ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    if isinstance(error.schema, Mapping) and "says" in error.schema:
        return error.schema["says"].format(key=place, value=error.instance)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        name = f"{place}.{unknown[0]}" if place else unknown[0]
        return f"{name} is not a known key; known here are {', '.join(known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{place}.{missing} is missing" if place else f"{missing} is missing"
    return f"{place}: {error.message}" if place else error.message
