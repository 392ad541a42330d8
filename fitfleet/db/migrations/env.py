"""Alembic's entry: run inside the connection and transaction that Database.upgrade holds."""

from alembic import context

from fitfleet.db.schema import views
from fitfleet.db.schema.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is the only one
)
if context.get_context().get_current_revision() != context.get_head_revision():
    # Views hold on to the columns they show, so they go first and come back last, as they are now.
    views.drop(connection)
    context.run_migrations()
    views.create(connection)
