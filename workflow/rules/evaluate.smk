# Scores, the tidy CSVs, Table 1 and the record of what produced them.
localrules:
    collect_scores,
    summarise_costs,
    write_table,
    write_record,


rule score:
    input:
        shards=shard_folders,
        labels=f"{OUT}/segmentations/{{method}}/from-{{source}}",
        truth=[file for s in study.subjects("test") for file in study.volume_files(s)],
        model=[f"{OUT}/models/kmeans/kmeans.json"],
        code=code("score.py"),
    output:
        metrics=f"{OUT}/scores/{{method}}_from-{{source}}_metrics.csv",
        slices=f"{OUT}/scores/{{method}}_from-{{source}}_slices.csv",
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
        study=study.name,
        target=study.target,
    script:
        "../scripts/score.py"


rule collect_scores:
    input:
        scores=lambda w: for_each_row(
            f"{OUT}/scores/{{method}}_from-{{source}}_{w.level}.csv"
        ),
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


rule summarise_costs:
    input:
        # Every job has been measured when there are scores.
        metrics=f"{OUT}/metrics.csv",
        code=code("summarise_costs.py"),
    output:
        f"{OUT}/record/cost.csv",
    log:
        f"{OUT}/logs/summarise_costs.log",
    conda:
        "../../envs/environment.yaml"
    params:
        benchmarks=f"{OUT}/cost",
    script:
        "../scripts/summarise_costs.py"


rule write_table:
    input:
        metrics=f"{OUT}/metrics.csv",
        cost=f"{OUT}/record/cost.csv",
        curves=[study.model_file(model, "curve.csv") for model in study.used_models],
        published="config/published.tsv",
        code=code("write_table.py"),
    output:
        csv=f"{OUT}/table1.csv",
        md=f"{OUT}/table1.md",
        tex=f"{OUT}/table1.tex",
        html=report(
            f"{OUT}/table1.html",
            category=CATEGORIES["Table"],
            caption="../report/table1.rst",
            labels={"item": "Table 1"},
        ),
    log:
        f"{OUT}/logs/write_table.log",
    conda:
        "../../envs/environment.yaml"
    params:
        methods=study.table_rows(),
        models={name: block.get("model") for name, block in study.methods.items()},
        curves={m: study.model_file(m, "curve.csv") for m in study.used_models},
        sources=study.sources,
        subjects=study.subjects("test"),
        slices=len(study.subjects("test")) * config["data"]["grid"]["slices"],
        seed=study.seed,
    script:
        "../scripts/write_table.py"


rule write_record:
    input:
        volumes=all_volumes(),
        weights=[study.model_file(model) for model in study.used_models],
        metrics=f"{OUT}/metrics.csv",
        code=code("write_record.py"),
    output:
        config=f"{OUT}/record/config.yaml",
        provenance=f"{OUT}/record/provenance.json",
    log:
        f"{OUT}/logs/write_record.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=config,
        members=study.roll,
        device=config["device"],
    script:
        "../scripts/write_record.py"
