# What the parts cost, and what the shipped weights do to real scans, outside of any study (targets
# bench and own_scans).
# A benchmark takes all cores, so that no other job disturbs it.
from lmidiff.evaluation.published import NETWORKS

BENCHMARKS = ["lmi", "end_to_end", "throughput", "processors"]
PLANS = ["empty", "study"]
# Real scans that no training saw, and their true T1w: files of the ledger.
OWN_SCANS = {
    "sri24_PDw": ["sri24/erly.nii.gz", "sri24/spgr.nii.gz"],
    "sri24_T2w": ["sri24/late.nii.gz", "sri24/spgr.nii.gz"],
    "patient_T2w": ["ms_patient07/T2.nii.gz", "ms_patient07/T1.nii.gz"],
    "patient_FLAIR": ["ms_patient07/FLAIR.nii.gz", "ms_patient07/T1.nii.gz"],
    "avg152_PDw": ["avg152/avg152PD.nii", "avg152/avg152T1.nii"],
    "avg152_T2w": ["avg152/avg152T2.nii", "avg152/avg152T1.nii"],
}
# Raw FLAIR, T1w and marked lesions of the people whom config/real.tsv tests.
OWN_PEOPLE = {
    f"Subj{number}": [
        f"t1_flair_2mm/Subj{number}_{kind}.nii.gz"
        for kind in ("FLAIR", "T1", "FLAIR_lesions")
    ]
    for number in (1, 2, 4, 5, 6, 7, 8, 11, 12, 13, 15, 17, 19, 21, 23)
}
# What it calls by name, as a user does.
OWN_COMMANDS = ["lmidiff.cli.preprocess", "lmidiff.cli.translate"]
SEGMENTER = NETWORKS["model5_gw_ae"].files
# The benchmarks' tables and figures, and what they come from.
BENCH_FILES = [
    *expand(
        f"{BENCH}/{{name}}.{{kind}}",
        name=BENCHMARKS,
        kind=["csv", "json", "png", "pdf"],
    ),
    *expand(f"{BENCH}/overhead/{{how}}_1.csv", how=PLANS),
]


localrules:
    draw_maps,
    own_scans,
    bench,


rule benchmark:
    input:
        settings="config/bench.yaml",
        default="config/config.yaml",
        paper="config/paper.yaml",
        code=code("benchmark.py", lambda w: [f"lmidiff.benchmarks.{w.benchmark}"]),
    output:
        csv=f"{BENCH}/{{benchmark}}.csv",
        origin=f"{BENCH}/{{benchmark}}.json",
        png=f"{BENCH}/{{benchmark}}.png",
        pdf=f"{BENCH}/{{benchmark}}.pdf",
    log:
        f"{BENCH}/logs/{{benchmark}}.log",
    wildcard_constraints:
        benchmark="|".join(BENCHMARKS),
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    params:
        device=config["device"],
        threads=THREADS,
    script:
        "../scripts/benchmark.py"


rule measure_plans:
    input:
        settings="config/bench.yaml",
        default="config/config.yaml",
        code=code("measure_plans.py"),
    output:
        **{how: f"{BENCH}/overhead/{how}_1.csv" for how in PLANS},
    log:
        f"{BENCH}/logs/overhead.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    script:
        "../scripts/measure_plans.py"


rule try_own_scan:
    input:
        scans=lambda w: study.people.downloads.stand_ins(
            {**OWN_SCANS, **OWN_PEOPLE}[w.scan]
        ),
        network=study.people.downloads.stand_ins(SEGMENTER),
        code=code("try_own_scan.py", lambda w: OWN_COMMANDS),
    output:
        csv=f"{BENCH}/own_scans/{{scan}}.csv",
        origin=f"{BENCH}/own_scans/{{scan}}.json",
        png=f"{BENCH}/own_scans/{{scan}}.png",
        pdf=f"{BENCH}/own_scans/{{scan}}.pdf",
    log:
        f"{BENCH}/logs/own_scans_{{scan}}.log",
    wildcard_constraints:
        scan="|".join([*OWN_SCANS, *OWN_PEOPLE]),
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    params:
        scans=lambda w: [
            study.people.downloads.place(file)
            for file in {**OWN_SCANS, **OWN_PEOPLE}[w.scan]
        ],
        raw=lambda w: w.scan in OWN_PEOPLE,
        network=lambda w: study.people.downloads.place(SEGMENTER[0]),
        threads=THREADS,
    script:
        "../scripts/try_own_scan.py"


rule draw_maps:
    input:
        scans=study.people.downloads.stand_ins(OWN_SCANS["sri24_PDw"]),
        code=code("draw_maps.py"),
    output:
        origin=f"{BENCH}/maps.json",
        png=f"{BENCH}/maps.png",
        pdf=f"{BENCH}/maps.pdf",
    log:
        f"{BENCH}/logs/maps.log",
    conda:
        "../../envs/environment.yaml"
    params:
        source=lambda w: study.people.downloads.place(OWN_SCANS["sri24_PDw"][0]),
        target=lambda w: study.people.downloads.place(OWN_SCANS["sri24_PDw"][1]),
        titles=("PDw", "T1w"),
    script:
        "../scripts/draw_maps.py"


rule time_translating:
    input:
        settings="config/bench.yaml",
        scans=study.people.downloads.stand_ins(OWN_PEOPLE["Subj1"][:1]),
        code=code("time_translating.py", lambda w: ["lmidiff.cli.translate"]),
    output:
        csv=f"{BENCH}/translating.csv",
        origin=f"{BENCH}/translating.json",
    log:
        f"{BENCH}/logs/translating.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    params:
        scan=lambda w: study.people.downloads.place(OWN_PEOPLE["Subj1"][0]),
    script:
        "../scripts/time_translating.py"


rule own_scans:
    input:
        costs=rules.time_translating.output.csv,
        tables=expand(f"{BENCH}/own_scans/{{scan}}.csv", scan=OWN_SCANS),
        people=expand(f"{BENCH}/own_scans/{{scan}}.csv", scan=OWN_PEOPLE),
        maps=rules.draw_maps.output.png,
        code=code("collect_own_scans.py"),
    output:
        scans=f"{BENCH}/own_scans.csv",
        people=f"{BENCH}/own_people.csv",
        summary=f"{BENCH}/own_people_summary.csv",
    log:
        f"{BENCH}/logs/own_scans.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/collect_own_scans.py"


rule bench:
    input:
        BENCH_FILES,
