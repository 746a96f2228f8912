"""Alembic's entry: runs revisions on the connection that ``database.ensure_schema`` hands over."""

from __future__ import annotations

from alembic import context

from casebase.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
