# Raw scans of one subject: brain mask, N4, rigid registration, and what they are judged by.
localrules:
    collect_quality,
    quality,


for subject in study.raw_subjects:

    rule:
        name:
            f"align_{subject}"
        input:
            files=study.scan_files(subject),
            weights=BRAIN_NETWORK,
            code=code("align.py"),
        output:
            **{key: temp(made) for key, made in study.aligned_files(subject).items()},
            transforms=[study.transform(subject, m) for m in study.moving(subject)],
            quality=study.quality(subject, "json"),
            picture=study.quality(subject, "png"),
        log:
            f"{OUT}/logs/align/{subject}.log",
        benchmark:
            f"{OUT}/cost/data/align_{subject}.tsv"
        group:
            "preprocess"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w: needs.align()),
        params:
            subject=subject,
            scans=study.align_files(subject),
            modalities=study.modalities_of(subject),
            reference=study.reference(subject),
        script:
            "../scripts/align.py"


rule collect_quality:
    input:
        judgements=[study.quality(s, "json") for s in study.raw_subjects],
        pictures=[study.quality(s, "png") for s in study.raw_subjects],
        code=code("collect_quality.py"),
    output:
        csv=f"{OUT}/quality/quality.csv",
        html=report(
            f"{OUT}/quality/quality.html",
            category=CATEGORIES["Data quality"],
            caption="../report/quality.rst",
        ),
    log:
        f"{OUT}/logs/collect_quality.log",
    conda:
        "../../envs/environment.yaml"
    params:
        excluded=config["data"].get("exclude", []),
    script:
        "../scripts/collect_quality.py"


rule quality:
    input:
        rules.collect_quality.output,
