"""What the figures of a study need, asked of the study: its files, models and who saw what."""

from typing import Any

from lmidiff.common.regions import BRAIN
from lmidiff.study.paths import LABELS, MASK
from lmidiff.study.study import Study

DEFAULTS = {"slice": 0.55, "steps": 24, "draws": 6, "shown": 6}
SHOWN = 8
"""Rows of Figure 2; the supplement has all."""

VIEWED = 6
"""Translations in the viewer."""

COMPARED = (
    "self_consistent",
    "lmidiffusion",
    "inverted_histogram",
    "cr_regression_consistent",
    "histogram",
    "sdedit",
    "lmidiffusion_cr",
    "cyclegan_unseen",
    "cyclegan",
    "supervised",
)
"""Methods that a reader wants to see first, where there is no room for all."""


def draws(study: Study, method: str) -> int:
    """Samples a slice of a method; 1 where it does not sample."""
    return int(study.rows.settings(method).get("draws", 1))


def has_spread(study: Study) -> bool:
    """Whether some method of the study writes a standard deviation over its draws."""
    return any(draws(study, method) > 1 for method in study.rows.methods)


def figure1_models(study: Study) -> dict[str, str]:
    """The models of Figure 1 by ``guided`` and ``unguided``; empty if the study lacks one.

    The config names them under ``figures.figure1``. By itself, Figure 1 takes the first used model
    of family diffusion that is guided by both maps (else by one) and the first that is not guided.
    """
    named = study.config["figures"].get("figure1", {})
    conditions = {
        name: study.models.settings(name)["guidance"].get("condition", "both")
        for name in study.rows.used_models
        if study.models.blocks[name]["family"] == "diffusion"
    }

    def first(*wanted: str) -> str | None:
        """The first model of the first of these conditions that some model has."""
        return next((n for want in wanted for n, own in conditions.items() if own == want), None)

    guided = named.get("guided", first("both", "cross", "self"))
    unguided = named.get("unguided", first("none"))
    if guided in conditions and unguided in conditions:
        return {"guided": guided, "unguided": unguided}
    return {}


def figure1_settings(study: Study) -> dict[str, Any]:
    """Settings of :func:`lmidiff.methods.trajectories.trace`."""
    block = study.config["figures"].get("figure1", {})
    own = {key: block.get(key, default) for key, default in DEFAULTS.items()}
    names = {kind: _name_of(study, model) for kind, model in figure1_models(study).items()}
    sampling = {**study.config["sampling"], "steps": own.pop("steps"), "draws": own.pop("draws")}
    return {"sampling": sampling, "names": names, **own}


def figure1_source(study: Study) -> str:
    """The source modality of Figure 1."""
    return study.config["figures"].get("figure1", {}).get("source", study.sources[0])


def _name_of(study: Study, model: str) -> str:
    """A model's name in print: of the method that translates with it, if there is one such."""
    users = [name for name in study.rows.methods if model in study.rows.models_of(name)]
    condition = study.models.settings(model)["guidance"].get("condition")
    if condition == "none":
        return f"unconditional model of {study.target}"
    return study.rows.labels[users[0]] if users else model


