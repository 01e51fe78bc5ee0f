"""What the processes of one merchant share through Redis: the names of its keys, and steps that are atomic there."""

import hashlib
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from adapters.qpay.config import QPayConfig
from domain.gateway import GatewayHeldBackError


class Shared:
    """Keys and scripts of one merchant at one QPay, told apart by base URL and user."""

    def __init__(self, redis: Redis, *, config: QPayConfig) -> None:
        self._redis = redis
        self._merchant = hashlib.sha256(f"{config.api_url}\n{config.username}".encode()).hexdigest()[:32]
        self._scripts: dict[str, AsyncScript] = {}

    def key(self, name: str) -> str:
        """Return the key of this merchant for `name`; it tells neither address nor user."""
        return f"tootsoo:qpay:{name}:{self._merchant}"

    async def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | int] = ()) -> Any:
        """Run one Lua script, atomically.

        Raises:
            GatewayHeldBackError: Redis does not answer, or does not write.

        """
        if script not in self._scripts:
            self._scripts[script] = self._redis.register_script(script)
        try:
            return await self._scripts[script](keys=keys, args=args)
        except (RedisError, OSError) as error:
            kind = type(error).__name__  # its text may carry the address
        raise GatewayHeldBackError(f"Redis, which holds the QPay token, does not answer ({kind})")
