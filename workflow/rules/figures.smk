# Every figure: what is cut out of the volumes for it, then what draws it from that. What is cut are
# small files that a recorded run keeps, so that a figure can be drawn again without a volume.
# What was measured of every row over people: its table, and what else its figure must know.
CEILINGS = {"ceilings": list(filter(study.rows.ceiling, study.rows.methods))}
MEASURED = {
    "lesions": (paths.lesions, CEILINGS),
    "volumes": (paths.volumes_table, CEILINGS),
    "structures": (paths.structures, {}),
}


localrules:
    plot_figure1,
    plot_figure2,
    plot_supplement,
    plot_scores,
    plot_failures,
    plot_uncertainty,
    plot_through_plane,
    plot_flow,
    plot_pareto,
    pareto,
    plot_ablation,
    plot_data_quality,
    plot_curves,
    plot_previews,
    plot_training_cost,


if FIGURE1:

    rule trace_samples:
        input:
            guided=paths.model(FIGURE1["guided"]),
            unguided=paths.model(FIGURE1["unguided"]),
            source=study.people.volumes("test", shown.figure1_source(study), FIRST_FOLD),
            target=study.people.volumes("test", study.target, FIRST_FOLD),
            code=code("trace_samples.py"),
        output:
            points=paths.extract("trajectories.csv"),
            pictures=paths.extract("trajectories.safetensors"),
        log:
            f"{OUT}/logs/trace_samples.log",
        conda:
            "../../envs/environment.yaml"
        threads: THREADS
        resources:
            **asks(
                lambda w: needs.sample(
                    FIGURE1.values(), config["data"]["grid"]["slices"]
                ),
                THREADS,
                lambda w: True,
            ),
        params:
            models={kind: study.models.settings(name) for kind, name in FIGURE1.items()},
            settings=shown.figure1_settings(study),
            seed=study.seed,
            device=config["device"],
            threads=THREADS,
        script:
            "../scripts/trace_samples.py"


rule plot_figure1:
    input:
        points=paths.extract("trajectories.csv"),
        pictures=paths.extract("trajectories.safetensors"),
        code=code("plot_figure1.py"),
    output:
        **drawn("figure1"),
    log:
        f"{OUT}/logs/plot_figure1.log",
    conda:
        "../../envs/environment.yaml"
    params:
        source=shown.figure1_source(study),
        target=study.target,
    script:
        "../scripts/plot_figure1.py"


rule cut_figure2:
    input:
        shards=all_shards(),
        segmentations=for_each_shown(paths.segmentations("{method}", "{source}")),
        volumes=volumes_of(study.people.subjects("test")),
        code=code("cut_figure2.py"),
    output:
        paths.extract("figure2.safetensors"),
    log:
        f"{OUT}/logs/cut_figure2.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        panels=study.figure2_files(),
        slice=config["figures"]["figure2"]["slice"],
        pixel_size=config["data"]["grid"]["pixel_size"],
    script:
        "../scripts/cut_figure2.py"


rule plot_figure2:
    input:
        pictures=paths.extract("figure2.safetensors"),
        code=code("plot_figure2.py"),
    output:
        **drawn("figure2"),
    log:
        f"{OUT}/logs/plot_figure2.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=config["figures"]["figure2"],
        labels=shown.shown_methods(study),
        target=study.target,
        field=study.people.segmented,
    script:
        "../scripts/plot_figure2.py"


use rule plot_figure2 as plot_supplement with:
    output:
        **drawn("supplement"),
    log:
        f"{OUT}/logs/plot_supplement.log",
    params:
        settings={**config["figures"]["figure2"], "lines": SUPPLEMENT_LINES},
        labels=shown.drawn_methods(study),
        target=study.target,
        field=study.people.segmented,


rule plot_scores:
    input:
        metrics=paths.metrics,
        table=paths.table,
        code=code("plot_scores.py"),
    output:
        **drawn("scores"),
    log:
        f"{OUT}/logs/plot_scores.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.rows.table(),
    script:
        "../scripts/plot_scores.py"


