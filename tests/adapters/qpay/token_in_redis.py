"""What the tests look at, and change, in the Redis that holds the token."""

import redis

_OVER = "if redis.call('get', KEYS[1]) == 'succeeded' then return redis.call('del', KEYS[1]) end return 0"


def half_a_minute_later(shared: "redis.Redis") -> None:
    """Let the spacing of logins be over; the token stays."""
    for key in shared.keys("tootsoo:qpay:login:*"):
        shared.delete(key)


def half_a_minute_after_a_login(shared: "redis.Redis") -> bool:
    """Let the spacing be over unless somebody is logging in; tell whether it was not over before."""
    return any(shared.eval(_OVER, 1, key) for key in shared.keys("tootsoo:qpay:login:*"))


def connected(shared: "redis.Redis") -> int:
    """Count the clients of this test's database, its own not included."""
    clients = shared.client_list()
    mine = next(each["db"] for each in clients if each["id"] == str(shared.client_id()))
    return sum(each["db"] == mine for each in clients) - 1


def token_key(shared: "redis.Redis") -> str:
    (key,) = shared.keys("tootsoo:qpay:token:*")
    return str(key)


def login_key(shared: "redis.Redis") -> str:
    (key,) = shared.keys("tootsoo:qpay:login:*")
    return str(key)
