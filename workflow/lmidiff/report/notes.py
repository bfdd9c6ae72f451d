"""What a reader must be told of a study's images and trainings, beside its scores."""

from collections.abc import Mapping
from typing import Any


def note_of(config: Mapping[str, Any]) -> str:
    """That sources are simulated while the target is real, as a sentence; "" where none are.

    Args:
        config: the study's, as its record keeps it.
    """
    cohorts, target = config["data"]["cohorts"], config["data"]["target"]
    names = [f"`{name}`" for name, cohort in cohorts.items() if cohort.get("target") == "real"]
    if not names:
        return ""
    return (
        f"Simulated source, real target: the {', '.join(config['data']['sources'])} of cohort "
        f"{', '.join(names)} are simulated from labels that another method made of these people's "
        f"real {target}, with noise and textures of their own; the truth is that {target}. No "
        "source of that cohort was scanned."
    )


def recipe_of(config: Mapping[str, Any]) -> str:
    """How networks were trained and how draws were made, as a sentence: records differ in both.

    "" where a config says nothing of training.

    Args:
        config: the study's, as its record keeps it; one without ``optimizer`` is of before it.
    """
    training = config.get("model_defaults", {}).get("training")
    if training is None:
        return ""
    sampling = config["sampling"]
    return (
        f"Networks have {config['data']['grid']['image_size']} px a side and were trained for "
        f"{training['steps']} steps of {training.get('optimizer', 'adam').capitalize()}, where the "
        f"config says nothing else of one; {sampling['steps']} steps a draw, draws averaged: "
        f"{sampling['draws']}."
    )
