# From anatomies or scans to volumes on the study grid, and the split.
# Generated cohorts are one job each: a subject takes less time than starting a job does.
localrules:
    write_split,


for cohort in study.generated_cohorts:

    rule:
        name:
            f"simulate_{cohort}"
        input:
            anatomies=study.anatomies(cohort),
            code=code("simulate.py"),
        output:
            files=study.raw_files(cohort),
        log:
            f"{OUT}/logs/simulate_{cohort}.log",
        benchmark:
            f"{OUT}/cost/data/simulate_{cohort}.tsv"
        conda:
            "../../envs/environment.yaml"
        params:
            subjects=study.anatomy_of(cohort),
            settings=study.cohorts[cohort].get("simulation", {}),
            grid=config["data"]["grid"],
            modalities=study.modalities,
            seed=study.seed,
        script:
            "../scripts/simulate.py"

    rule:
        name:
            f"preprocess_{cohort}"
        input:
            files=study.raw_files(cohort),
            code=code("preprocess.py"),
        output:
            files=study.preprocessed_files(cohort),
        log:
            f"{OUT}/logs/preprocess_{cohort}.log",
        benchmark:
            f"{OUT}/cost/data/preprocess_{cohort}.tsv"
        conda:
            "../../envs/environment.yaml"
        params:
            scans=study.scans_of(study.subjects(cohort=cohort)),
            grid=config["data"]["grid"],
            percentile=config["data"]["percentile"],
        script:
            "../scripts/preprocess.py"


for subject in study.scanned_subjects:

    rule:
        name:
            f"preprocess_{subject}"
        input:
            files=study.preprocess_files(subject),
            judgements=list(study.judgements([subject]).values()),
            code=code("preprocess.py"),
        output:
            files=study.volume_files(subject),
        log:
            f"{OUT}/logs/preprocess/{subject}.log",
        benchmark:
            f"{OUT}/cost/data/preprocess_{subject}.tsv"
        conda:
            "../../envs/environment.yaml"
        params:
            scans=study.scans_of([subject]),
            grid=config["data"]["grid"],
            percentile=config["data"]["percentile"],
            judgements=study.judgements([subject]),
            flagged=config["data"].get("flagged", "stop"),
        script:
            "../scripts/preprocess.py"


rule write_split:
    input:
        code=code("write_split.py"),
    output:
        f"{OUT}/split.tsv",
    log:
        f"{OUT}/logs/write_split.log",
    conda:
        "../../envs/environment.yaml"
    params:
        members=study.roll,
    script:
        "../scripts/write_split.py"
