# What the parts cost, outside of any study (target bench).
# A benchmark takes all cores, so that no other job disturbs it.
localrules:
    bench,


rule benchmark:
    input:
        settings="config/bench.yaml",
        default="config/config.yaml",
        paper="config/paper.yaml",
        code=lambda w: code("benchmark.py", f"lmidiff.benchmarks.{w.benchmark}"),
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


rule bench:
    input:
        bench_files(),
