"""What the tests look at, and change, in the Redis that holds the token."""

import redis


def half_a_minute_later(shared: "redis.Redis") -> None:
    """Let the spacing of logins be over; the token stays."""
    shared.delete(*shared.keys("tootsoo:qpay:login:*"))


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
