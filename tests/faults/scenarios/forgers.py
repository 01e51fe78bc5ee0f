"""22: callbacks that nobody sent, a thousand a second; bodies without end; ids and tokens that are guessed."""

import threading
from urllib.parse import urlsplit
from uuid import UUID

from tests.faults.fleet import FaultError
from tests.faults.flood import BATCH, asked, flood, forged_token, post_too_much
from tests.faults.oracle import Budget
from tests.faults.scenario import Scenario
from tests.faults.shop import FALSE_WORD, Sale
from tests.faults.stage import Stage

FORGED = 6_000
PER_S = 1_000
FLOODED_WITHIN_S = 90.0
"""Six seconds where a web process has a core of its own; the rest is for machines with others on them."""
BODIES, BODY_MB = 8, 50
MEMORY_MB = 60
"""How much more web may hold: the limit of a body is 64 KB, so of all of this nearly nothing."""
STATEMENTS_MAX = 2_000
"""Transactions in PostgreSQL meanwhile: the scheduler, workers and true callbacks need some, no forged one does."""


def forgers(stage: Stage) -> None:
    """Flood the webhook while true callbacks come, then send bodies without end, to forged and to true addresses."""
    stage.start_workers(2)
    sales = stage.shop.open_many(20, stage.rng)
    address = (urlsplit(str(stage.shop.api.base_url)).hostname or "", urlsplit(str(stage.shop.api.base_url)).port or 0)
    before_mb, transactions = stage.web.peak_mb(), _transactions(stage)

    forged = [asked(_forged_path(stage, sales)) for _ in range(FORGED)]
    paying = threading.Thread(target=lambda: [stage.shop.pay(sale) for sale in sales[:10]])
    paying.start()
    flooded = flood(address, forged, per_s=PER_S)
    paying.join()
    if set(flooded.statuses) != {404}:
        raise FaultError(f"forged callbacks were answered with {dict(flooded.statuses)}")
    if flooded.seconds > FLOODED_WITHIN_S:
        raise FaultError(f"{FORGED} forged callbacks took {flooded.seconds:.0f} s")
    if (ran := _transactions(stage) - transactions) > STATEMENTS_MAX:
        raise FaultError(f"{ran} transactions while callbacks were forged: they are to be refused before PostgreSQL")

    for number in range(BODIES):
        token = stage.shop.token_of(sales[number]) if number % 2 else forged_token(stage.rng)
        status = post_too_much(address, f"/v2/qpay/webhook/{token}", megabytes=BODY_MB, announced=number % 4 < 2)
        if status not in {413, "closed"}:
            raise FaultError(f"a body of {BODY_MB} MB was answered with {status}")
    _guess_keys(stage, sales)
    grown_mb = stage.web.peak_mb() - before_mb
    stage.notes.append(
        f"{FORGED} forged in {flooded.seconds:.1f} s, slowest batch of {BATCH} {flooded.slowest_s:.1f} s,"
        f" web +{grown_mb:.0f} MB, {ran} transactions"
    )
    if grown_mb > MEMORY_MB:
        raise FaultError(f"web took {grown_mb:.0f} MB for bodies that it does not read")
    for sale in sales[10:15]:  # the others are never paid: nobody may ask about them
        stage.shop.pay(sale)
    stage.healed()
    stage.await_ready()


def _forged_path(stage: Stage, sales: list[Sale]) -> str:
    """Guess: a token of nobody's QR, of a QR that is there, one with a byte changed, one of another form."""
    sale = stage.rng.choice(sales)
    token = stage.shop.token_of(sale)
    place = stage.rng.randrange(len(token) - 1)
    guesses = (
        forged_token(stage.rng),
        forged_token(stage.rng, qr=sale.qr),
        f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}",
        str(UUID(int=stage.rng.getrandbits(128))),
        f"{token}{token}",
        sale.invoice,
        "..%2f..%2fhealthz",
    )
    return f"/v2/qpay/webhook/{stage.rng.choice(guesses)}?qpay_payment_id={FALSE_WORD}{stage.rng.randrange(10**9)}"


def _guess_keys(stage: Stage, sales: list[Sale]) -> None:
    """Ask the API for what others have, with keys that nobody was given."""
    for sale in sales:
        key = f"tootsoo_{stage.rng.randbytes(24).hex()}"
        for path in (f"/v2/invoices/{sale.invoice}", "/v2/payments"):
            answer = stage.shop.api.get(path, headers={"Authorization": f"Bearer {key}"})
            if answer.status_code not in {401, 429}:
                raise FaultError(f"a guessed key was answered with {answer.status_code} at {path}")


def _transactions(stage: Stage) -> int:
    with stage.eyes() as eyes:
        row = eyes.execute(
            "SELECT xact_commit + xact_rollback AS ran FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    return int(str(row["ran"])) if row else 0


SCENARIOS = (
    Scenario(
        number=22,
        title="a thousand forged callbacks a second, endless bodies, guessed ids and keys",
        play=forgers,
        within_s=20,
        budget=Budget(checks_per_qr=3, logins=1),
    ),
)
