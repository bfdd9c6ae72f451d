# What the parts cost, outside of any study (target bench).
# A benchmark takes all cores, so that no other job disturbs it.
localrules:
    bench,


rule benchmark_lmi:
    input:
        settings="config/bench.yaml",
        code=code("benchmark_lmi.py"),
    output:
        csv=f"{BENCH}/lmi.csv",
        origin=f"{BENCH}/lmi.json",
        png=f"{BENCH}/lmi.png",
        pdf=f"{BENCH}/lmi.pdf",
    log:
        f"{BENCH}/logs/lmi.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    params:
        device=config["device"],
        threads=THREADS,
    script:
        "../scripts/benchmark_lmi.py"


rule benchmark_end_to_end:
    input:
        settings="config/bench.yaml",
        default="config/config.yaml",
        paper="config/paper.yaml",
        code=code("benchmark_end_to_end.py"),
    output:
        csv=f"{BENCH}/end_to_end.csv",
        origin=f"{BENCH}/end_to_end.json",
        png=f"{BENCH}/end_to_end.png",
        pdf=f"{BENCH}/end_to_end.pdf",
    log:
        f"{BENCH}/logs/end_to_end.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    params:
        device=config["device"],
        threads=THREADS,
    script:
        "../scripts/benchmark_end_to_end.py"


rule benchmark_throughput:
    input:
        settings="config/bench.yaml",
        default="config/config.yaml",
        code=code("benchmark_throughput.py"),
    output:
        csv=f"{BENCH}/throughput.csv",
        origin=f"{BENCH}/throughput.json",
        png=f"{BENCH}/throughput.png",
        pdf=f"{BENCH}/throughput.pdf",
    log:
        f"{BENCH}/logs/throughput.log",
    conda:
        "../../envs/environment.yaml"
    threads: workflow.cores
    params:
        threads=THREADS,
    script:
        "../scripts/benchmark_throughput.py"


rule bench:
    input:
        bench_files(),
