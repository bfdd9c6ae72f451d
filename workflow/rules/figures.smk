# The paper's Figure 2, the scores at a glance, and the learning curves.


rule plot_figure2:
    input:
        shards=[
            study.shard_folder(method, source, shard)
            for method in study.methods
            for source in study.sources
            for shard in study.shards
        ],
        segmentations=for_each_row(f"{OUT}/segmentations/{{method}}/from-{{source}}"),
        volumes=[file for s in study.subjects("test") for file in study.volume_files(s)],
        code=code("plot_figure2.py"),
    output:
        png=report(
            f"{OUT}/figures/figure2.png",
            category="Figures",
            caption="../report/figure2.rst",
        ),
        pdf=f"{OUT}/figures/figure2.pdf",
    log:
        f"{OUT}/logs/plot_figure2.log",
    conda:
        "../../envs/environment.yaml"
    params:
        panels=study.figure2_files(),
        settings=config["figures"]["figure2"],
        pixel_size=config["data"]["grid"]["pixel_size"],
        labels=study.labels,
        target=study.target,
    script:
        "../scripts/plot_figure2.py"


rule plot_scores:
    input:
        metrics=f"{OUT}/metrics.csv",
        code=code("plot_scores.py"),
    output:
        png=report(
            f"{OUT}/figures/scores.png",
            category="Figures",
            caption="../report/scores.rst",
        ),
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
        png=report(
            f"{OUT}/figures/previews.png",
            category="Figures",
            caption="../report/previews.rst",
        ),
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
        png=report(
            f"{OUT}/figures/curves.png",
            category="Figures",
            caption="../report/curves.rst",
        ),
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
