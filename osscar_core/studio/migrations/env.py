"""What Alembic runs around revisions: they go over the connection that it was handed."""

from alembic import context

from osscar_core.studio.database import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
