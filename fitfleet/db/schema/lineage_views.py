"""The view of which trial of population-based training continues which."""

from __future__ import annotations

COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "lineage": [
        ("sweep", "text", "name of a sweep by population-based training"),
        ("experiment", "text", "its experiment"),
        ("generation", "integer", "0 is the first"),
        ("member", "integer", "number of the member in the population, from 0"),
        ("trial", "integer", "number of the trial"),
        ("job_id", "integer", "its job; NULL: it was refused"),
        ("parent_job_id", "integer", "job whose fit it continues; NULL in generation 0"),
        ("parent_member", "integer", "the member whose job that is"),
        ("is_exploited", "integer", "1 where that is another member: its own was replaced"),
        ("params", "json", "JSON object of its hyperparameters"),
        ("changes", "json", 'JSON object {parameter: {"from": ..., "to": ...}}, to the parent\'s'),
    ]
}

_VIEW = """
SELECT s.name AS sweep, e.name AS experiment, t.generation AS generation, t.member AS member,
  t.number AS trial, tj.job_id AS job_id, pj.job_id AS parent_job_id, p.member AS parent_member,
  CASE WHEN p.member <> t.member THEN 1 ELSE 0 END AS is_exploited, t.point AS params,
  t.changes AS changes
FROM trials t JOIN sweeps s ON s.id = t.sweep_id JOIN experiments e ON e.id = s.experiment_id
  LEFT JOIN trial_jobs tj
    ON tj.sweep_id = t.sweep_id AND tj.number = t.number AND tj.replicate = 0
  LEFT JOIN trials p ON p.sweep_id = t.sweep_id AND p.number = t.parent
  LEFT JOIN trial_jobs pj
    ON pj.sweep_id = t.sweep_id AND pj.number = t.parent AND pj.replicate = 0
WHERE t.generation IS NOT NULL AND e.removing IS NULL"""


def definitions() -> dict[str, str]:
    """The SELECT of the view."""
    return {"lineage": _VIEW}
