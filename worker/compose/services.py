"""Redis, which wakes workers."""

from dramatiq.brokers.redis import RedisBroker

from adapters.redis import doorbell as redis_doorbell
from adapters.redis.doorbell import Doorbell, DoorbellError
from worker.settings import RedisSettings, SettingsError
from worker.starting import StartError


def open_broker(settings: RedisSettings, *, timeout_s: float, consumes: bool = False) -> RedisBroker:
    """Open the broker, and ask Redis for a sign of life. A worker `consumes`.

    Raises:
        SettingsError: the address cannot be understood.
        StartError: nobody answers there.

    """
    address = redis_doorbell.address_of(settings.redis_url)
    try:
        broker = redis_doorbell.open_broker(settings.redis_url, timeout_s=timeout_s, consumes=consumes)
        Doorbell(broker).ping()
    except (ValueError, TypeError):
        raise SettingsError("REDIS_URL is wrong: it should be redis://:password@host:6379/0, without options") from None
    except DoorbellError as error:
        raise StartError(f"Redis at {address} (REDIS_URL) cannot be reached: {error}") from None
    return broker
