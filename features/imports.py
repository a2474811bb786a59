"""An import: parsed rows into the history, each once, with its consent, its rejects and its counts."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from sqlalchemy import insert

from features import history
from features.consent import Basis, grant
from features.engine import connect
from features.erased import erased_among
from features.events import COLUMNS, KEY, MAX_CUSTOMER, SCHEMA, utc
from features.identity import ALIASED, named_by, note
from features.imported import ImportResult, earlier, imports, require_file
from features.ledger import Ledger
from features.redemptions import COUPON, NEEDED, redeem
from features.workspace import Workspace

DUPLICATE = "the same row again"
KNOWN = "already imported"
ERASED = "of a customer who was erased: not stored"
UNFIT = f"customer is longer than {MAX_CUSTOMER} characters, or customer or item holds NUL"
EXAMPLES = 3  # rejected rows shown per reason


@dataclass(frozen=True)
class Parsed:
    """What a source made of a file.

    `events` in `events.SCHEMA`; `rejected` has the column `reason` and the file's own columns; `noted` counts what was
    stored all the same, by what was odd about it; `catalog` holds items named by the file, or is None.
    """

    events: pa.Table
    rejected: pa.Table
    noted: Mapping[str, int]
    read: int
    catalog: pa.Table | None = None


def import_events(
    workspace: Workspace, parsed: Parsed, *, source: str, path: Path, mark: str, basis: Basis, time: datetime
) -> ImportResult:
    """Stores what is new, grants the basis to its customers and keeps the rejects.

    The order makes a crash harmless: rows first (each at most once by its key), then consent and redeemed codes, and
    the import's own row last, so that a repeated import completes whatever is missing.
    """
    ledger = Ledger.at(workspace.ledger)
    with history.locked(workspace):
        if done := earlier(workspace, mark):
            return done
        parsed, erased = _without_erased(ledger, _without_unfit(parsed))
        rows, repeated, known = _new_rows(workspace, parsed.events)
        if rows.num_rows:
            history.append(workspace, rows)
        _keep_catalog(workspace, parsed.catalog, source)
        customers = sorted(set(pc.unique(parsed.events["customer"]).to_pylist()) - {None})
        grant(ledger, customers, basis, source=source, time=time)
        with ledger.write() as connection:
            redeem(connection, _with_properties(parsed.events))
            note(connection, _aliases(parsed.events))
        odd = {DUPLICATE: repeated, KNOWN: known, ERASED: erased}
        noted = {**parsed.noted, **{name: count for name, count in odd.items() if count}}
        rejected, examples, kept = _keep_rejects(workspace, parsed.rejected, f"{source}-{mark[:12]}.csv")
        result = ImportResult(source, parsed.read, rows.num_rows, rejected, noted, rejects=kept, examples=examples)
        _remember(ledger, result, mark=mark, path=path, basis=basis, time=time)
    return result


def _without_unfit(parsed: Parsed) -> Parsed:
    """The rows whose ids no ledger would take are rejects, in the event's own columns."""
    customer, item = parsed.events["customer"], parsed.events["item"]
    faults = (
        pc.greater(pc.utf8_length(customer), MAX_CUSTOMER),
        pc.match_substring(customer, "\0"),
        pc.match_substring(item, "\0"),
    )
    unfit = reduce(pc.or_, (pc.fill_null(fault, fill_value=False) for fault in faults))
    if not pc.any(unfit).as_py():
        return parsed
    rows = parsed.events.filter(unfit)
    texts = pa.table({name: rows[name].cast(pa.string()) for name in COLUMNS})
    texts = texts.append_column("reason", pa.array([UNFIT] * rows.num_rows))
    before = parsed.rejected.cast(pa.schema([(name, pa.string()) for name in parsed.rejected.column_names]))
    rejected = pa.concat_tables([before, texts], promote_options="default")
    return replace(parsed, events=parsed.events.filter(pc.invert(unfit)), rejected=rejected)


