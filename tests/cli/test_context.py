"""``sed-context``: tables and annotations in, a context and what it is worth out."""

import numpy as np
import pytest
from click.testing import CliRunner
from dialogue_worlds import LABELS, conversation, transition

from sed.cli.context import main
from sed.corpora.dialogues import read_conversations
from sed.emotion.context import read_context
from sed.errors import FormatError

MELD = """Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season
1,"Well, hi",Ross,joy,positive,0,1,3
2,Hello,Rachel,neutral,neutral,0,0,3
3,No!,Ross,anger,negative,1,0,3
4,Why?,Joey,,negative,1,1,3
"""


def write_table(path, seed, inertia, contagion, conversations=30):
    rng, chances = np.random.default_rng(seed), transition(inertia, contagion)
    rows = ["conversation\tspeaker\temotion"]
    for number in range(conversations):
        names, emotions = conversation(rng, chances, 20)
        rows += [f"c{number}\t{name}\t{LABELS[e]}" for name, e in zip(names, emotions, strict=True)]
    path.write_text("\n".join(rows))


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_melds_table_is_read_in_the_order_of_its_turns(tmp_path):
    (tmp_path / "m.csv").write_text(MELD)
    assert read_conversations(tmp_path / "m.csv") == [
        [("Rachel", "neutral"), ("Ross", "happy")],
        [("Ross", "angry")],
    ]


def test_annotations_are_conversations_and_csv_of_this_project_is_one(tmp_path):
    (tmp_path / "a.rttm").write_text(
        "SPEAKER call 1 2.0 1.0 sad <NA> b <NA> <NA>\nSPEAKER call 1 0.0 1.0 Anger <NA> a <NA> <NA>\n"
    )
    (tmp_path / "b.csv").write_text(
        "file,start,end,speaker,emotion\ncall.wav,2,3,b,sad\ncall.wav,0,1,a,anger\n"
    )
    for name in ("a.rttm", "b.csv"):
        assert read_conversations(tmp_path / name) == [[("a", "angry"), ("b", "sad")]]


def test_it_writes_a_context_and_states_what_each_table_gains(tmp_path):
    for name, inertia, contagion in (("one", 0.4, 0.4), ("two", 0.4, 0.4), ("chance", 0.0, 0.0)):
        write_table(tmp_path / f"{name}.tsv", len(name), inertia, contagion)
    names = [tmp_path / f"{name}.tsv" for name in ("one", "two", "chance")]
    result = run(*names, "-o", tmp_path / "c.json", "--strength", 0.5)
    assert result.exit_code == 0, result.output
    assert "90 conversations, 1800 turns, angry, happy, neutral, sad" in result.output
    gains = [float(line.split(": ")[1].split()[0]) for line in result.output.splitlines()[1:]]
    assert gains[0] > 0.05 and gains[1] > 0.05 > gains[2]
    assert (read_context(tmp_path / "c.json").strength, read_context(tmp_path / "c.json").turns) == (
        0.5,
        1800,
    )
    one = run(names[0], "-o", tmp_path / "d.json")
    assert "part 5 of 5" in one.output and one.output.count("+0.") == 5
    assert run(names[0], "-o", tmp_path / "e.json", "-q").output == ""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.csv",
            "conversation,speaker\n1,a\n",
            "found no column emotion, expected both beside conversation",
        ),
        ("a.csv", "conversation,speaker,emotion\n1,a,\n", "found no turn with a speaker and an emotion"),
        ("a.csv", "conversation,speaker,emotion,start\n1,a,sad,x\n", "line 2: found time 'x'"),
        ("a.rttm", "SPEAKER call 1 0 1 <NA> <NA> a <NA> <NA>\n", "found no turn"),
    ],
)
def test_other_tables_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=message):
        read_conversations(tmp_path / name)
    result = run(tmp_path / name, "-o", tmp_path / "c.json")
    assert result.exit_code == 1 and message in result.output and not (tmp_path / "c.json").exists()