def files_by_row(study: Study) -> dict[str, dict[str, dict[str, str]]]:
    """``"<method> <source>"`` -> test subject -> image, target, mask, source and spread."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for method in study.rows.methods:
        for source in study.sources:
            found[f"{method} {source}"] = {
                subject: {
                    **{key: files[key] for key in ("image", "target", "mask", "spread")},
                    "source": study.paths.volume(subject, source),
                }
                for subject, files in study.files_of_row(method, source).items()
            }
    return found


def reformat_files(study: Study) -> dict[str, dict[str, dict[str, str]]]:
    """Source -> column of the first test subject -> image and mask."""
    subject = study.people.subjects("test")[0]
    mask = study.paths.volume(subject, MASK)
    found = {}
    for source in study.sources:
        images = {
            "source": study.paths.volume(subject, source),
            "target": study.paths.volume(subject, study.target),
        }
        for method in drawn_methods(study):
            images[method] = study.files_of_row(method, source)[subject]["image"]
        found[source] = {key: {"image": image, "mask": mask} for key, image in images.items()}
    return found


def drawn_methods(study: Study) -> dict[str, str]:
    """Methods with a picture of their own: neither the ceiling nor the source, which figures show
    under their own names."""
    return {
        name: label
        for name, label in study.rows.labels.items()
        if name != "source" and not study.rows.ceiling(name)
    }


def shown_methods(study: Study, most: int = SHOWN) -> dict[str, str]:
    """Rows with a picture in Figure 2, at most so many, in the order of the table.

    Those that the config names under ``figures.figure2.methods``, else the most telling ones.
    """
    drawn = drawn_methods(study)
    wanted = study.config["figures"]["figure2"].get("methods") or [
        *(name for kind in COMPARED for name in drawn if study.rows.kind(name) == kind),
        *drawn,
    ]
    chosen = list(dict.fromkeys(name for name in wanted if name in drawn))[:most]
    return {name: label for name, label in drawn.items() if name in chosen}


def viewer_files(study: Study) -> list[dict[str, Any]]:
    """Volumes of the first test subject from the first source, as the viewer takes them.

    Source, truth, translations, the spread over the draws of one of them, and K-Means labels of
    the truth and of that one: arguments of :func:`lmidiff.report.viewer.volume_of`.
    """
    subject, source = study.people.subjects("test")[0], study.sources[0]
    rows = shown_methods(study, VIEWED)
    files = {name: study.files_of_row(name, source)[subject] for name in rows}
    shown = [
        {"path": study.paths.volume(subject, source), "title": f"{source}, the source", "top": 1.0},
        {
            "path": study.paths.volume(subject, study.target),
            "title": f"true {study.target}",
            "top": 1.0,
        },
    ]
    shown += [{"path": files[n]["image"], "title": title, "top": 1.0} for n, title in rows.items()]
    # The page has one key for all labels, and clusters of whole slices are no tissues.
    if study.people.subject(subject).labels and study.people.segmented == BRAIN:
        truth = {"path": study.paths.volume(subject, LABELS), "title": "tissues, from labels"}
        shown.append({**truth, "kind": "labels"})
    sampling = [name for name in rows if draws(study, name) > 1]
    best = next(
        (name for kind in COMPARED for name in sampling if study.rows.kind(name) == kind), None
    )
    if best:
        title = f"spread over draws: {rows[best]}"
        shown.append({"path": files[best]["spread"], "title": title, "kind": "spread", "top": 0.3})
    labelled = best or next(iter(rows), None)
    if labelled:
        title = f"K-Means: {rows[labelled]}"
        shown.append({"path": files[labelled]["labels"], "title": title, "kind": "labels"})
    return shown


def flow(study: Study) -> list[tuple[str, str, str, str, str]]:
    """The study's data flow as edges: ``from_kind, from, to_kind, to, what``.

    Asked of the same functions that hand the rules their files, so an edge that is drawn is a file
    that a rule reads. With folds, they are those of the first, and of each as many people.
    """
    edges = []
    turns = f", {len(study.people.folds)} folds" if len(study.people.folds) > 1 else ""
    people = {
        split: f"{len(study.people.subjects(split, fold=study.people.folds[0]))} people{turns}"
        for split in ("train", "test")
    }
    target, sources = study.target, ", ".join(study.sources)
    for model in study.rows.used_models:
        modalities = sorted(
            {
                modality
                for files in study.models.files(model).values()
                for file in files
                for modality in study.modalities
                if file.endswith(f"_{modality}.nii.gz")
            },
            key=study.modalities.index,
        )
        for modality in modalities:
            edges.append(("data", f"train|{modality}", "model", model, people["train"]))
    for method in study.rows.methods:
        for model in study.rows.models_of(method):
            edges.append(("model", model, "method", method, "weights"))
        if study.rows.tuning_file(method):
            edges.append(("data", f"val|{target}", "method", method, "settings"))
        given = f"{target} + {sources}" if study.rows.ceiling(method) else sources
        edges.append(("data", f"test|{given}", "method", method, people["test"]))
        edges.append(("method", method, "step", "segment", "translations"))
    edges.append(("data", f"train|{target}", "step", "segment", "K-Means centres"))
    edges.append(("step", "segment", "step", "score", "labels"))
    edges.append(("data", f"test|{target}", "step", "score", "truth"))
    return edges


def quality_files(study: Study) -> dict[str, dict[str, str]]:
    """Subject -> modality, and the key ``mask``, to the preprocessed volume."""
    return {
        member.id: {
            **{
                name: study.paths.volume(member.id, name)
                for name in study.people.modalities_of(member.id)
            },
            "mask": study.paths.volume(member.id, MASK),
        }
        for member in study.people.members
    }
