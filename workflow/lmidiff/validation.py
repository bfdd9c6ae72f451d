"""Checks of what people write: the config and the tables beside it, against JSON Schemas."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from lmidiff.errors import StudyError

SCHEMAS = Path(__file__).parents[1] / "schemas"


def check_config(config: Mapping[str, Any]) -> None:
    """Raise StudyError, one line with the key's full name, unless the config fits its schema."""
    check(config, "config", "config")


def check_rows(rows: Iterable[Mapping[str, Any]], schema: str, file: str | Path) -> None:
    """Raise StudyError naming file and line unless every row of a table fits its schema."""
    for number, row in enumerate(rows, 2):
        check(row, schema, f"{file}, line {number}")


def check(value: Any, schema: str, where: str) -> None:
    """Raise StudyError unless ``value`` fits ``schemas/<schema>.schema.yaml``."""
    rules = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text())
    validator = jsonschema.Draft202012Validator(rules)
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(p) for p in error.path])
    if errors:
        raise StudyError(f"{where}: {_in_words(errors[0])}")


def _in_words(error: jsonschema.ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        name = f"{place}.{unknown[0]}" if place else unknown[0]
        return f"{name} is not a known key; known here are {', '.join(known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        return f"{place}.{missing} is missing" if place else f"{missing} is missing"
    if error.validator in ("oneOf", "anyOf", "if", "then") and error.context:
        return _in_words(jsonschema.exceptions.best_match([error]))
    return f"{place}: {error.message}" if place else error.message