for kind, (measured, looks) in MEASURED.items():

    rule:
        name:
            f"plot_{kind}"
        input:
            measured=measured,
            code=code("plot_measured.py"),
        output:
            **drawn(kind),
        log:
            f"{OUT}/logs/plot_{kind}.log",
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            kind=kind,
            labels=study.rows.labels,
            sources=study.sources,
            looks=looks,
            seed=study.seed,
        script:
            "../scripts/plot_measured.py"


rule cut_failures:
    input:
        slices=paths.slices,
        shards=all_shards(),
        volumes=volumes_of(study.people.subjects("test")),
        code=code("cut_failures.py"),
    output:
        paths.extract("failures.safetensors"),
    log:
        f"{OUT}/logs/cut_failures.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        methods=list(shown.drawn_methods(study)),
        files=shown.files_by_row(study),
    script:
        "../scripts/cut_failures.py"


rule plot_failures:
    input:
        pictures=paths.extract("failures.safetensors"),
        code=code("plot_failures.py"),
    output:
        **drawn("failures"),
    log:
        f"{OUT}/logs/plot_failures.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.rows.labels,
    script:
        "../scripts/plot_failures.py"


rule measure_uncertainty:
    input:
        shards=all_shards(),
        volumes=volumes_of(study.people.subjects("test")),
        code=code("measure_uncertainty.py"),
    output:
        summary=paths.extract("uncertainty.csv"),
        curves=paths.extract("sparsification.csv"),
    log:
        f"{OUT}/logs/measure_uncertainty.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        files=shown.files_by_row(study),
    script:
        "../scripts/measure_uncertainty.py"


rule plot_uncertainty:
    input:
        summary=paths.extract("uncertainty.csv"),
        curves=paths.extract("sparsification.csv"),
        code=code("plot_uncertainty.py"),
    output:
        **drawn("uncertainty"),
    log:
        f"{OUT}/logs/plot_uncertainty.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.rows.labels,
        seed=study.seed,
    script:
        "../scripts/plot_uncertainty.py"


rule cut_reformats:
    input:
        shards=all_shards(),
        volumes=volumes_of(study.people.subjects("test")),
        code=code("cut_reformats.py"),
    output:
        pictures=paths.extract("reformats.safetensors"),
        flicker=paths.extract("flicker.csv"),
    log:
        f"{OUT}/logs/cut_reformats.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        reformats=shown.reformat_files(study),
        subject=study.people.subjects("test")[0],
        files=shown.files_by_row(study),
    script:
        "../scripts/cut_reformats.py"


rule plot_through_plane:
    input:
        pictures=paths.extract("reformats.safetensors"),
        flicker=paths.extract("flicker.csv"),
        code=code("plot_through_plane.py"),
    output:
        **drawn("through_plane"),
    log:
        f"{OUT}/logs/plot_through_plane.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=shown.drawn_methods(study),
        seed=study.seed,
    script:
        "../scripts/plot_through_plane.py"


rule plot_flow:
    input:
        code=code("plot_flow.py"),
    output:
        **drawn("flow"),
    log:
        f"{OUT}/logs/plot_flow.log",
    conda:
        "../../envs/environment.yaml"
    params:
        edges=shown.flow(study),
        labels=study.rows.labels,
        target=study.target,
    script:
        "../scripts/plot_flow.py"


rule plot_pareto:
    input:
        metrics=paths.metrics,
        costs=[file for _, files in translation_costs() for file in files],
        code=code("plot_pareto.py"),
    output:
        **drawn("pareto"),
    log:
        f"{OUT}/logs/plot_pareto.log",
    conda:
        "../../envs/environment.yaml"
    params:
        costs=translation_costs(),
        samplers={name: study.rows.settings(name) for name in sampling_methods()},
        labels=study.rows.labels,
        slices={name: study.rows.slices(name) for name in sampling_methods()},
        seed=study.seed,
    script:
        "../scripts/plot_pareto.py"


