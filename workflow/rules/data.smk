# From anatomies or scans to volumes on the study grid, the split, and a look at what was made.
# Generated cohorts are one job each: a subject takes less time than starting a job does. Scanned
# subjects are one job each, and those who have the same files one rule: `preprocess` for people
# with every modality, `preprocess_T1w` for those who have the target alone. Raw scans are masked,
# corrected and registered first (`align`). Where the target alone is real, the sources are simulated on
# its grid (`simulate_sources_<cohort>`).
# A generated cohort's tested people come first among its files: they are asked for thirty times as often as
# others, and Snakemake looks through a rule's files from the first.
# Groups are what a cluster gets as one job; of scanned subjects, many together (see the profile).
localrules:
    write_split,
    collect_quality,
    quality,


for cohort in study.people.generated_cohorts:

    rule:
        name:
            f"simulate_{cohort}"
        input:
            anatomies=study.people.anatomies(cohort),
            code=code("simulate.py"),
        output:
            files=study.people.raw_files(cohort),
        log:
            f"{OUT}/logs/simulate_{cohort}.log",
        benchmark:
            f"{OUT}/cost/data/simulate_{cohort}.tsv"
        group:
            f"data_{cohort}"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w, c=cohort: needs.data(len(study.people.subjects(cohort=c)))),
        params:
            subjects=study.people.anatomy_of(cohort),
            settings=study.people.cohorts[cohort].get("simulation", {}),
            grid=config["data"]["grid"],
            modalities=study.modalities,
            seed=study.seed,
            field=study.people.field,
        script:
            "../scripts/simulate.py"

    rule:
        name:
            f"preprocess_{cohort}"
        input:
            files=study.people.raw_files(cohort),
            code=code("preprocess.py"),
        output:
            files=volumes_of(study.people.tested_first(cohort)),
        log:
            f"{OUT}/logs/preprocess_{cohort}.log",
        benchmark:
            f"{OUT}/cost/data/preprocess_{cohort}.tsv"
        group:
            f"data_{cohort}"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w, c=cohort: needs.data(len(study.people.subjects(cohort=c)))),
        params:
            scans=study.people.scans_of(study.people.subjects(cohort=cohort)),
            grid=config["data"]["grid"],
            every=study.people.every(study.people.subjects(cohort=cohort)),
            percentile=config["data"]["percentile"],
            field=study.people.field,
        script:
            "../scripts/preprocess.py"


for kind in study.people.raw_kinds:

    rule:
        name:
            f"align{kind.name}"
        input:
            files=lambda w: study.people.scan_files(w.subject),
            weights=BRAIN_NETWORKS,
            code=code("align.py"),
        output:
            images=temp([paths.aligned("{subject}", m) for m in kind.modalities]),
            mask=temp(paths.aligned("{subject}", MASK)),
            labels=temp([paths.aligned("{subject}", LABELS)] if kind.labels else []),
            transforms=[
                paths.transform("{subject}", m, kind.reference) for m in kind.moving
            ],
            quality=paths.quality("{subject}", "json"),
            picture=paths.quality("{subject}", "png"),
        log:
            f"{OUT}/logs/align/{{subject}}.log",
        benchmark:
            f"{OUT}/cost/data/align_{{subject}}.tsv"
        wildcard_constraints:
            subject="|".join(kind.subjects),
        group:
            "preprocess"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w, k=kind: needs.align(len(k.modalities))),
        params:
            scans=lambda w: study.people.align_files(w.subject),
            modalities=kind.modalities,
            reference=kind.reference,
        script:
            "../scripts/align.py"


for cohort in study.people.real_target_cohorts:

    rule:
        name:
            f"simulate_sources_{cohort}"
        input:
            labels=lambda w: study.people.labels_behind(w.subject),
            code=code("simulate_sources.py"),
        output:
            sources=temp([paths.raw("{subject}", m) for m in study.sources]),
        log:
            f"{OUT}/logs/simulate_sources/{{subject}}.log",
        benchmark:
            f"{OUT}/cost/data/simulate_sources_{{subject}}.tsv"
        wildcard_constraints:
            subject="|".join(study.people.subjects(cohort=cohort)),
        group:
            "preprocess"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w: needs.data(1)),
        params:
            labels=lambda w: study.people.labels_file(w.subject),
            settings=study.people.cohorts[cohort].get("simulation", {}),
            sources=study.sources,
            seed=study.seed,
        script:
            "../scripts/simulate_sources.py"


for kind in study.people.kinds(study.people.scanned_subjects):

    rule:
        name:
            f"preprocess{kind.name}"
        input:
            files=lambda w: study.people.preprocess_files(w.subject),
            judgements=lambda w: list(study.people.judgements([w.subject]).values()),
            code=code("preprocess.py"),
        output:
            files=[paths.volume("{subject}", suffix) for suffix in kind.volumes],
        log:
            f"{OUT}/logs/preprocess/{{subject}}.log",
        benchmark:
            f"{OUT}/cost/data/preprocess_{{subject}}.tsv"
        wildcard_constraints:
            subject="|".join(kind.subjects),
        group:
            "preprocess"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w: needs.data(1)),
        params:
            scans=lambda w: study.people.scans_of([w.subject]),
            grid=config["data"]["grid"],
            every=lambda w: study.people.every([w.subject]),
            percentile=config["data"]["percentile"],
            field=study.people.field,
            judgements=lambda w: study.people.judgements([w.subject]),
            flagged=config["data"].get("flagged", "stop"),
        script:
            "../scripts/preprocess.py"


rule write_split:
    input:
        code=code("write_split.py"),
    output:
        paths.split,
    log:
        f"{OUT}/logs/write_split.log",
    conda:
        "../../envs/environment.yaml"
    params:
        folds=study.people.rolls,
    script:
        "../scripts/write_split.py"


rule collect_quality:
    input:
        judgements=[paths.quality(s, "json") for s in study.people.raw_subjects],
        pictures=[paths.quality(s, "png") for s in study.people.raw_subjects],
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
