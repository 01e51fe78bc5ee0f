"""Where notifications go: what the settings say together, or nobody."""

from dataclasses import dataclass

from worker.settings import MISSING, NotifySettings, SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """The merchant's application, as the settings describe it."""

    url: str
    secrets: tuple[str, ...]
    """Each signs: the new one and, while it is being replaced, the old one."""
    allow_private: bool
    timeout_s: float
    threads: int = 4


def notify_target(settings: NotifySettings) -> NotifyTarget | None:
    """Return who is told; None when NOTIFY_URL is not set.

    Raises:
        SettingsError: a setting that goes with it is missing, or is not what the others ask for.

    """
    if settings.notify_url is None:
        return None
    if not settings.notify_secret:
        raise SettingsError(f"NOTIFY_SECRET is missing: {MISSING['NOTIFY_SECRET']}")
    if settings.notify_url.startswith("http://") and not settings.notify_allow_private:
        raise SettingsError(
            "NOTIFY_URL is wrong: it should begin with https://; http:// is taken for private addresses alone, with"
            " NOTIFY_ALLOW_PRIVATE=true"
        )
    return NotifyTarget(
        url=settings.notify_url,
        secrets=tuple(secret.get_secret_value() for secret in settings.notify_secret),
        allow_private=settings.notify_allow_private,
        timeout_s=settings.notify_timeout_s,
        threads=settings.notify_threads,
    )
