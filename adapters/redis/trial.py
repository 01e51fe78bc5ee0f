"""A trial ring: a message about nothing, by which it shows whether a worker takes messages."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from adapters.redis.doorbell import (
    JOB_ACTOR,
    JOB_QUEUE,
    NOTIFY_ACTOR,
    NOTIFY_QUEUE,
    SETTLE_ACTOR,
    DoorbellError,
    queue_of,
)

NO_QR = "00000000-0000-8000-8000-000000000000"
NO_RUN = "0"
NO_INVOICE = "-"
"""What no gateway invoice, no run and no invoice is called: whoever is woken for it finds nothing due."""

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    queue: str
    message_id: str


class TrialRing:
    """Sends messages about nothing and watches whether a worker takes them. What is not taken is taken back."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker

    def server(self) -> str:
        """Say which server answers, such as `Valkey 9.1.0`.

        Raises:
            DoorbellError: none does.

        """
        try:
            told = self._broker.client.info("server")
        except redis.ResponseError:
            return "a server that does not say which"
        except (redis.RedisError, OSError) as error:
            raise DoorbellError(f"Redis does not answer: {type(error).__name__}") from error
        name = str(told.get("server_name", "redis")).title()
        return f"{name} {told.get('valkey_version') or told.get('redis_version', '')}".strip()

    def taken(self, gateways: Mapping[str, str], *, notifies: bool, within_s: float) -> Mapping[str, bool]:
        """Ring once in each queue and say, by what it is about, whether a worker has finished with it in time.

        `gateways` names each by what people call it. Bounded by `within_s` and a few answers of Redis.

        Raises:
            DoorbellError: Redis does not take messages.

        """
        try:
            sent = {title: self._send(queue_of(name), SETTLE_ACTOR, NO_QR) for name, title in gateways.items()}
            sent["jobs"] = self._send(JOB_QUEUE, JOB_ACTOR, NO_RUN)
            if notifies:
                sent["notifications"] = self._send(NOTIFY_QUEUE, NOTIFY_ACTOR, NO_INVOICE, None)
            return self._watch(sent, until_s=time.monotonic() + within_s)
        except (redis.RedisError, OSError) as error:
            raise DoorbellError(f"Redis did not take a message: {type(error).__name__}") from error

    def _send(self, queue: str, actor: str, *arguments: str | None) -> _Sent:
        message: Message[None] = Message(queue_name=queue, actor_name=actor, args=arguments, kwargs={}, options={})
        stored = self._broker.enqueue(message)
        return _Sent(queue=queue, message_id=str(stored.options["redis_message_id"]))

    def _watch(self, sent: Mapping[str, _Sent], *, until_s: float) -> Mapping[str, bool]:
        left = dict(sent)
        while True:
            left = {name: one for name, one in left.items() if self._is_there(one)}
            if not left or time.monotonic() >= until_s:
                break
            time.sleep(_LOOK_EVERY_S)  # between two looks, not instead of one
        for one in left.values():
            self._take_back(one)
        return {name: name not in left for name in sent}

    def _is_there(self, one: _Sent) -> bool:
        return bool(self._broker.client.hexists(self._messages(one), one.message_id))

    def _take_back(self, one: _Sent) -> None:
        with self._broker.client.pipeline(transaction=True) as both:
            both.lrem(f"{self._broker.namespace}:{one.queue}", 1, one.message_id)
            both.hdel(self._messages(one), one.message_id)
            both.execute()

    def _messages(self, one: _Sent) -> str:
        return f"{self._broker.namespace}:{one.queue}.msgs"
