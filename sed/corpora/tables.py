"""CSV and TSV tables in a corpus, read as rows with checked columns; lookup of label files and audio files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from sed.corpora.tree import Tree
from sed.errors import FormatError
from sed.formats.csv import check_cells


def read_table(
    tree: Tree, name: str, columns: Sequence[str], *, delimiter: str = ",", quoted: bool = True
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the location (for messages) and the values of each row; values are stripped, missing ones are empty.

    Raises `FormatError` if one of `columns` (case-insensitive) is missing or a row has more cells than the header.
    """
    content = io.StringIO(tree.read_text(name))
    rows = csv.DictReader(
        content, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    )
    try:
        header = [(field or "").strip() for field in rows.fieldnames or []]
        known = {column.casefold(): column for column in columns}
        rows.fieldnames = [known.get(field.casefold(), field) for field in header]
        if missing := [column for column in columns if column not in rows.fieldnames]:
            raise FormatError(
                f"{tree.title}, {name}: found no column {', '.join(missing)} among {', '.join(header)}"
            )
        for row in rows:
            check_cells(row, f"{tree.title}, {name}, line {rows.line_num}")
            values = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            yield f"{name}, line {rows.line_num}", values
    except csv.Error as error:
        raise FormatError(f"{tree.title}, {name}, line {rows.line_num}: invalid table ({error})") from None


def find_label_file(tree: Tree, pattern: str, description: str) -> str:
    """The file whose name without folders matches the regular expression `pattern`; the one nearest to the root.

    Raises `FormatError` if there is none; the message names `description`.
    """
    found = sorted(tree.matching(pattern), key=lambda name: (name.count("/"), name))
    if not found:
        raise FormatError(f"{tree.title}: found no label file {description}, expected one")
    return found[0]


def index_by_name(names: Iterable[str]) -> dict[str, str]:
    """Map the lower-case file name without folders to each of `names`; the first of several equal ones is used."""
    index: dict[str, str] = {}
    for name in names:
        index.setdefault(name.rsplit("/", 1)[-1].casefold(), name)
    return index
