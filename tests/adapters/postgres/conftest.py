"""A pool on a migrated database of the test's own, and what most tests of the ledger begin with."""

from collections.abc import Iterator

import pytest

from adapters.postgres.connection import Pool, open_pool
from adapters.postgres.invoices import Invoices
from adapters.postgres.ledger import Ledger


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size=16) as pool:
        yield pool


@pytest.fixture
def invoices(pool: Pool) -> Invoices:
    return Invoices(pool)


@pytest.fixture
def ledger(pool: Pool) -> Ledger:
    return Ledger(pool)
