# What held: a verdict on each claim, every row against the reference row, the page to paste.
localrules:
    write_verdicts,
    write_comparisons,
    write_gap,
    write_report,


rule write_verdicts:
    input:
        metrics=paths.metrics,
        slices=paths.slices,
        claims="config/claims.yaml",
        code=code("write_verdicts.py"),
    output:
        verdicts=report(
            paths.verdicts,
            category=CATEGORIES["Verdicts"],
            caption="../report/verdicts.rst",
            labels={"item": "Verdicts, CSV"},
        ),
        parts=report(
            paths.verdict_parts,
            category=CATEGORIES["Verdicts"],
            caption="../report/verdict_parts.rst",
            labels={"item": "The comparisons behind them, CSV"},
        ),
    log:
        f"{OUT}/logs/write_verdicts.log",
    conda:
        "../../envs/environment.yaml"
    params:
        sources=study.sources,
        subjects=study.subjects("test"),
        seed=study.seed,
    script:
        "../scripts/write_verdicts.py"


rule write_comparisons:
    input:
        metrics=paths.metrics,
        slices=paths.slices,
        claims="config/claims.yaml",
        code=code("write_comparisons.py"),
    output:
        report(
            paths.comparisons,
            category=CATEGORIES["Verdicts"],
            caption="../report/comparisons.rst",
            labels={"item": "Comparisons, CSV"},
        ),
    log:
        f"{OUT}/logs/write_comparisons.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.labels,
        sources=study.sources,
        subjects=study.subjects("test"),
        seed=study.seed,
    script:
        "../scripts/write_comparisons.py"


rule write_gap:
    input:
        metrics=paths.metrics,
        slices=paths.slices,
        code=code("write_gap.py"),
    output:
        report(
            paths.gap,
            category=CATEGORIES["Verdicts"],
            caption="../report/gap.rst",
            labels={"item": "Gap to the supervised row, CSV"},
        ),
    log:
        f"{OUT}/logs/write_gap.log",
    conda:
        "../../envs/environment.yaml"
    params:
        labels=study.labels,
        sources=study.sources,
        subjects=study.subjects("test"),
        seed=study.seed,
    script:
        "../scripts/write_gap.py"


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
