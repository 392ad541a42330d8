"""The database: every statement, by what it is about.

A folder imports from those below it in this list only (held by import-linter):

- `reading`, `pages`: what handles, displays and pages show; nothing there writes
- `sweeps`: sweeps, their trials, which trial continues which
- `jobs`: jobs and experiments as users write them
- `scheduling`: which job goes next, and which come back to the queue
- `fleet`: workers, the room on their slots and devices
- `attempts`: what a worker writes of the job it holds, fenced by its claim
- `specs`: what many jobs have in common, stored once
- `accounts`: users, tokens, quotas, webhooks, the log of changes
- `session`, `events` and the other files here: the connection, and what all folders use
- `migrations`: from an older schema to this one
- `schema`: tables and views
"""
