# Pages of the report: every result as a table that sorts, and what it all was made from.
# Figures are in the report by themselves; `make report` puts all into one HTML file. A page reads
# no file that a figure writes, so a new colour does not write it again.
localrules:
    write_provenance_page,


# Page: its CSV, its category, and its title.
PAGES = {
    "table1": (f"{OUT}/table1.csv", "Table", "Table 1, sortable"),
    "subjects": (f"{OUT}/metrics.csv", "Table", "Table 1, by subject"),
    "flicker": (
        f"{OUT}/extracts/flicker.csv",
        "Figures",
        "Numbers of figure 6: flicker",
    ),
    "data_quality": (
        f"{OUT}/extracts/data_quality.csv",
        "Data quality",
        "Every volume in numbers",
    ),
    "cost": (f"{OUT}/record/cost.csv", "Cost", "Wall time and memory"),
}
if study_figures.has_spread(study):
    PAGES["uncertainty"] = (
        f"{OUT}/extracts/uncertainty.csv",
        "Figures",
        "Numbers of figure 5: uncertainty",
    )
if workflow.is_rule("write_verdicts"):
    PAGES["verdicts"] = (f"{OUT}/verdicts.csv", "Verdicts", "Verdicts, sortable")
if workflow.is_rule("write_comparisons"):
    PAGES["comparisons"] = (
        f"{OUT}/comparisons.csv",
        "Verdicts",
        "Comparisons, sortable",
    )


def report_pages():
    """The pages of the report that are not figures."""
    return expand(f"{OUT}/report/{{page}}.html", page=[*PAGES, "provenance"])


for page, (csv, category, title) in PAGES.items():

    rule:
        name:
            f"write_page_{page}"
        input:
            csv=csv,
            code=code("write_page.py"),
        output:
            report(
                f"{OUT}/report/{page}.html",
                category=CATEGORIES[category],
                caption=f"../report/page_{page}.rst",
                labels={"item": title},
            ),
        log:
            f"{OUT}/logs/write_page_{page}.log",
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
        provenance=f"{OUT}/record/provenance.json",
        config=f"{OUT}/record/config.yaml",
        code=code("write_provenance_page.py"),
    output:
        report(
            f"{OUT}/report/provenance.html",
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
