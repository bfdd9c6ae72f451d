# Figures beside the paper's: how the sampler walks, who is handed what, where methods fail, what
# their uncertainty is worth, what happens across slices, and what training costs.
localrules:
    plot_figure1,
    plot_flow,
    plot_failures,
    plot_through_plane,
    plot_uncertainty,
    plot_training_cost,
    plot_ablation,
    plot_data_quality,


rule plot_figure1:
    input:
        points=f"{OUT}/extracts/trajectories.csv",
        pictures=f"{OUT}/extracts/trajectories.safetensors",
        code=code("plot_figure1.py"),
    output:
        png=figure("figure1", "Figures"),
        pdf=f"{OUT}/figures/figure1.pdf",
        csv=f"{OUT}/figures/figure1.csv",
    log:
        f"{OUT}/logs/plot_figure1.log",
    conda:
        "../../envs/environment.yaml"
    params:
        source=study_figures.figure1_source(study),
        target=study.target,
    script:
        "../scripts/plot_figure1.py"


rule plot_flow:
    input:
        code=code("plot_flow.py"),
    output:
        png=figure("flow", "Figures"),
        pdf=f"{OUT}/figures/flow.pdf",
        csv=f"{OUT}/figures/flow.csv",
    log:
        f"{OUT}/logs/plot_flow.log",
    conda:
        "../../envs/environment.yaml"
    params:
        edges=study_figures.flow(study),
        labels=study.labels,
        target=study.target,
    script:
        "../scripts/plot_flow.py"


rule plot_failures:
    input:
        pictures=f"{OUT}/extracts/failures.safetensors",
        code=code("plot_failures.py"),
    output:
        png=figure("failures", "Figures"),
        pdf=f"{OUT}/figures/failures.pdf",
        csv=f"{OUT}/figures/failures.csv",
    log:
        f"{OUT}/logs/plot_failures.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.labels,
    script:
        "../scripts/plot_failures.py"


rule plot_through_plane:
    input:
        pictures=f"{OUT}/extracts/reformats.safetensors",
        flicker=f"{OUT}/extracts/flicker.csv",
        code=code("plot_through_plane.py"),
    output:
        png=figure("through_plane", "Figures"),
        pdf=f"{OUT}/figures/through_plane.pdf",
        csv=f"{OUT}/figures/through_plane.csv",
    log:
        f"{OUT}/logs/plot_through_plane.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study_figures.drawn_methods(study),
        seed=study.seed,
    script:
        "../scripts/plot_through_plane.py"


rule plot_uncertainty:
    input:
        summary=f"{OUT}/extracts/uncertainty.csv",
        curves=f"{OUT}/extracts/sparsification.csv",
        code=code("plot_uncertainty.py"),
    output:
        png=figure("uncertainty", "Figures"),
        pdf=f"{OUT}/figures/uncertainty.pdf",
        csv=f"{OUT}/figures/uncertainty.csv",
    log:
        f"{OUT}/logs/plot_uncertainty.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.labels,
        seed=study.seed,
    script:
        "../scripts/plot_uncertainty.py"


rule plot_training_cost:
    input:
        table=f"{OUT}/table1.csv",
        code=code("plot_training_cost.py"),
    output:
        png=figure("training_cost", "Cost"),
        pdf=f"{OUT}/figures/training_cost.pdf",
        csv=f"{OUT}/figures/training_cost.csv",
    log:
        f"{OUT}/logs/plot_training_cost.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.table_rows(),
        sources=study.sources,
    script:
        "../scripts/plot_training_cost.py"


rule plot_ablation:
    input:
        table=f"{OUT}/table1.csv",
        comparisons=f"{OUT}/comparisons.csv",
        code=code("plot_ablation.py"),
    output:
        png=figure("ablation", "Ablations"),
        pdf=f"{OUT}/figures/ablation.pdf",
        csv=f"{OUT}/figures/ablation.csv",
    log:
        f"{OUT}/logs/plot_ablation.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.labels,
        sources=study.sources,
        reference=config["figures"].get("ablation", {}).get("reference"),
    script:
        "../scripts/plot_ablation.py"


rule plot_data_quality:
    input:
        csv=f"{OUT}/extracts/data_quality.csv",
        pictures=f"{OUT}/extracts/data_quality.safetensors",
        code=code("plot_data_quality.py"),
    output:
        png=figure("data_quality", "Data quality"),
        pdf=f"{OUT}/figures/data_quality.pdf",
        csv=f"{OUT}/figures/data_quality.csv",
    log:
        f"{OUT}/logs/plot_data_quality.log",
    conda:
        "../../envs/environment.yaml"
    params:
        modalities=study.modalities,
    script:
        "../scripts/plot_data_quality.py"
