# What a study shows, and in which order: figures, verdicts, pages of the report.
# The report sorts categories and items by name; the numbers keep them in reading order.
ORDER = ["Verdicts", "Table", "Figures"]
ORDER += ["Ablations"] if "ablation" in config["figures"] else []
ORDER += ["Data quality", "Cost", "Provenance"]
CATEGORIES = {name: f"{number} {name}" for number, name in enumerate(ORDER, start=1)}
# Figure: its category, and its title.
FIGURES = {
    "figure1": ("Figures", "Figure 1: sampling with and without guidance"),
    "figure2": ("Figures", "Figure 2: translations, close-ups, K-Means labels"),
    "supplement": ("Figures", "Supplement to figure 2: every row"),
    "scores": ("Figures", "Figure 3: scores by method and subject"),
    "failures": ("Figures", "Figure 4: the worst slice of each method"),
    "uncertainty": ("Figures", "Figure 5: uncertainty against error"),
    "through_plane": ("Figures", "Figure 6: through the plane"),
    "flow": ("Figures", "Figure 7: data flow"),
    "lesions": ("Figures", "White-matter lesions"),
    "volumes": ("Figures", "Tissue volumes"),
    "structures": ("Figures", "Structures of the brain"),
    "pareto": ("Figures", "Figure 8: quality against sampling steps"),
    "ablation": ("Ablations", "Ablation: what each part is worth"),
    "data_quality": ("Data quality", "Every volume at a glance"),
    "curves": ("Cost", "Learning curves"),
    "previews": ("Figures", "Pictures taken while training"),
    "samples": ("Figures", "What the unconditional models draw"),
    "training_cost": ("Cost", "Quality against training cost"),
}
FIGURE1 = shown.figure1_models(study)
# Every row of many panels fits a page without the labels.
PANELS = len(study.sources) * config["figures"]["figure2"]["subjects"]
SUPPLEMENT_LINES = ["image", "labels"] if PANELS < 3 else ["image"]


def drawn(name):
    """A figure's files: the PNG is an item of the report, with the caption of its name."""
    category, title = FIGURES[name]
    files = {
        "png": report(
            paths.figure(name),
            category=CATEGORIES.get(category, category),
            caption=f"../report/{name}.rst",
            labels={"item": title},
        ),
        "pdf": paths.figure(name, "pdf"),
        "csv": paths.figure(name, "csv"),
    }
    if name == "previews":
        del files["csv"]  # they are their own numbers
    return files


def has_previews():
    """Whether there are pictures from training: of networks trained here, or in the record."""
    if "recorded" in config:
        taken = [f"models/{m}/previews.npz{ENDING}" for m in study.rows.trained_models]
        return bool(taken) and set(taken) <= set(restorable(config["recorded"]))
    return bool(study.rows.trained_models) and "checkpoints" not in config


def figure_names():
    """The figures of the study, as far as it has what they show."""
    names = ["figure2", "flow", "scores", "failures", "through_plane", "training_cost"]
    names += ["figure1"] if FIGURE1 and has_extract("trajectories.safetensors") else []
    every = shown.drawn_methods(study)
    names += ["supplement"] if len(every) > shown.SHOWN else []
    names += ["curves"] if study.rows.trained_models else []
    names += ["uncertainty"] if shown.has_spread(study) else []
    names += ["data_quality"]
    names += ["previews"] if has_previews() else []
    if study.rows.unconditional_models and "recorded" not in config:
        names += ["samples"]
    names += ["lesions"] if makes("lesions.csv", marked) else []
    names += ["volumes"] if makes("volumes.csv", lambda: True) else []
    names += ["structures"] if makes("structures.csv", lambda: whole.structures) else []
    names += ["ablation"] if "ablation" in config["figures"] else []
    return names + (["pareto"] if config["figures"].get("pareto") else [])


def has_extract(file):
    """Whether there is what a figure is cut from: a record can do without some of them."""
    kept = Path(config.get("recorded", "")) / "extracts"
    return "recorded" not in config or any(kept.glob(f"{file}*"))


def makes(file, now):
    """Whether the study makes a table, by ``now()``; of a recorded run, whether it was made then."""
    if "recorded" in config:
        return file in restorable(config["recorded"]).values()
    return bool(now())


def marked():
    """The test people's marked lesions, by source."""
    return [files for s in study.sources if (files := study.lesion_files("source", s))]


def figure_files():
    """Every figure with the numbers it was drawn from; previews are their own."""
    kinds = ["png", "pdf", "csv"]
    files = expand(paths.figure("{name}", "{kind}"), name=figure_names(), kind=kinds)
    return [file for file in files if not file.endswith("previews.csv")]


def sampling_methods():
    """Methods of the study that sample by settings of their own: not those that are tuned."""
    return [
        name
        for name in study.rows.methods
        if study.rows.declared(name).family == "diffusion"
        and not study.rows.methods[name].get("tune")
    ]


def translation_costs():
    """Method and source to Snakemake's benchmark files of its translation."""
    pattern = f"{OUT}/cost/translate/{{}}_from-{{}}_shard-{{}}.tsv"
    return [
        ((name, source), [pattern.format(name, source, n) for n in study.shards(name)])
        for name in sampling_methods()
        for source in study.sources
    ]


def verdict(name, title):
    """A table of verdicts as an item of the report."""
    return report(
        getattr(paths, name),
        category=CATEGORIES["Verdicts"],
        caption=f"../report/{name}.rst",
        labels={"item": f"{title}, CSV"},
    )


def verdict_files():
    """The verdicts, the comparisons behind them, and the summary of the study."""
    names = ["verdicts", "verdict_parts", "comparisons", "gap"]
    return [*expand(f"{OUT}/{{name}}.csv", name=names), paths.report]


# Page: its CSV, its category, and its title.
PAGES = {
    "table1": (paths.table, "Table", "Table 1, sortable"),
    "subjects": (paths.metrics, "Table", "Table 1, by subject"),
    "flicker": (
        paths.extract("flicker.csv"),
        "Figures",
        "Numbers of figure 6: flicker",
    ),
    "data_quality": (
        paths.extract("data_quality.csv"),
        "Data quality",
        "Every volume in numbers",
    ),
    "cost": (paths.cost, "Cost", "Wall time and memory"),
}
if shown.has_spread(study):
    PAGES["uncertainty"] = (
        paths.extract("uncertainty.csv"),
        "Figures",
        "Numbers of figure 5: uncertainty",
    )
PAGES["verdicts"] = (paths.verdicts, "Verdicts", "Verdicts, sortable")
PAGES["comparisons"] = (
    paths.comparisons,
    "Verdicts",
    "Comparisons, sortable",
)
PAGES["gap"] = (paths.gap, "Verdicts", "Gap to the supervised row, sortable")


def report_pages():
    """The pages of the report that are not figures."""
    pages = ["front", *PAGES, "provenance"]
    pages += ["viewer"] if has_extract("viewer.safetensors") else []
    return expand(paths.page("{page}"), page=pages)
