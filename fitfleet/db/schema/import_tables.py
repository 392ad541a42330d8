"""Points of a sweep that another program has measured: the table, and the view over it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from fitfleet.db.schema.metadata import metadata

imported_trials = Table(
    "imported_trials",  # the view over it is `imported_points`
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # in the order given
    Column("source", Text, nullable=False),
    Column("trial", Text, nullable=False),
    Column("point", Text, nullable=False),  # JSON object {parameter: value}
    Column("objectives", Text, nullable=False),  # JSON object {objective: value}
    Column("left_out", Text),
    Column("unused", Text),
)

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "imported_points": [
        ("sweep", "text", "name of the sweep that was given the point by points_from"),
        ("experiment", "text", "its experiment"),
        ("number", "integer", "0 is the first, in the order in which they were given"),
        ("source", "text", "where it was measured: optuna:<study> or keras_tuner:<project>"),
        ("source_trial", "text", "number of the trial there"),
        ("params", "json", "JSON object of the sweep's parameters, as far as they fit"),
        ("objectives", "json", "JSON object {objective: value}; null: it is not finite"),
        ("left_out", "text", "values of the trial that did not fit; NULL: none"),
        ("unused", "text", "why the search does not learn from it; NULL: it does"),
    ]
}

_VIEW = """
SELECT s.name AS sweep, e.name AS experiment, i.number AS number, i.source AS source,
  i.trial AS source_trial, i.point AS params, i.objectives AS objectives, i.left_out AS left_out,
  i.unused AS unused
FROM imported_trials i JOIN sweeps s ON s.id = i.sweep_id
  JOIN experiments e ON e.id = s.experiment_id AND e.removing IS NULL"""


def definitions() -> dict[str, str]:
    """The SELECT of the view."""
    return {"imported_points": _VIEW}
