"""Schema 1: runs are rows of a table that is also the queue."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make both tables as the first release with a database made them."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("queued", sa.Float, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("device", sa.String(32), nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("fraction", sa.Float, nullable=False),
        sa.Column("overall", sa.Float, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("step_started", sa.Float, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        sa.Column("run_seconds_left", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("remedy", sa.Text, nullable=False),
        sa.Column("error_id", sa.String(16), nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("step_seconds", sa.Text, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("is_starred", sa.Boolean, nullable=False),
        sa.Column("is_imported", sa.Boolean, nullable=False),
        sa.Column("deleted_at", sa.Float),
        sa.Column("cancel_asked", sa.Float),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_started", sa.BigInteger),
        sa.Column("resumes", sa.Integer, nullable=False),
    )
    op.create_index("runs_by_state", "runs", ["state", "queued"])
    op.create_index("runs_by_key", "runs", ["key", "owner"])
    op.create_table(
        "runs_facts",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
