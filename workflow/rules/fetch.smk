# Public data: from the ledger to verified files, and from IXI's archives to scans.
# Fetching is local: compute nodes often have no internet. Taking out scans needs none, and goes with
# what is made of them.
# No code is their input: checksums hold what they bring, whatever the code.
localrules:
    fetch,


rule fetch:
    output:
        f"{study.people.downloads.root}/{{dataset}}/{{file}}.verified",
    log:
        f"{OUT}/logs/fetch/{{dataset}}_{{file}}.log",
    wildcard_constraints:
        dataset="[a-z0-9_]+",
        file="[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*",
    conda:
        "../../envs/environment.yaml"
    params:
        order=lambda w: study.people.downloads.order(w.dataset, w.file),
    script:
        "../scripts/fetch.py"


if study.people.archives:

    rule extract:
        input:
            archives=[
                study.people.downloads.receipt("ixi", file)
                for file in study.people.archives.values()
            ],
        output:
            scans=temp(study.people.scans_out_of_archives("{name}")),
        log:
            f"{OUT}/logs/extract/{{name}}.log",
        wildcard_constraints:
            name="IXI[0-9]+-[A-Za-z]+-[0-9]+",
        group:
            "preprocess"
        conda:
            "../../envs/environment.yaml"
        resources:
            **asks(lambda w: needs.data(1)),
        params:
            orders=[
                study.people.downloads.order("ixi", file)
                for file in study.people.archives.values()
            ],
        script:
            "../scripts/extract.py"
