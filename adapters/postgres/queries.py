"""Loads the named queries of one subject from its .sql file."""

from pathlib import Path
from typing import Any

import aiosql

SQL = Path(__file__).parent / "sql"


def load_queries(subject: str) -> Any:
    """Return the queries of `sql/<subject>.sql` as functions of a connection and named parameters.

    aiosql is untyped, so the classes beside this file wrap each query in a typed method. A query without a suffix is
    a generator: it runs only when it is consumed.
    """
    return aiosql.from_path(SQL / f"{subject}.sql", "psycopg")
