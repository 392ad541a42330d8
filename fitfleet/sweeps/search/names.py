"""The names of searches, and what each can do."""

from __future__ import annotations

OWN = ("grid", "random")
OPTUNAS = ("tpe", "gp", "cmaes", "qmc")
PBT = "pbt"
SEARCHES = (*OWN, *OPTUNAS, PBT)
# Those that ask for a point by the values of others; qmc spreads its points evenly.
LEARNING = ("tpe", "gp", "cmaes")
# Those to which a point without one of the parameters hides that parameter.
WHOLE_POINTS = ("gp", "cmaes")
