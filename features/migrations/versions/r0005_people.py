"""Who is who, what of consent is for one address or topic, and whose ids were erased."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up in a column of type INTEGER only


def upgrade() -> None:
    """Creates the tables and columns; live events that wait tell their devices."""
    op.create_table(
        "aliases",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("previous", sa.String(256), nullable=False),
        sa.Column("customer", sa.String(256), nullable=False),
        sa.Column("device", sa.Boolean, nullable=False),
        sa.Column("time", sa.DateTime, nullable=False),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("message_id", sa.Text, nullable=False),
    )
    op.create_index("ix_aliases_previous", "aliases", ["previous"])
    op.create_index("ix_aliases_customer", "aliases", ["customer"])
    op.create_table(
        "erased",
        sa.Column("hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("time", sa.DateTime, nullable=False),
    )
    op.add_column("consents", sa.Column("address", sa.String(256)))
    op.add_column("consents", sa.Column("topic", sa.String(64)))
    op.add_column("events", sa.Column("anonymous", sa.Text))
    op.create_index("events_anonymous", "events", ["anonymous"])
    _tell_devices()


def _tell_devices() -> None:
    connection = op.get_bind()
    events = sa.table("events", sa.column("sequence"), sa.column("body"), sa.column("anonymous"))
    for sequence, body in connection.execute(sa.select(events.c.sequence, events.c.body)).all():
        device = json.loads(body)["anonymous"]
        if device is not None:
            told = sa.update(events).where(events.c.sequence == sequence)
            connection.execute(told.values(anonymous=device))
