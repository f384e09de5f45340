"""Schema 2: the list of one owner's runs has an index; Alembic knows the revision."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Add the index, and keep earlier releases from writing to what they do not know."""
    op.create_index("runs_by_owner", "runs", ["owner", "created"])
    facts = sa.table("runs_facts", sa.column("name"), sa.column("value"))
    # Earlier releases look here, and refuse anything above 1.
    op.execute(facts.update().where(facts.c.name == "schema").values(value="2"))