def _without_erased(ledger: Ledger, parsed: Parsed) -> tuple[Parsed, int]:
    """Without the rows, and the rejects, that name somebody who was erased; how many events those were."""
    ids = [parsed.events["customer"], parsed.events["anonymous"]]
    unfit = [column.cast(pa.string()) for column in parsed.rejected.columns]
    named: set[str] = set().union(*(pc.unique(column).to_pylist() for column in [*ids, *unfit]))
    aliases = _aliases(parsed.events)
    with ledger.read() as connection:
        gone = erased_among(connection, named.union(*map(named_by, aliases)))
    if not gone:
        return parsed, 0
    again = {str(row["message_id"]) for row in aliases if named_by(row) & gone}
    kept = pc.invert(reduce(pc.or_, [_among(column, gone) for column in ids]))
    kept = pc.and_(kept, pc.invert(_among(parsed.events["message_id"], again)))
    events, rejected = parsed.events.filter(kept), parsed.rejected
    if unfit:
        rejected = rejected.filter(pc.invert(reduce(pc.or_, [_among(column, gone) for column in unfit])))
    return replace(parsed, events=events, rejected=rejected), parsed.events.num_rows - events.num_rows


def _among(column: pa.ChunkedArray, ids: set[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(sorted(ids), pa.string()))


def _aliases(events: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = events.filter(pc.equal(events["name"], ALIASED)).to_pylist()
    return rows


def _new_rows(workspace: Workspace, incoming: pa.Table) -> tuple[pa.Table, int, int]:
    """The rows whose key is new, how many were repeated within the file, and how many the history had."""
    backend = connect()
    past = history.read_history(workspace, backend)
    connection = backend.con
    connection.register("incoming", incoming.cast(SCHEMA))
    columns = ", ".join(COLUMNS)
    connection.execute(
        f"CREATE TEMP VIEW once AS SELECT {columns} FROM incoming "
        "QUALIFY row_number() OVER (PARTITION BY source, message_id, line) = 1"
    )
    sources = pc.unique(incoming["source"]).to_pylist()
    connection.register("waiting", history.waiting_keys(workspace))
    keys = ", ".join(KEY)
    connection.execute(
        f"CREATE TEMP TABLE old AS SELECT {keys} FROM {past.get_name()} WHERE list_contains($sources, source) "
        f"UNION ALL SELECT {keys} FROM waiting WHERE list_contains($sources, source)",
        {"sources": sources},
    )
    old = connection.execute("SELECT count(*) FROM old").fetchone()[0]
    fresh = "SELECT * FROM once" + (" ANTI JOIN old USING (source, message_id, line)" if old else "")
    rows = connection.execute(fresh).to_arrow_table().cast(SCHEMA)
    unique = rows.num_rows if not old else connection.execute("SELECT count(*) FROM once").fetchone()[0]
    return rows, incoming.num_rows - unique, unique - rows.num_rows


def _with_properties(events: pa.Table) -> list[dict[str, object]]:
    """The rows that may name a coupon."""
    named = pc.match_substring(events["properties"], f'"{COUPON}"')
    rows: list[dict[str, object]] = events.select(NEEDED).filter(named).to_pylist()
    return rows


def _keep_catalog(workspace: Workspace, catalog: pa.Table | None, source: str) -> None:
    """Keeps the file's items, and the items that only an earlier file of this source named."""
    if catalog is not None:
        folder = workspace.state / "catalog"
        folder.mkdir(exist_ok=True)
        path, temporary = folder / f"{source}.parquet", folder / f".{source}.parquet"
        if path.exists():
            before = pq.read_table(path)
            others = before.filter(pc.invert(pc.is_in(before["item"], value_set=catalog["item"])))
            catalog = pa.concat_tables([catalog, others], promote_options="permissive")
        pq.write_table(catalog, temporary)
        temporary.replace(path)


def _keep_rejects(
    workspace: Workspace, rejected: pa.Table, name: str
) -> tuple[dict[str, int], dict[str, list[str]], Path | None]:
    if not rejected.num_rows:
        return {}, {}, None
    workspace.rejects.mkdir(exist_ok=True)
    path = workspace.rejects / name
    pacsv.write_csv(rejected, path)
    counts = pc.value_counts(rejected["reason"]).to_pylist()
    examples = {}
    for count in counts:
        rows = rejected.filter(pc.equal(rejected["reason"], count["values"])).slice(0, EXAMPLES)
        examples[count["values"]] = [_shown(row) for row in rows.drop_columns("reason").to_pylist()]
    return {count["values"]: count["counts"] for count in counts}, examples, path


def _shown(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items() if value is not None)


def _remember(ledger: Ledger, result: ImportResult, *, mark: str, path: Path, basis: Basis, time: datetime) -> None:
    row = {
        "fingerprint": mark,
        "source": result.source,
        "file": path.name,
        "time": utc(time),
        "read": result.read,
        "stored": result.stored,
        "rejected": orjson.dumps(result.rejected).decode(),
        "noted": orjson.dumps(result.noted).decode(),
        "basis": orjson.dumps({"purposes": basis.purposes, "proof": basis.proof}).decode(),
    }
    with ledger.write() as connection:
        connection.execute(insert(imports), row)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What the engine finds wrong with the file while it reads becomes one line that names the file."""
    try:
        yield
    except duckdb.Error as error:
        raise ValueError(f"{path}: could not be read: {_cause(error)}") from None


def relation(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    """A CSV (everything as text) or Parquet file as a relation; one clear line when it is neither."""
    if not require_file(path).stat().st_size:
        raise ValueError(f"{path}: holds nothing; a header and rows are needed")
    kinds = {".parquet": _parquet, ".pq": _parquet, **dict.fromkeys((".csv", ".tsv", ".txt", ".gz"), _csv)}
    if path.suffix.lower() not in kinds:
        raise ValueError(f"{path}: the name ends in {path.suffix!r}; CSV (.csv, .tsv, .txt, .gz) or Parquet is needed")
    with readable(path):
        found = kinds[path.suffix.lower()](connection, path)
        if not found.filter(_holds_something(found.columns)).limit(1).to_arrow_table().num_rows:
            raise ValueError(f"{path}: holds no row; a header and at least one row are needed")
    return found


def _holds_something(columns: list[str]) -> str:
    """SQL: a column is more than blank; of blank lines DuckDB makes empty rows, and a name for their column."""
    names = ['"' + name.replace('"', '""') + '"' for name in columns]
    return " OR ".join(f"trim({name}::VARCHAR) <> ''" for name in names)


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    return connection.read_parquet(str(path))


def _csv(connection: duckdb.DuckDBPyConnection, path: Path) -> duckdb.DuckDBPyRelation:
    """The file's rows as text. One line of another length makes DuckDB see a single column: the header then decides."""
    found = connection.read_csv(str(path), header=True, all_varchar=True)
    if found.columns[0].startswith('"'):  # after a byte order mark it does not see that the header is quoted
        found = connection.read_csv(str(path), header=True, all_varchar=True, quotechar='"', escapechar='"')
    mark = next((mark for mark in ",;\t|" if mark in found.columns[0]), None) if len(found.columns) == 1 else None
    if mark is None:
        return found
    names = next(csv.reader([found.columns[0]], delimiter=mark))
    columns = dict.fromkeys(names, "VARCHAR")
    return connection.read_csv(str(path), header=True, sep=mark, quotechar='"', columns=columns, auto_detect=False)


def moment(text: str) -> str:
    """SQL: the text as a time in UTC, null where it is none; without a zone it is in the connection's.

    Beside ISO 8601 it reads the day first with dots, as in 24.12.2025; with slashes nobody can tell day from month.
    """
    dotted = "['%d.%m.%Y', '%d.%m.%Y %H:%M', '%d.%m.%Y %H:%M:%S']"
    return f"timezone('UTC', coalesce(TRY_CAST({text} AS TIMESTAMPTZ), try_strptime({text}, {dotted})::TIMESTAMPTZ))"


def _cause(error: duckdb.Error) -> str:
    """What DuckDB found, without the line it found it in: that may be gigabytes long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Original Line")]
    found = next((line for line in lines if line.startswith("Maximum line size")), None)
    return found[:300] if found else " ".join(line[:300] for line in lines[:2])[:300]
