"""The ledger's lines of the real people, from the files themselves.

The addresses follow from the names, the sizes and checksums from the bytes, so that the lines can
be made again: ``python tests/helpers/real_ledger.py FOLDER`` prints those of what is in it.
"""

import hashlib
import re
import sys
from pathlib import Path

IXI = "gurayerus/NiChart_Project/04ff0d22fcb9fe529f2ca4fb0e6174f013b4eed1/test_data/processed/IXI"
FLAIR = (
    "CBICA/NiChart_Project/1a04acb4ce41cc69472c79647ddeb85e73946544/sample_datasets/demo_dataset"
)
SPM = "spm/spm12/03ac9473cad402407b6472228377c0167fdc54b8/canonical"
BRAINCHOP = "neuroneural/brainchop/4c87885f3a2a8835e260d521dcec922b58d91d41/public/models"
PATIENT = "muschellij2/open_ms_data/6570490/cross_sectional/MNI/patient07"
PATIENT_END = "_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"

SBIA = "SBIA licence (www.med.upenn.edu/cbica/software-agreement.html)", "NiChart, SBIA, UPenn"
IXI_CREDIT = "CC BY-SA 3.0", "IXI data set, brain-development.org/ixi-dataset"
MNI = (
    "MNI terms: free with notice",
    "ICBM 152 linear average, Montreal Neurological Institute; SPM12",
)
MIT = "MIT", "Brainchop, Masoud et al., JOSS 2023;8:5098"
MINDGRAB = "MIT", f"Fani et al. 2025, arXiv:2506.11860; {MIT[1]}"
LESJAK = "CC BY", "Lesjak et al., Neuroinformatics 2018"

RULES = (
    # data set, file, address below raw.githubusercontent.com, (licence, citation)
    ("ixi_hh_2mm", r"t1/(\w[\w-]*_T1\.nii\.gz)", rf"{IXI}/t1/\1", IXI_CREDIT),
    ("ixi_hh_2mm", r"labels/(\w[\w-]*_T1_DLMUSE\.nii\.gz)", rf"{IXI}/dlmuse_seg/\1", SBIA),
    ("t1_flair_2mm", r"(Subj\d+_T1)\.nii\.gz", rf"{FLAIR}/t1/\1.nii.gz", SBIA),
    ("t1_flair_2mm", r"(Subj\d+)_FLAIR\.nii\.gz", rf"{FLAIR}/fl/\1_FL.nii.gz", SBIA),
    ("t1_flair_2mm", r"(Subj\d+_T1_DLMUSE)\.nii\.gz", rf"{FLAIR}/dlmuse_seg/\1.nii.gz", SBIA),
    (
        "t1_flair_2mm",
        r"(Subj\d+)_FLAIR_lesions\.nii\.gz",
        rf"{FLAIR}/nichart_dlwmls_out/DLWMLS_FLAIR/\1_FL_DLWMLS.nii.gz",
        SBIA,
    ),
    ("avg152", r"(avg152\w+\.nii)", rf"{SPM}/\1", MNI),
    ("meshnet", r"((?:model5_gw_ae|model30chan18cls)/[\w.-]+)", rf"{BRAINCHOP}/\1", MIT),
    ("meshnet", r"(mindgrab/model\.\w+)", rf"{BRAINCHOP}/\1", MINDGRAB),
    ("ms_patient07", r"(\w+)\.nii\.gz", rf"{PATIENT}/\1{PATIENT_END}", LESJAK),
)
DATASETS = sorted({rule[0] for rule in RULES})


def line(root: Path, dataset: str, file: str) -> str | None:
    """The ledger's line of a file below ``root``; None if the study does not need it."""
    for known, pattern, address, (licence, citation) in RULES:
        if known == dataset and (match := re.fullmatch(pattern, file)):
            content = (root / dataset / file).read_bytes()
            url = f"https://raw.githubusercontent.com/{match.expand(address)}"
            checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
            cells = (dataset, file, url, "", str(len(content)), checksum, licence, citation, "")
            return "\t".join(cells)
    return None


def lines(root: Path) -> list[str]:
    """The lines of every file below ``root`` that the study needs, sorted."""
    files = (
        (dataset, path.relative_to(root / dataset).as_posix())
        for dataset in DATASETS
        for path in (root / dataset).rglob("*")
        if path.is_file()
    )
    return sorted(found for each in files if (found := line(root, *each)))


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1]))))
