# Scores, the tidy CSVs, Table 1 and the record of what produced them.
localrules:
    collect_scores,
    collect_lesions,
    summarise_costs,
    write_table,
    write_record,


rule score:
    input:
        shards=shard_folders,
        labels=paths.segmentations("{method}", "{source}"),
        truth=tested_volumes,
        model=lambda w: [study.rows.segmenter(w.method)],
        code=code("score.py"),
    output:
        metrics=paths.scores("{method}", "{source}", "metrics"),
        slices=paths.scores("{method}", "{source}", "slices"),
    log:
        f"{OUT}/logs/score/{{method}}_from-{{source}}.log",
    benchmark:
        f"{OUT}/cost/score/{{method}}_from-{{source}}.tsv"
    group:
        "evaluate"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.score()),
    params:
        subjects=lambda w: study.scored_files(w.method, w.source),
        names=lambda w: names_of(w.method, w.source),
    script:
        "../scripts/score.py"


rule collect_scores:
    input:
        scores=lambda w: [
            file
            for level in (
                [w.level, "network"]
                if w.level == "metrics" and whole.wanted
                else [w.level]
            )
            for file in for_each_run(paths.scores("{method}", "{source}", level))
        ],
        code=code("collect_scores.py"),
    output:
        f"{OUT}/{{level}}.csv",
    log:
        f"{OUT}/logs/collect_{{level}}.log",
    wildcard_constraints:
        level="metrics|slices",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/collect_scores.py"


rule measure_lesions:
    input:
        shards=shard_folders,
        labels=paths.segmentations("{method}", "{source}"),
        truth=tested_volumes,
        code=code("measure_lesions.py"),
    output:
        paths.scores("{method}", "{source}", "lesions"),
    log:
        f"{OUT}/logs/measure_lesions/{{method}}_from-{{source}}.log",
    group:
        "evaluate"
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.score()),
    params:
        subjects=lambda w: study.lesion_files(w.method, w.source),
        names=lambda w: names_of(w.method, w.source),
    script:
        "../scripts/measure_lesions.py"


rule collect_lesions:
    input:
        measured=for_each_run(paths.scores("{method}", "{source}", "lesions")),
        code=code("collect_lesions.py"),
    output:
        paths.lesions,
    log:
        f"{OUT}/logs/collect_lesions.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/collect_lesions.py"


rule measure_volumes:
    input:
        labels=for_each_run(paths.segmentations("{method}", "{source}")),
        truth=volumes_of(study.people.subjects("test")),
        models=list(dict.fromkeys(study.rows.segmenter(run) for run in study.rows.runs)),
        code=code("measure_volumes.py"),
    output:
        paths.volumes_table,
    log:
        f"{OUT}/logs/measure_volumes.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        runs=[
            (
                names_of(run, source),
                study.rows.segmenter(run),
                study.scored_files(run, source),
            )
            for run in study.rows.runs
            for source in study.sources
        ],
    script:
        "../scripts/measure_volumes.py"


rule summarise_costs:
    input:
        # Every job has been measured when there are scores.
        metrics=paths.metrics,
        curves=list(training_curves().values()),
        code=code("summarise_costs.py"),
    output:
        paths.cost,
    log:
        f"{OUT}/logs/summarise_costs.log",
    conda:
        "../../envs/environment.yaml"
    params:
        benchmarks=f"{OUT}/cost",
        curves=training_curves(),
    script:
        "../scripts/summarise_costs.py"


rule write_table:
    input:
        metrics=paths.metrics,
        cost=paths.cost,
        curves=[paths.model(model, "curve.csv") for model in study.rows.used_models],
        published="config/published.tsv",
        code=code("write_table.py"),
    output:
        csv=paths.table,
        md=f"{OUT}/table1.md",
        tex=f"{OUT}/table1.tex",
    log:
        f"{OUT}/logs/write_table.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.rows.table(),
        models={name: block.get("model") for name, block in study.rows.methods.items()},
        curves={m: paths.model(m, "curve.csv") for m in study.rows.used_models},
        sources=study.sources,
        subjects=study.people.subjects("test"),
        slices={name: study.rows.slices(name) for name in study.rows.methods},
        note=note_of(config),
        seed=study.seed,
    script:
        "../scripts/write_table.py"


rule write_record:
    input:
        volumes=volumes_of(study.people.subjects()),
        weights=all_weights(),
        metrics=paths.metrics,
        code=code("write_record.py"),
    output:
        config=paths.config,
        provenance=paths.provenance,
    log:
        f"{OUT}/logs/write_record.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=config,
        members=study.people.roll,
    script:
        "../scripts/write_record.py"
