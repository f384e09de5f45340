"""Schema 3: a run knows which files it names, and where they may lie."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add the column; runs from before read whatever they name, as they did."""
    op.add_column("runs", sa.Column("files", sa.Text))
