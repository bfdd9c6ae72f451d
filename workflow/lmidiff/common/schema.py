"""Checks of what people write: the config and the tables beside it, against JSON Schemas."""

from collections.abc import Mapping
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
    errors = sorted(
        _validator(schema).iter_errors(value),
        key=lambda error: [str(part) for part in error.absolute_path],
    )
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
