"""The weights that come with the package: what they are, and where."""

import json
from pathlib import Path
from typing import Any

from lmidiff.common.errors import StudyError
from lmidiff.common.files import write_json
from lmidiff.models.histogram import part
from lmidiff.models.weights import publish, read_weights

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


def ship(trained: Path, name: str, card: dict[str, Any]) -> Path:
    """Put a trained model among the weights that come with the package.

    The network's weights go in half precision; what is measured of the target stays as it is.

    Args:
        trained: a study's folder of the model, ``results/<study>/models/<model>``.
        name: of the model in the package.
        card: see :func:`shipped`.

    Raises:
        StudyError: there are no such weights.
    """
    weights = read_weights(trained / WEIGHTS)
    own, _ = part(weights)
    half = {key: value.half() if key in own else value for key, value in weights.items()}
    config = json.loads((trained / "config.json").read_text())
    publish(FOLDER / name / WEIGHTS, half, config)
    write_json(FOLDER / name / CARD, card)
    return FOLDER / name / WEIGHTS
