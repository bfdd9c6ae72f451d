# Scores, the tidy CSVs, Table 1 and the record of what produced them.
localrules:
    collect_scores,
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
    conda:
        "../../envs/environment.yaml"
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


rule write_table:
    input:
        metrics=f"{OUT}/metrics.csv",
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
        sources=study.sources,
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
        cost=f"{OUT}/record/cost.csv",
    log:
        f"{OUT}/logs/write_record.log",
    conda:
        "../../envs/environment.yaml"
    params:
        config=config,
        device=config["device"],
        benchmarks=f"{OUT}/cost",
    script:
        "../scripts/write_record.py"
