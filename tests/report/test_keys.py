"""The tables of keys say what schema and default config say, and leave no key out."""

from pathlib import Path

import yaml

from lmidiff.common.schema import SCHEMAS
from lmidiff.report.keys import keys

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "config" / "README.md").read_text()


def cells(table: str) -> dict[str, list[str]]:
    rows = (line.strip("|").split(" | ") for line in table.splitlines()[2:])
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


def test_values_and_default_of_a_few():
    grid, training = cells(keys(ROOT, "data.grid")), cells(keys(ROOT, "training"))
    assert grid["`data.grid.image_size`"][:2] == ["integer from 16 to 512", "`64`"]
    assert grid["`data.grid.extent`"][:2] == ["list of number from 0 to 1", "`[0.4, 0.8]`"]
    assert training["`training.precision`"][:2] == ["`auto`, `float32`, `bfloat16`", "`auto`"]
    assert training["`training.ema`"][0] == "number from 0 below 1"
    assert cells(keys(ROOT, "data"))["`data.sources`"][0] == "list of modality"


def leaves(node: dict) -> list[str]:
    """Names of the keys that hold a value, of a schema's part."""
    found = []
    for key, rule in node.get("properties", {}).items():
        found += leaves(rule) if "properties" in rule else [key]
    return found


def test_every_key_of_the_schema_stands_on_the_page():
    schema = yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text())
    blocks = [schema, *(d for name, d in schema["$defs"].items() if name != "counts")]
    names = {name for block in blocks for name in leaves(block)}
    named_blocks = {*schema["$defs"], "model_defaults", "models", "sampling", "cohorts"}
    missing = [n for n in names - named_blocks if f"{n}`" not in PAGE]
    assert missing == []
