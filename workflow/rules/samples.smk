# What models draw from noise alone: a grid of samples and their distance to held-out slices.


rule assess_samples:
    input:
        weights=[study.model_file(model) for model in study.unconditional_models],
        training=study.volumes("train", study.target),
        held_out=study.volumes("test", study.target),
        code=code(
            "assess_samples.py",
            *(study.family_module(model) for model in study.unconditional_models),
        ),
    output:
        csv=f"{OUT}/figures/samples.csv",
        png=figure("samples", "Figures"),
        pdf=f"{OUT}/figures/samples.pdf",
    log:
        f"{OUT}/logs/assess_samples.log",
    benchmark:
        f"{OUT}/cost/figures/assess_samples.tsv"
    conda:
        "../../envs/environment.yaml"
    threads: THREADS
    resources:
        **asks(
            lambda w: needs.sample(
                study.unconditional_models, config["figures"]["samples"]["drawn"]
            ),
            THREADS,
            lambda w: True,
        ),
    params:
        models={name: study.model_settings(name) for name in study.unconditional_models},
        sampling=config["sampling"],
        settings=config["figures"]["samples"],
        seed=study.seed,
        device=config["device"],
        threads=THREADS,
    script:
        "../scripts/assess_samples.py"
