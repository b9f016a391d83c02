"""Tables in a corpus: CSV and TSV as rows with checked columns; and finding the files that they name."""

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
    """Each row with the place it has in messages; values without blanks around them, None as empty text.

    Raises `FormatError` where one of `columns` is missing, and where a row has more cells than the header. Case
    doesn't count in the names of `columns`.
    """
    content = io.StringIO(tree.text(name))
    reader = csv.DictReader(
        content, delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    )
    try:
        fields = [(field or "").strip() for field in reader.fieldnames or []]
        known = {column.casefold(): column for column in columns}
        reader.fieldnames = [known.get(field.casefold(), field) for field in fields]
        if lacking := [column for column in columns if column not in reader.fieldnames]:
            raise FormatError(
                f"{tree.title}, {name}: no column {', '.join(lacking)}: found {', '.join(fields)}"
            )
        for row in reader:
            check_cells(row, f"{tree.title}, {name}, line {reader.line_num}")
            values = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            yield f"{name}, line {reader.line_num}", values
    except csv.Error as error:
        raise FormatError(f"{tree.title}, {name}, line {reader.line_num}: not a table ({error})") from None


def the_only(tree: Tree, pattern: str, called: str) -> str:
    """The file whose last part matches; of several the one nearest to the root.

    Raises `FormatError` where there is none.
    """
    found = sorted(tree.called(pattern), key=lambda name: (name.count("/"), name))
    if not found:
        raise FormatError(f"{tree.title}: found no label file {called}, expected one")
    return found[0]


def by_last_part(names: Iterable[str]) -> dict[str, str]:
    """Files by their last part in lower case; of several with one name the first."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(name.rsplit("/", 1)[-1].casefold(), name)
    return found
