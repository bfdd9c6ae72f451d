"""A plan loads nothing that computes: each job of a workflow plans it again."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from workflows import ROOT, SMOKE, copy_project, run

COMPUTE = ("torch", "scipy", "sklearn", "skimage", "nibabel", "matplotlib", "SimpleITK", "monai")

ASK = """
import sys, yaml
{imports}
from lmidiff.data.ledger import read_ledger
study = Study(yaml.safe_load(open("config/config.yaml")), read_ledger("config/datasets.tsv"))
assert [study.rows.modules_of(name) for name in study.rows.methods] and study.rows.table()
assert [study.models.settings(name) for name in study.models.blocks]
assert read_claims("config/claims.yaml")
assert modules_behind("workflow/scripts/train.py", "lmidiff.models.diffusion")
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""

REFUSE = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {compute}:
            raise ImportError(f"a plan must not load {{name}}")

sys.meta_path.insert(0, Refused())
from snakemake.cli import main
main(["-n", "--quiet", "--cores", "1", *sys.argv[1:]])
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_the_rules_import_loads_nothing_that_computes():
    common = (ROOT / "workflow/rules/common.smk").read_text()
    imports = re.findall(r"^from lmidiff\S* import .*$", common, re.MULTILINE)
    assert len(imports) > 10
    done = python(ASK.format(imports="\n".join(imports)))
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "yaml" in loaded
    assert not loaded & {*COMPUTE, "pandas", "numpy"}


@pytest.mark.study
@pytest.mark.parametrize("config", ["config", "real_fast", "ixi"])
def test_a_study_is_planned_where_nothing_that_computes_can_be_imported(config):
    done = python(REFUSE.format(compute=COMPUTE), "--configfile", f"config/{config}.yaml")
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_a_wrong_setting_is_said_without_what_computes():
    over = "methods={sdedit: {strength: 7}}"
    done = python(REFUSE.format(compute=COMPUTE), "--config", over)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last == "ERROR config: methods.sdedit: strength 7 is not in (0, 1]"


def test_that_check_finds_what_is_loaded():
    done = python(REFUSE.format(compute=(*COMPUTE, "yaml")))
    assert done.returncode != 0
    assert "a plan must not load yaml" in done.stdout + done.stderr  # Snakemake says it in either


@pytest.mark.study
@pytest.mark.variant
def test_the_scheduler_looks_when_something_has_happened_and_not_all_the_time(tmp_path):
    folder = copy_project(tmp_path / "a project")
    few = {"rows": ["source", "histogram", "inverted_histogram", "sdedit_inverted", "oracle"]}
    (folder / "few.yaml").write_text(yaml.safe_dump({"study": "few", **few}))
    said = run(folder, "table", "--verbose", *SMOKE, "few.yaml")
    jobs = len(re.findall(r"^Finished jobid", said, re.MULTILINE))
    looks = len(re.findall(r"Ready jobs", said))
    assert jobs > 20
    assert looks <= 2 * jobs + 2, f"{looks} looks at what is ready for {jobs} jobs"


@pytest.mark.study
def test_a_limit_of_jobs_that_somebody_asked_for_stays(tmp_path):
    folder = copy_project(tmp_path / "a project")
    asked = run(folder, "data", "--max-jobs-per-timespan", "1/2s", *SMOKE)
    shutil.rmtree(folder / "results")
    free = run(folder, "data", *SMOKE)
    assert "Execute 2 jobs..." in free
    assert "Execute 2 jobs..." not in asked


ASK_FOR_SECONDS = """
from types import SimpleNamespace as Of
for name, wildcards in (("train_model", Of(model="lmidiffusion")), ("write_table", Of())):
    print("SECONDS", seconds_of(Of(rule=workflow.get_rule(name), wildcards=wildcards)))
print("SECONDS", needs.train("lmidiffusion")[0], costs["start"].seconds)
"""


@pytest.mark.study
def test_the_estimate_of_the_whole_study_weighs_jobs_by_what_they_take(tmp_path):
    folder = copy_project(tmp_path / "a project")
    with open(folder / "Snakefile", "a") as snakefile:
        snakefile.write(ASK_FOR_SECONDS)
    said = re.findall(r"^SECONDS (.*)$", run(folder, "-n", *SMOKE), re.MULTILINE)
    training, table, wanted = said[0], said[1], said[2].split()
    assert [training, table] == wanted
    assert float(training) > float(table)
