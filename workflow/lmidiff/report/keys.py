"""The config's keys as tables: what may stand there by the schema, the default, what it does."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from lmidiff.common.schema import SCHEMAS

DEFAULT = Path("config") / "config.yaml"
LONGEST = 60
#: A block's place in the schema, and in the default config, where the two differ.
PLACES = {
    "cohort": ("$defs.cohort", "data.cohorts.simulated"),
    "simulation": ("$defs.simulation", "data.cohorts.simulated.simulation"),
    "model": ("$defs.model", "none"),
    "diffusion_model": ("$defs.diffusion_model", "none"),
    "supervised_model": ("$defs.supervised_model", "none"),
    "synthetic": ("$defs.synthetic_model.properties.synthetic", "none"),
    "regression": ("$defs.regression", "none"),
    "sampling": ("$defs.sampling", "sampling"),
    **{
        name: (f"$defs.{name}", f"model_defaults.{name}")
        for name in (
            "diffusion",
            "objective",
            "guidance",
            "contrast",
            "unet",
            "cyclegan",
            "stylegan",
            "training",
        )
    },
}


def keys(root: Path, block: str, prefix: str | None = None) -> str:
    """A block's keys as a GitHub table; mappings of keys of their own are left out.

    Args:
        root: of the project.
        block: a key of ``PLACES``, or a place such as ``data.grid``; "" is the top.
        prefix: before the names; by default the block.
    """
    there, default = PLACES.get(block, ("properties." + block.replace(".", ".properties."), block))
    node = _at(_schema(), there if block else "")
    given = _at(yaml.safe_load((root / DEFAULT).read_text()), default, {})
    before = block if prefix is None else prefix
    rows = []
    for key, rule in node["properties"].items():
        if "properties" in _whole(rule) or "description" not in rule:
            continue
        name = f"`{before}.{key}`" if before else f"`{key}`"
        shown = _text(given[key]) if key in given else ""
        rows.append((name, _values(rule), shown, " ".join(rule["description"].split())))
    return tabulate(rows, headers=("key", "values", "default", "effect"), tablefmt="github")


@cache
def _schema() -> dict[str, Any]:
    return yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())


def _at(tree: Any, place: str, missing: Any = None) -> Any:
    for part in filter(None, place.split(".")):
        tree = tree[part] if missing is None else tree.get(part, missing)
    return tree


def _whole(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule with what it refers to."""
    if "$ref" not in rule:
        return rule
    return {**_at(_schema(), rule["$ref"].removeprefix("#/").replace("/", ".")), **rule}


def _values(rule: Mapping[str, Any]) -> str:
    """What may stand there, in words."""
    if rule.get("$ref", "").endswith("/modality"):
        return "modality"
    rule = _whole(rule)
    if "enum" in rule:
        return ", ".join(f"`{value}`" for value in rule["enum"])
    if "const" in rule:
        return f"`{rule['const']}`"
    if "anyOf" in rule:
        return " or ".join(_values(part) for part in rule["anyOf"])
    if rule.get("type") == "array":
        return f"list of {_values(rule['items'])}" if "items" in rule else "list"
    if rule.get("type") == "object":
        return "mapping"
    return f"{rule.get('type', 'any')}{_range(rule)}"


def _range(rule: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above"}
    words |= {"maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {_number(rule[key])}" for key, word in words.items() if key in rule)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _text(value: Any) -> str:
    """A default on one line; none where it is too long to be read there."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0]
    return f"`{text}`" if len(text) <= LONGEST else ""
