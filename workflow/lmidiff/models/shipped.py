"""The weights that come with the package: what they are, and where."""

import json
from pathlib import Path
from typing import Any

from lmidiff.common.errors import StudyError

FOLDER = Path(__file__).parents[1] / "shipped"
CARD = "card.json"
WEIGHTS = "weights.safetensors"


def shipped() -> dict[str, dict[str, Any]]:
    """Name of a model to its card: what it makes, saw in training, was tried on, its licence."""
    cards = sorted(FOLDER.glob(f"*/{CARD}"))
    return {path.parent.name: json.loads(path.read_text()) for path in cards}


def weights_of(name: str) -> Path:
    """The weights of a model; raises StudyError for a name that does not come with the package."""
    path = FOLDER / name / WEIGHTS
    if not path.is_file():
        known = ", ".join(shipped()) or "none"
        raise StudyError(f"--model {name}: does not come with lmidiff; what does: {known}")
    return path
