# Pages of the report: every result as a table that sorts, and what it all was made from.
# Figures are in the report by themselves; `make report` puts all into one HTML file, which opens on
# the front page. But for that, no page reads a file that a figure writes.
localrules:
    write_front,
    write_viewer,
    write_provenance_page,


rule write_front:
    input:
        verdicts=paths.verdicts,
        table=paths.table,
        cost=paths.cost,
        config=paths.config,
        picture=paths.figure("figure2"),
        code=code("write_front.py"),
        look=str(PACKAGE / "lmidiff/report/front.html"),
    output:
        paths.page("front"),
    log:
        f"{OUT}/logs/write_front.log",
    conda:
        "../../envs/environment.yaml"
    params:
        about={
            "study": study.name,
            "sources": ", ".join(study.sources),
            "target": study.target,
            "note": note_of(config),
        },
    script:
        "../scripts/write_front.py"


rule cut_viewer:
    input:
        shards=all_shards(),
        segmentations=for_each_shown(paths.segmentations("{method}", "{source}")),
        volumes=volumes_of(study.people.subjects("test")),
        code=code("cut_viewer.py"),
    output:
        paths.extract("viewer.safetensors"),
    log:
        f"{OUT}/logs/cut_viewer.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        **asks(lambda w: needs.cut()),
    params:
        shown=shown.viewer_files(study),
    script:
        "../scripts/cut_viewer.py"


rule write_viewer:
    input:
        volumes=paths.extract("viewer.safetensors"),
        code=code("write_viewer.py"),
        look=str(PACKAGE / "lmidiff/report/viewer.html"),
    output:
        report(
            paths.page("viewer"),
            category=CATEGORIES["Figures"],
            caption="../report/viewer.rst",
            labels={"item": "Volumes in three planes"},
        ),
    log:
        f"{OUT}/logs/write_viewer.log",
    conda:
        "../../envs/environment.yaml"
    params:
        title=f"Study {study.name}: {study.people.subjects('test')[0]} from {study.sources[0]}",
        note="Volumes on the study's grid, intensities 0..1; one cross-hair for all.",
        field=study.people.segmented,
    script:
        "../scripts/write_viewer.py"


for page, (csv, category, title) in PAGES.items():

    rule:
        name:
            f"write_page_{page}"
        input:
            csv=csv,
            code=code("write_page.py"),
        output:
            report(
                paths.page(page),
                category=CATEGORIES[category],
                caption=f"../report/page_{page}.rst",
                labels={"item": title},
            ),
        log:
            f"{OUT}/logs/write_page_{page}.log",
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            title=f"{title} (study {study.name})",
            note=(PACKAGE / "report" / f"page_{page}.rst").read_text().strip(),
            page=page,
            labels=study.rows.labels,
        script:
            "../scripts/write_page.py"


rule write_provenance_page:
    input:
        provenance=paths.provenance,
        config=paths.config,
        code=code("write_provenance_page.py"),
    output:
        report(
            paths.page("provenance"),
            category=CATEGORIES["Provenance"],
            caption="../report/provenance.rst",
            labels={"item": "Config, versions, hashes"},
        ),
    log:
        f"{OUT}/logs/write_provenance_page.log",
    conda:
        "../../envs/environment.yaml"
    script:
        "../scripts/write_provenance_page.py"
