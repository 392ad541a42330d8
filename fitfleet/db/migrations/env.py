"""Alembic's entry: run inside the connection and transaction that Database.upgrade holds."""

from alembic import context

from fitfleet.db.schema import views
from fitfleet.db.schema.tables import metadata


def migrate() -> None:
    """Run the migrations on the connection that Alembic was given."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=False,  # the caller's transaction is the only one
    )
    if context.get_context().get_current_revision() != context.get_head_revision():
        # Views depend on the columns they show: they are dropped first and created again last.
        views.drop(connection)
        context.run_migrations()
        views.create(connection)


# Alembic executes this file; tools that only import every module run nothing.
if hasattr(context, "config"):
    migrate()
