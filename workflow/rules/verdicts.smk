# What held: a verdict on each claim, every row against the reference row, the page to paste.
localrules:
    write_verdicts,
    write_report,


rule write_verdicts:
    input:
        metrics=paths.metrics,
        slices=paths.slices,
        claims="config/claims.yaml",
        code=code("write_verdicts.py"),
    output:
        verdicts=verdict("verdicts", "Verdicts"),
        parts=verdict("verdict_parts", "The comparisons behind them"),
        comparisons=verdict("comparisons", "Comparisons"),
        gap=verdict("gap", "Gap to the supervised row"),
    log:
        f"{OUT}/logs/write_verdicts.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.rows.labels,
        sources=study.sources,
        subjects=study.people.subjects("test"),
        once=study.rows.trained_once,
        seed=study.seed,
    script:
        "../scripts/write_verdicts.py"


rule write_report:
    input:
        verdicts=paths.verdicts,
        table=paths.table,
        config=paths.config,
        provenance=paths.provenance,
        cost=paths.cost,
        code=code("write_report.py"),
    output:
        paths.report,
    log:
        f"{OUT}/logs/write_report.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/write_report.py"
