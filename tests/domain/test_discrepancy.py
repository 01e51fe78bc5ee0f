"""Who else uses our credentials is asked once a day, and not because of one lost session."""

from datetime import UTC, datetime, timedelta

from domain.discrepancy import Discrepancy, credentials_used_elsewhere

MORNING = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)


def asked(at: datetime, account: str = "SHOP") -> Discrepancy:
    return credentials_used_elsewhere(gateway="qpay", account=account, noticed_at=at)


def test_it_is_the_same_question_all_day_and_another_one_tomorrow() -> None:
    assert asked(MORNING) == asked(MORNING + timedelta(hours=12))
    assert asked(MORNING).fingerprint != asked(MORNING + timedelta(days=1)).fingerprint


def test_it_is_another_question_for_another_account() -> None:
    assert asked(MORNING).subject != asked(MORNING, "OTHER").subject


def test_once_may_be_the_gateways_own_doing() -> None:
    assert not asked(MORNING).certain
