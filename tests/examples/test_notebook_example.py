"""The notebook of the examples, run in a real kernel with real workers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


def _html(cell: Any) -> str:
    return " ".join(str(output.get("data", {}).get("text/html", "")) for output in cell.outputs)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}
    )
    _, _, _, wait, compare, predict, plot, _ = client.execute().cells
    assert "SUCCEEDED" in _html(wait)
    assert re.search("units.*val_loss", _html(compare), re.S)
    assert "array([[" in str(predict.outputs)
    assert any("image/png" in output.get("data", {}) for output in plot.outputs)
