# The mask network: its training, its comparison with other ways, and the whole preprocessing of raw
# scans against known truth. Outside of any study; needs whole-head label maps (resources/anatomies).
HEADS = sorted(
    next(
        (
            found
            for root in study.roots
            if (found := list(root.glob("anatomies/*.nii.gz")))
        ),
        [],
    )
)


localrules:
    bench_preprocessing,


rule train_brain_network:
    input:
        maps=HEADS[:-4],
        code=code("train_brain_network.py"),
    output:
        weights=f"{BENCH}/brain_network/brain_network.safetensors",
        record=f"{BENCH}/brain_network/brain_network.json",
    log:
        f"{BENCH}/logs/brain_network.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/train_brain_network.py"


rule benchmark_masks:
    input:
        maps=HEADS[-4:],
        weights=BRAIN_NETWORK,
        code=code("benchmark_masks.py"),
    output:
        csv=f"{BENCH}/brain_mask.csv",
        origin=f"{BENCH}/brain_mask.json",
        summary=f"{BENCH}/brain_mask_summary.csv",
    log:
        f"{BENCH}/logs/brain_mask.log",
    conda:
        "../../envs/environment.yaml"
    params:
        only=[],
    script:
        "../scripts/benchmark_masks.py"


rule benchmark_alignment:
    input:
        maps=HEADS[-4:],
        weights=BRAIN_NETWORK,
        code=code("benchmark_alignment.py"),
    output:
        csv=f"{BENCH}/alignment.csv",
        origin=f"{BENCH}/alignment.json",
        summary=f"{BENCH}/alignment_summary.csv",
    log:
        f"{BENCH}/logs/alignment.log",
    conda:
        "../../envs/environment.yaml"
    params:
        motions=5,
        coarser=2.0,
    script:
        "../scripts/benchmark_alignment.py"


rule benchmark_alignment_cost:
    input:
        maps=HEADS[-1:],
        split="config/ixi_split.tsv",
        weights=BRAIN_NETWORK,
        code=code("benchmark_alignment_cost.py"),
    output:
        cost=f"{BENCH}/alignment_cost.csv",
        origin=f"{BENCH}/alignment_cost.json",
        files=f"{BENCH}/alignment_files.csv",
    log:
        f"{BENCH}/logs/alignment_cost.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/benchmark_alignment_cost.py"


rule bench_preprocessing:
    input:
        rules.benchmark_masks.output,
        rules.benchmark_alignment.output,
        rules.benchmark_alignment_cost.output,
