"""The first schema: imports, consents, live events, decisions, and the files that a user asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up in a column of type INTEGER only


def upgrade() -> None:
    """Creates the tables and their indexes."""
    op.create_table(
        "imports",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("read", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.Text, nullable=False),
        sa.Column("noted", sa.Text, nullable=False),
        sa.Column("basis", sa.Text, nullable=False),
    )
    op.create_table(
        "consents",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("customer", sa.String(256), nullable=False),
        sa.Column("channel", sa.String(32)),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("granted", sa.Boolean, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("proof", sa.Text, nullable=False),
    )
    op.create_index("consents_customer", "consents", ["customer", "purpose"])
    op.create_table(
        "events",
        sa.Column("sequence", NUMBER, primary_key=True),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("customer", sa.String(256)),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table("message_keys", sa.Column("key", sa.LargeBinary(16), primary_key=True), sqlite_with_rowid=False)
    op.create_index("events_customer", "events", ["customer"])
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("customer", sa.String(256)),
        sa.Column("policy", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64)),
        sa.Column("model_version", sa.String(32)),
        sa.Column("workspace_hash", sa.String(12), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("fallback", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("chosen", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
    )
    op.create_index("decisions_customer_time", "decisions", ["customer", "time"])
    op.create_table(
        "files",
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
    )
