"""Which rows of a study can be made from the trained weights of a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.study.repeats import FIRST_FOLD, in_fold

WEIGHTS = "weights.safetensors"


def served(config: Mapping[str, Any], folder: str | Path) -> tuple[dict[str, Any], list[str]]:
    """A study's config without the rows whose trained weights a folder does not hold.

    Of a study of several seeds it is the first alone: no record holds the weights of more. A row of
    a study with folds, or one of cross-fitted models, needs the weights of every fold.

    Args:
        config: the study's.
        folder: with ``models/<model>/weights.safetensors``.

    Returns:
        The config, and the rows that are left out.

    Raises:
        StudyError: the folder holds the weights of no row.
    """
    models = {
        name: list(block["model"].values())
        if isinstance(block.get("model"), Mapping)
        else [block["model"]]
        for name, block in config["methods"].items()
        if block and block.get("model")
    }

    def trained(model: str) -> list[str]:
        block = (config.get("models") or {}).get(model) or {}
        folds = block.get("cross_fit", config.get("folds", 1))
        return [in_fold(model, fold) for fold in range(FIRST_FOLD, FIRST_FOLD + folds)]

    left = [
        name
        for name, used in models.items()
        if missing_weights([each for model in used for each in trained(model)], folder)
    ]
    if models and len(left) == len(models):
        raise StudyError(
            f"{folder}: holds no models/<model>/{WEIGHTS} of any row of this study; train them "
            "(make reproduce)"
        )
    methods = {name: None if name in left else b for name, b in config["methods"].items()}
    rows = (
        {"rows": [name for name in config["rows"] if name not in left]} if "rows" in config else {}
    )
    kept = {**config, "seeds": 1, "methods": methods, **rows}
    network = config.get("segmentation", {}).get("network") or {}
    if labelled := network.get("structures"):
        shown = [name for name in labelled["rows"] if name not in left]
        network = {key: value for key, value in network.items() if key != "structures"}
        network |= {"structures": {**labelled, "rows": shown}} if shown else {}
        kept["segmentation"] = {**config["segmentation"], "network": network}
    return kept, left


def missing_weights(models: list[str], folder: str | Path) -> list[str]:
    """Models of a study whose weights the folder does not hold."""
    return [name for name in models if not (Path(folder) / "models" / name / WEIGHTS).is_file()]
