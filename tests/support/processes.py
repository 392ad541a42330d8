"""The processes of a worker service."""

from __future__ import annotations

import psutil

from fitfleet.worker.process import fork_server


def fitting_children(service: psutil.Process) -> list[psutil.Process]:
    """Its children that fit, or import what they need for it: all but the one that forks them."""
    return [child for child in service.children() if child.name() != fork_server.NAME]


def forking_child(service: psutil.Process) -> psutil.Process:
    """The child that forks the others."""
    (server,) = [child for child in service.children() if child.name() == fork_server.NAME]
    return server
