"""A key is accepted until it is revoked, and its secret is kept nowhere."""

import pytest

from adapters.postgres.api_keys import ApiKeys
from adapters.postgres.connection import Pool
from tests.adapters.postgres.samples import NOON


@pytest.fixture
def keys(pool: Pool) -> ApiKeys:
    return ApiKeys(pool)


def test_a_key_opens_until_it_is_revoked(keys: ApiKeys) -> None:
    key = keys.create("shop", now=NOON)
    (listed,) = keys.list()

    assert keys.owner_of(key) == "shop"
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
