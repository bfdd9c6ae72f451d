# What the parts cost, outside of any study (target bench), and quality against steps (target
# pareto, for a study whose rows differ in sampler, such as config/steps.yaml).
# A benchmark takes all cores, so that no other job disturbs it.
localrules:
    bench,
    plot_pareto,
    pareto,


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


rule plot_pareto:
    input:
        metrics=f"{OUT}/metrics.csv",
        costs=[file for _, files in translation_costs() for file in files],
        code=code("plot_pareto.py"),
    output:
        csv=f"{OUT}/figures/pareto.csv",
        png=figure("pareto", "Figures"),
        pdf=f"{OUT}/figures/pareto.pdf",
    log:
        f"{OUT}/logs/plot_pareto.log",
    conda:
        "../../envs/environment.yaml"
    params:
        costs=translation_costs(),
        samplers={name: study.method_settings(name) for name in sampling_methods()},
        labels=study.labels,
        slices=len(study.subjects("test")) * config["data"]["grid"]["slices"],
        seed=study.seed,
    script:
        "../scripts/plot_pareto.py"


rule bench:
    input:
        bench_files(),


rule pareto:
    input:
        rules.plot_pareto.output,