rule pareto:
    input:
        rules.plot_pareto.output,


rule plot_ablation:
    input:
        table=paths.table,
        comparisons=paths.comparisons,
        code=code("plot_ablation.py"),
    output:
        **drawn("ablation"),
    log:
        f"{OUT}/logs/plot_ablation.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.rows.labels,
        sources=study.sources,
        reference=config["figures"].get("ablation", {}).get("reference"),
    script:
        "../scripts/plot_ablation.py"


rule check_data:
    input:
        volumes=volumes_of(study.people.subjects()),
        code=code("check_data.py"),
    output:
        csv=paths.extract("data_quality.csv"),
        pictures=paths.extract("data_quality.safetensors"),
    log:
        f"{OUT}/logs/check_data.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.data(len(study.people.subjects()))),
    params:
        volumes=shown.quality_files(study),
        splits={member.id: member.split for member in study.people.members},
        shown=[
            split
            for split in ("train", "val", "test")
            if study.people.subjects(split, fold=FIRST_FOLD)
        ],
        target=study.target,
        mask="mask",
    script:
        "../scripts/check_data.py"


rule plot_data_quality:
    input:
        csv=paths.extract("data_quality.csv"),
        pictures=paths.extract("data_quality.safetensors"),
        code=code("plot_data_quality.py"),
    output:
        **drawn("data_quality"),
    log:
        f"{OUT}/logs/plot_data_quality.log",
    conda:
        "../../envs/environment.yaml"
    params:
        modalities=study.modalities,
    script:
        "../scripts/plot_data_quality.py"


rule plot_curves:
    input:
        curves=[paths.model(model, "curve.csv") for model in study.rows.trained_models],
        code=code("plot_curves.py"),
    output:
        **drawn("curves"),
    log:
        f"{OUT}/logs/plot_curves.log",
    conda:
        "../../envs/environment.yaml"
    params:
        models=study.rows.trained_models,
    script:
        "../scripts/plot_curves.py"


rule plot_previews:
    input:
        previews=[paths.model(m, "previews.npz") for m in study.rows.trained_models],
        code=code("plot_previews.py"),
    output:
        **drawn("previews"),
    log:
        f"{OUT}/logs/plot_previews.log",
    conda:
        "../../envs/environment.yaml"
    params:
        models=study.rows.trained_models,
    script:
        "../scripts/plot_previews.py"


rule assess_samples:
    input:
        weights=[paths.model(model) for model in study.rows.unconditional_models],
        training=study.people.volumes("train", study.target, FIRST_FOLD),
        held_out=study.people.volumes("test", study.target, FIRST_FOLD),
        code=code(
            "assess_samples.py",
            lambda w: map(study.models.module_of, study.rows.unconditional_models),
        ),
    output:
        **drawn("samples"),
    log:
        f"{OUT}/logs/assess_samples.log",
    benchmark:
        f"{OUT}/cost/figures/assess_samples.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    resources:
        **asks(
            lambda w: needs.sample(
                study.rows.unconditional_models, config["figures"]["samples"]["drawn"]
            ),
            THREADS,
            lambda w: True,
        ),
    params:
        models={
            name: study.models.settings(name)
            for name in study.rows.unconditional_models
        },
        sampling=config["sampling"],
        settings=config["figures"]["samples"],
        seed=study.seed,
        device=config["device"],
        threads=THREADS,
    script:
        "../scripts/assess_samples.py"


rule plot_training_cost:
    input:
        table=paths.table,
        code=code("plot_training_cost.py"),
    output:
        **drawn("training_cost"),
    log:
        f"{OUT}/logs/plot_training_cost.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.rows.table(),
        sources=study.sources,
    script:
        "../scripts/plot_training_cost.py"
