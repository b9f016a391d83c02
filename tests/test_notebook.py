"""The notebook in `demo`: its cells run in order, and what they show is about the conversation."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_cells_run_in_order(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = json.loads((ROOT / "demo" / "analysis.ipynb").read_text(encoding="utf-8"))["cells"]
    names, shown = {}, []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        assert not cell["outputs"], "outputs belong to a run, not to the repository"
        *body, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        assert isinstance(last, ast.Expr), "every cell shows something"
        shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    result, frame, summary, moments, figure = shown
    assert "<svg" in result._repr_html_() and list(frame["start"]) == [s.start for s in result][:5]
    assert list(summary.index) == list(result.speaker_names)
    assert summary["talk_time"].sum() == pytest.approx(
        sum(s.duration for s in result), abs=0.06 * len(summary)
    )  # shown to 0.1 s
    assert "neutral" not in set(moments["emotion"]) and moments["confidence"].is_monotonic_decreasing
    assert len(figure.axes[0].collections) == len(result.labels)
