# The paper's Figure 2, the scores at a glance, and the learning curves.
localrules:
    plot_figure2,
    plot_scores,
    plot_previews,
    plot_curves,


rule plot_figure2:
    input:
        pictures=f"{OUT}/extracts/figure2.safetensors",
        code=code("plot_figure2.py"),
    output:
        png=figure("figure2", "Figures"),
        pdf=f"{OUT}/figures/figure2.pdf",
        csv=f"{OUT}/figures/figure2.csv",
    log:
        f"{OUT}/logs/plot_figure2.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=config["figures"]["figure2"],
        labels=study.labels,
        target=study.target,
    script:
        "../scripts/plot_figure2.py"


rule plot_scores:
    input:
        metrics=f"{OUT}/metrics.csv",
        table=f"{OUT}/table1.csv",
        code=code("plot_scores.py"),
    output:
        png=figure("scores", "Figures"),
        pdf=f"{OUT}/figures/scores.pdf",
        csv=f"{OUT}/figures/scores.csv",
    log:
        f"{OUT}/logs/plot_scores.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.table_rows(),
    script:
        "../scripts/plot_scores.py"


rule plot_previews:
    input:
        previews=[study.model_file(m, "previews.npz") for m in study.trained_models],
        code=code("plot_previews.py"),
    output:
        png=figure("previews", "Figures"),
        pdf=f"{OUT}/figures/previews.pdf",
    log:
        f"{OUT}/logs/plot_previews.log",
    conda:
        "../../envs/environment.yaml"
    params:
        models=study.trained_models,
    script:
        "../scripts/plot_previews.py"


rule plot_curves:
    input:
        curves=[study.model_file(model, "curve.csv") for model in study.trained_models],
        code=code("plot_curves.py"),
    output:
        png=figure("curves", "Cost"),
        pdf=f"{OUT}/figures/curves.pdf",
        csv=f"{OUT}/figures/curves.csv",
    log:
        f"{OUT}/logs/plot_curves.log",
    conda:
        "../../envs/environment.yaml"
    params:
        models=study.trained_models,
    script:
        "../scripts/plot_curves.py"
