"""What a reader must be told of a study's images, beside every table of its scores."""

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
