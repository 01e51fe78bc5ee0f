"""A key is accepted until it is revoked, and its secret is kept nowhere."""

from datetime import timedelta

import psycopg
import pytest

from adapters.postgres.api_keys import ALL_SCOPES, USE_NOTED_EVERY, ApiKeys, Scope
from adapters.postgres.connection import Pool
from tests.adapters.postgres.samples import NOON


@pytest.fixture
def keys(pool: Pool) -> ApiKeys:
    return ApiKeys(pool)


def test_a_key_opens_until_it_is_revoked(keys: ApiKeys) -> None:
    key = keys.create("shop", now=NOON)
    (listed,) = keys.list()

    owner = keys.owner_of(key)
    assert owner is not None
    assert (owner.key_id, owner.name, owner.scopes) == (listed.id, "shop", ALL_SCOPES)
    assert keys.revoke(listed.id, now=NOON)
    assert keys.revoke(listed.id, now=NOON.replace(year=2027))
    assert keys.owner_of(key) is None
    assert [known.revoked_at for known in keys.list()] == [NOON]


def test_a_key_of_another_secret_is_refused(keys: ApiKeys) -> None:
    key = keys.create("shop", now=NOON)
    other = keys.create("other", now=NOON)

    assert keys.owner_of(key[:21] + other[21:]) is None
    for nonsense in ("", "tootsoo_", key[:-1], key + "x", "x" * 10_000, "tootsoo_000000000000_" + "A" * 43):
        assert keys.owner_of(nonsense) is None


def test_the_secret_is_kept_nowhere(keys: ApiKeys, pool: Pool) -> None:
    key = keys.create("shop", now=NOON)

    with pool.connection() as connection:
        stored = str(connection.execute("SELECT * FROM api_key").fetchall())

    assert key.rsplit("_", 1)[1] not in stored


def test_revoking_an_unknown_key_says_so(keys: ApiKeys) -> None:
    assert not keys.revoke("000000000000", now=NOON)


def test_a_key_has_the_scopes_that_it_was_made_with(keys: ApiKeys) -> None:
    reading = keys.owner_of(keys.create("dashboard", now=NOON, scopes=[Scope.READ]))

    assert reading is not None
    assert reading.scopes == {Scope.READ}
    assert [key.scopes for key in keys.list()] == [{Scope.READ}]
    with pytest.raises(psycopg.errors.CheckViolation):
        keys.create("nobody", now=NOON, scopes=[])


def test_the_last_use_is_known_to_within_a_minute(keys: ApiKeys) -> None:
    keys.create("shop", now=NOON)
    (unused,) = keys.list()

    keys.note_use(unused.id, now=NOON)
    keys.note_use(unused.id, now=NOON + USE_NOTED_EVERY - timedelta(seconds=1))
    within = keys.list()[0].last_used_at
    keys.note_use(unused.id, now=NOON + USE_NOTED_EVERY)

    assert unused.last_used_at is None
    assert within == NOON
    assert keys.list()[0].last_used_at == NOON + USE_NOTED_EVERY
