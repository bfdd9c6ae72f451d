# A second network that others trained on T1w: structures of the brain in some rows.


use rule label_translations as label_structures with:
    input:
        shards=lambda w: study.shard_folders(w.method, w.source, whole.paths),
        network=study.people.downloads.stand_ins(whole.structures.files),
        code=code("label_whole.py"),
    output:
        directory(whole.structure_labels("{method}", "{source}")),
    log:
        f"{OUT}/logs/label_structures/{{method}}_from-{{source}}.log",
    benchmark:
        f"{OUT}/cost/network/structures_{{method}}_from-{{source}}.tsv"
    resources:
        **asks(lambda w: needs.label_whole(whole.structures.times), THREADS),
    params:
        volumes=lambda w: whole.translations(w.method, w.source),
        network=study.people.downloads.place(whole.structures.files[0]),
        threads=THREADS,


use rule label_targets as label_true_structures with:
    input:
        volumes=list(whole.targets().values()),
        network=study.people.downloads.stand_ins(whole.structures.files),
        code=code("label_whole.py"),
    output:
        directory(whole.true_structures),
    log:
        f"{OUT}/logs/label_true_structures.log",
    benchmark:
        f"{OUT}/cost/network/structures_true.tsv"
    resources:
        **asks(lambda w: needs.label_whole(whole.structures.times), THREADS),
    params:
        volumes=whole.targets(),
        network=study.people.downloads.place(whole.structures.files[0]),
        threads=THREADS,


rule measure_structures:
    input:
        found=[whole.structure_labels(*names) for names in whole.structure_runs],
        wanted=whole.true_structures,
        masks=[whole.paths.volume(who, MASK) for who in study.people.subjects("test")],
        code=code("measure_structures.py"),
    output:
        paths.structures,
    log:
        f"{OUT}/logs/measure_structures.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.score()),
    params:
        names=[
            (study.name, method, source, study.target)
            for method, source in whole.structure_runs
        ],
        files=[whole.structure_files(*names) for names in whole.structure_runs],
        labels=dict(whole.structures.labels),
        seed=study.seed,
    script:
        "../scripts/measure_structures.py"
