"""nEMO: ``data.tsv`` (file_id, emotion, raw_text, normalized_text, speaker_id, gender, age) and ``samples/*.wav``."""

from __future__ import annotations

from collections.abc import Iterator

from sed.corpora.emotion_words import emotion_word, gender_letter
from sed.corpora.entries import Entry, Notes, Preparer
from sed.corpora.tables import by_last_part, read_table, the_only
from sed.corpora.tree import Tree, stem


def read(tree: Tree, notes: Notes) -> Iterator[Entry]:
    """The entries of a tree; see `Preparer.read`."""
    label_file = the_only(tree, r"data\.tsv", "data.tsv")
    files = by_last_part(tree.audio)
    for where, row in read_table(
        tree, label_file, ("file_id", "emotion", "speaker_id"), delimiter="\t", quoted=False
    ):
        name = row["file_id"]
        if (emotion := emotion_word(row["emotion"])) is None:
            notes.add(f"with an emotion that is not known in {label_file}", f"{where} ({row['emotion']})")
        elif name.casefold() not in files:
            notes.add(f"that {label_file} names, but that are not there", name)
        else:
            yield Entry(
                id=stem(name),
                file=files[name.casefold()],
                speaker=row["speaker_id"],
                emotion=emotion,
                gender=gender_letter(row.get("gender")),
                language="pl",
                text=row.get("raw_text") or None,
            )


PREPARER = Preparer(
    name="nemo",
    title="nEMO: Dataset of Emotional Speech in Polish",
    languages="Polish",
    licence="CC BY-NC-SA 4.0",
    address="https://github.com/amu-cai/nEMO",
    read=read,
    utterances=(4481,),
    speakers=9,
    fixed={"valid": ("SM0",), "test": ("KD0", "WR0")},
    splits="speakers KD0 and WR0 are test, SM0 valid, as for this project's figures",
)
