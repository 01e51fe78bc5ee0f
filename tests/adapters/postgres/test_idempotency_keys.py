"""A key is taken once, for one content."""

import psycopg
import pytest

from adapters.postgres.connection import Pool
from adapters.postgres.idempotency_keys import IdempotencyKeys
from domain.command import KeyUsedError
from tests.adapters.postgres.samples import NOON


def test_a_key_is_taken_for_one_content(pool: Pool) -> None:
    keys = IdempotencyKeys(pool)

    keys.take("k1", digest=b"1" * 32, now=NOON)
    keys.take("k1", digest=b"1" * 32, now=NOON)
    keys.take("k2", digest=b"2" * 32, now=NOON)

    with pytest.raises(KeyUsedError):
        keys.take("k1", digest=b"2" * 32, now=NOON)


@pytest.mark.parametrize("command", ["UPDATE idempotency_key SET digest = digest", "DELETE FROM idempotency_key"])
def test_a_key_is_never_given_to_something_else(pool: Pool, command: str) -> None:
    with pool.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(command.encode())
