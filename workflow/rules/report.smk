# Pages of the report: every result as a table that sorts, and what it all was made from.
# Figures are in the report by themselves; `make report` puts all into one HTML file. A page reads
# no file that a figure writes, so a new colour does not write it again.
localrules:
    write_provenance_page,


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
            labels=study.labels,
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
