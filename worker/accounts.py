"""The accounts at gateways: each whole or not at all, and at least one."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from worker.settings import QPaySettings, SettingsError, SocialPaySettings, load

_Account = TypeVar("_Account", QPaySettings, SocialPaySettings)


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """What the merchant has at which gateway; None where it has nothing."""

    qpay: QPaySettings | None = None
    socialpay: SocialPaySettings | None = None

    @property
    def calls_per_s(self) -> float | None:
        """The smallest limit on calls that any of them has; None where none has any."""
        limits = [
            self.qpay.qpay_calls_per_s if self.qpay else None,
            self.socialpay.socialpay_calls_per_s if self.socialpay else None,
        ]
        return min((limit for limit in limits if limit is not None), default=None)


def load_accounts() -> Accounts:
    """Read the accounts from the environment, `.env` and the run file.

    Raises:
        SettingsError: one is there in part, or wrong; or there is none at all.

    """
    accounts = Accounts(qpay=_load_whole(QPaySettings), socialpay=_load_whole(SocialPaySettings))
    if accounts.qpay is None and accounts.socialpay is None:
        raise SettingsError(
            "QPAY_BASE_URL is missing, and so is SOCIALPAY_BASE_URL: set all of QPAY_*, all of SOCIALPAY_*, or both"
        )
    return accounts


def _load_whole(group: type[_Account]) -> _Account | None:
    """Read one account; None where nothing that it needs is there."""
    try:
        return group()
    except (ValidationError, ValueError) as error:
        if isinstance(error, ValidationError) and _is_absent(group, error):
            return None
    return load(group)


def _is_absent(group: type[BaseSettings], error: ValidationError) -> bool:
    needed = {name for name, field in group.model_fields.items() if field.is_required()}
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    return {str(fault["loc"][0]) for fault in faults if fault["type"] == "missing"} == needed and len(faults) == len(
        needed
    )
