"""Alembic's entry: run inside the connection and transaction that Database.upgrade holds."""

from alembic import context

from fitfleet.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the only one
)
context.run_migrations()
