"""What a reader must be told of a study's images and trainings, beside its scores."""

from collections.abc import Mapping
from typing import Any

from lmidiff.models import family_of

GANS = ("cyclegan", "stylegan")


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
    """How networks were trained and how draws were made, in two sentences: records differ in both.

    "" where a config says nothing of training.

    Args:
        config: the study's, as its record keeps it; one without ``optimizer`` is of before it.
    """
    training = config.get("model_defaults", {}).get("training")
    if training is None:
        return ""
    of: dict[str, list[str]] = {}
    for model, block in _trained(config).items():
        of.setdefault(_recipe(block, training), []).append(f"`{model}`")
    most, *rest = sorted(of, key=lambda recipe: -len(of[recipe])) or [_recipe({}, training)]
    others = "; ".join(f"{', '.join(of[recipe])} for {recipe}" for recipe in rest)
    sampling = config["sampling"]
    draws = "one draw" if sampling["draws"] == 1 else f"the mean of {sampling['draws']} draws"
    return (
        f"Networks have {config['data']['grid']['image_size']} px a side and were trained for "
        f"{most}{f' ({others})' if others else ''}. A draw has {sampling['steps']} steps, and a "
        f"translation of a diffusion is {draws}."
    )


def _trained(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The blocks of the models that the rows of the study have, but for those of a histogram."""
    methods = {name: block for name, block in config["methods"].items() if block is not None}
    rows = [name for name in config.get("rows", methods) if name in methods]
    named = [methods[row].get("model", row) for row in rows]
    sources = config["data"]["sources"]
    by_source = [m if isinstance(m, Mapping) else dict.fromkeys(sources, m) for m in named]
    used = {models.get(source) for models in by_source for source in sources}
    blocks = {name: block for name, block in config.get("models", {}).items() if block}
    return {
        name: block
        for name, block in blocks.items()
        if name in used and "training" in family_of(block["family"]).defaults
    }


def _recipe(block: Mapping[str, Any], plain: Mapping[str, Any]) -> str:
    """Such as "750 steps by Muon"; a GAN has two losses, and Adam."""
    training = {**plain, **block.get("training", {})}
    optimizer = "adam" if block.get("family") in GANS else training.get("optimizer", "adam")
    return f"{training['steps']} steps by {optimizer.capitalize()}"
