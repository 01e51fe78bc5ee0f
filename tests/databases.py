"""Databases for tests, made on the run's one server."""

from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier


def url_of(admin_url: str, name: str) -> str:
    return urlsplit(admin_url)._replace(path=f"/{name}").geturl()


def create_database(admin_url: str, name: str, *, template: str = "template1") -> None:
    _run(admin_url, SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))


def drop_database(admin_url: str, name: str) -> None:
    _run(admin_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _run(admin_url: str, statement: psycopg.sql.Composed) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(statement)
