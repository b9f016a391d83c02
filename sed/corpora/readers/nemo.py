"""nEMO: ``data.tsv`` (file_id, emotion, raw_text, normalized_text, speaker_id, gender, age), ``samples/*.wav``."""

from __future__ import annotations

from collections.abc import Iterator

from sed.corpora.entries import CorpusReader, Entry, ProblemLog
from sed.corpora.tables import find_label_file, index_by_name, read_table
from sed.corpora.tree import Tree, stem
from sed.labels import normalise_emotion, normalise_gender


def read(tree: Tree, problems: ProblemLog) -> Iterator[Entry]:
    """Yield the entries of a tree; see `CorpusReader.read`."""
    label_file = find_label_file(tree, r"data\.tsv", "data.tsv")
    files = index_by_name(tree.audio)
    for where, row in read_table(
        tree, label_file, ("file_id", "emotion", "speaker_id"), delimiter="\t", quoted=False
    ):
        name = row["file_id"]
        if (emotion := normalise_emotion(row["emotion"])) is None:
            problems.add(f"unknown emotion in {label_file}", f"{where} ({row['emotion']})")
        elif name.casefold() not in files:
            problems.add(f"listed in {label_file} but missing", name)
        else:
            yield Entry(
                id=stem(name),
                file=files[name.casefold()],
                speaker=row["speaker_id"],
                emotion=emotion,
                gender=normalise_gender(row.get("gender")),
                language="pl",
                text=row.get("raw_text") or None,
            )


READER = CorpusReader(
    name="nemo",
    title="nEMO: Dataset of Emotional Speech in Polish",
    languages="Polish",
    licence="CC BY-NC-SA 4.0",
    url="https://github.com/amu-cai/nEMO",
    read=read,
    published_utterances=(4481,),
    published_speakers=9,
    fixed_splits={"valid": ("SM0",), "test": ("KD0", "WR0")},
    split_summary="speakers KD0 and WR0 are test, SM0 valid, as in the scores of this project",
)
