"""From an older schema to this one."""
