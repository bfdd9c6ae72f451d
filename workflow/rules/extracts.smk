# What figures are drawn from, cut out of the volumes: small files that a recorded run keeps, so
# that every figure can be drawn again without a volume.


rule cut_figure2:
    input:
        shards=all_shards(),
        segmentations=for_each_row(f"{OUT}/segmentations/{{method}}/from-{{source}}"),
        volumes=test_volumes(),
        code=code("cut_figure2.py"),
    output:
        f"{OUT}/extracts/figure2.safetensors",
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


rule cut_failures:
    input:
        slices=f"{OUT}/slices.csv",
        shards=all_shards(),
        volumes=test_volumes(),
        code=code("cut_failures.py"),
    output:
        f"{OUT}/extracts/failures.safetensors",
    log:
        f"{OUT}/logs/cut_failures.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        methods=list(study_figures.drawn_methods(study)),
        files=study_figures.scored_files(study),
    script:
        "../scripts/cut_failures.py"


rule cut_reformats:
    input:
        shards=all_shards(),
        volumes=test_volumes(),
        code=code("cut_reformats.py"),
    output:
        pictures=f"{OUT}/extracts/reformats.safetensors",
        flicker=f"{OUT}/extracts/flicker.csv",
    log:
        f"{OUT}/logs/cut_reformats.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        reformats=study_figures.reformat_files(study),
        subject=study.subjects("test")[0],
        files=study_figures.scored_files(study),
    script:
        "../scripts/cut_reformats.py"


rule measure_uncertainty:
    input:
        shards=all_shards(),
        volumes=test_volumes(),
        code=code("measure_uncertainty.py"),
    output:
        summary=f"{OUT}/extracts/uncertainty.csv",
        curves=f"{OUT}/extracts/sparsification.csv",
    log:
        f"{OUT}/logs/measure_uncertainty.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        files=study_figures.scored_files(study),
    script:
        "../scripts/measure_uncertainty.py"


if FIGURE1:

    rule trace_samples:
        input:
            guided=study.model_file(FIGURE1["guided"]),
            unguided=study.model_file(FIGURE1["unguided"]),
            source=study.volumes("test", study_figures.figure1_source(study)),
            target=study.volumes("test", study.target),
            code=code("trace_samples.py"),
        output:
            points=f"{OUT}/extracts/trajectories.csv",
            pictures=f"{OUT}/extracts/trajectories.safetensors",
        log:
            f"{OUT}/logs/trace_samples.log",
        conda:
            "../../envs/environment.yaml"
        threads: THREADS
        resources:
            **asks(
                lambda w: needs.sample(FIGURE1.values(), needs.work.slices),
                THREADS,
                lambda w: True,
            ),
        params:
            models={kind: study.model_settings(name) for kind, name in FIGURE1.items()},
            settings=study_figures.figure1_settings(study),
            seed=study.seed,
            device=config["device"],
            threads=THREADS,
        script:
            "../scripts/trace_samples.py"


rule check_data:
    input:
        volumes=all_volumes(),
        code=code("check_data.py"),
    output:
        csv=f"{OUT}/extracts/data_quality.csv",
        pictures=f"{OUT}/extracts/data_quality.safetensors",
    log:
        f"{OUT}/logs/check_data.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.data(len(study.subjects()))),
    params:
        volumes=study_figures.quality_files(study),
        splits={member.id: member.split for member in study.members},
        shown=[split for split in ("train", "val", "test") if study.subjects(split)],
        target=study.target,
        mask="mask",
    script:
        "../scripts/check_data.py"
