"""Tab-separated tables that people write: parsed forgivingly, checked row by row."""

from collections.abc import Callable, Mapping
from pathlib import Path

from lmidiff.common.errors import StudyError
from lmidiff.common.schema import check, columns


def read_tsv(
    path: str | Path, schema: str, what: str, name_of: Callable[[Mapping[str, str]], str]
) -> list[tuple[str, dict[str, str]]]:
    """Read a UTF-8 TSV whose rows fit ``schemas/<schema>.schema.yaml``.

    Columns are in any order. Empty lines and lines that start with ``#`` are skipped; quotes
    around a cell and blanks beside it are dropped; empty cells at the end may lack their tabs.

    Args:
        path: the table.
        schema: name of the schema; its ``required`` are the columns that must be there.
        what: the table in words, for messages.
        name_of: what messages call a row, "" for no name.

    Returns:
        For each row its place, ``file, line 3 (name)``, and its cells by column, all columns of
        the schema, ``""`` where empty.

    Raises:
        StudyError: one line with the file, the line and the mend.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StudyError(f"{path}: {what} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path}: {what} is not UTF-8 text; save it as tab-separated UTF-8"
        ) from error
    lines = [
        (number, [cell.strip().strip('"').strip() for cell in line.split("\t")])
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    required, optional = columns(schema)
    if not lines:
        raise StudyError(f"{path}: the {what} is empty; its header is {', '.join(required)}")
    number, header = lines[0]
    _check_header(header, required, optional, f"{path}, line {number}")
    rows = []
    for number, cells in lines[1:]:
        place = f"{path}, line {number}"
        # Spreadsheets drop the tabs of trailing empty cells.
        cells += [""] * (len(header) - len(cells))
        if len(cells) > len(header):
            raise StudyError(
                f"{place}: {len(cells)} cells under {len(header)} columns; take out the extra tab"
            )
        given = dict(zip(header, cells, strict=True))
        row = {column: given.get(column, "") for column in (*required, *optional)}
        place = f"{place} ({name_of(row)})" if name_of(row) else place
        check(row, schema, place)
        rows.append((place, row))
    return rows


def _check_header(header: list[str], required: list[str], optional: list[str], place: str) -> None:
    if len(header) == 1 and "," in header[0]:
        raise StudyError(f"{place}: columns are separated by commas; save it with tabs")
    known = ", ".join([*required, *optional])
    for number, column in enumerate(header, start=1):
        if not column:
            raise StudyError(
                f"{place}: column {number} is empty; take it out, or name it ({known})"
            )
        if column not in required + optional:
            raise StudyError(f"{place}: unknown column {column!r}; columns are {known}")
        if header.count(column) > 1:
            raise StudyError(f"{place}: column {column!r} is there twice; keep one")
    for column in required:
        if column not in header:
            raise StudyError(f"{place}: column {column!r} is missing; add it ({known})")
