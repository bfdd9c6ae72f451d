"""Which files of the ledger a study reads, where they lie, and what tells that they are verified.

Rules depend on a file's *receipt*, which the rule ``fetch`` writes, and not on the file: Snakemake
deletes the outputs of a job that it repeats, and an archive of gigabytes, or a file that somebody
put there by hand, is not to be deleted.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.files import split_volume
from lmidiff.data.fetch import is_verified
from lmidiff.data.ledger import Entry, read_ledger, verify

LEDGER = "config/datasets.tsv"


def ordered(order: Mapping[str, str], roots: Iterable[str]) -> tuple[Entry, str, str]:
    """A job's file: its row of the ledger, where it is or will be, and its receipt.

    Args:
        order: see :meth:`Downloads.order`.
        roots: the config's ``data.roots``.
    """
    name = order["dataset"], order["file"]
    downloads = Downloads(read_ledger(LEDGER), [Path(root) for root in roots])
    return downloads.entry(*name), downloads.path(*name), downloads.receipt(*name)


class Downloads:
    """The ledger's files as a study sees them.

    Args:
        ledger: its entries.
        roots: the config's ``data.roots``; what is fetched goes into the first.
    """

    def __init__(self, ledger: Iterable[Entry], roots: Sequence[Path]) -> None:
        self.entries = {(entry.dataset, entry.file): entry for entry in ledger}
        self.roots = roots
        self.root = roots[0] if roots else Path("resources")

    def entry(self, dataset: str, file: str) -> Entry:
        """A row of the ledger.

        Raises:
            StudyError: there is none.
        """
        try:
            return self.entries[dataset, file]
        except KeyError:
            raise StudyError(f"{LEDGER}: no line for {file} of {dataset}") from None

    def files(self, dataset: str) -> list[str]:
        """Names of a data set's files, sorted; none if the ledger does not know it."""
        return sorted(file for known, file in self.entries if known == dataset)

    def path(self, dataset: str, file: str) -> str:
        """Where a file is, in the first of the roots that has it, or where it will be."""
        places = [root / dataset / file for root in self.roots]
        found = next((place for place in places if place.is_file()), None)
        return str(found or self.root / dataset / file)

    def target(self, dataset: str, file: str) -> str:
        """Where a file will be when it has been fetched."""
        return str(self.root / dataset / file)

    def receipt(self, dataset: str, file: str) -> str:
        """The file that remembers a verification."""
        return f"{self.target(dataset, file)}.verified"

    def order(self, dataset: str, file: str) -> dict[str, str]:
        """What a job is told of a file, and what repeats the job when it changes.

        Where the bytes come from, and where they lie, is left out: they are the same bytes.
        """
        checksum = self.entry(dataset, file).checksum
        return {"dataset": dataset, "file": file, "checksum": checksum}

    def place(self, name: str) -> str:
        """Where ``<dataset>/<file>`` of the ledger is, or will be."""
        return self.path(*name.split("/", 1))

    def stand_ins(self, names: Sequence[str]) -> list[str]:
        """What a rule waits for that reads these files, named ``<dataset>/<file>``."""
        return [self.stand_in(self.place(name)) for name in names]

    def stand_in(self, path: str) -> str:
        """What a rule that reads ``path`` waits for: its receipt if it is fetched, else itself.

        A file that was verified and has changed since is checked here and now.

        Raises:
            StudyError: it is not the ledger's file any more, or its name has braces, which a rule
                would take for a wildcard.
        """
        if "{" in path or "}" in path:
            raise StudyError(f"{path}: a file or folder has braces in its name; rename it")
        path = str(split_volume(path)[0])
        if not Path(path).is_relative_to(self.root):
            return path
        dataset, _, file = Path(path).relative_to(self.root).as_posix().partition("/")
        key = dataset, file
        if key not in self.entries:
            return path
        entry, receipt = self.entries[key], self.receipt(*key)
        if Path(path).exists() and Path(receipt).exists() and not is_verified(entry, path, receipt):
            verify(entry, path)
        return receipt
