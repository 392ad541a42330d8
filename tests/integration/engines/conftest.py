"""Engines without a fleet: jobs in memory, hooks that write down what they are given."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
