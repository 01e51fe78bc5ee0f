"""Real PostgreSQL and Valkey servers from wheels, for `tootsoo demo`, `tootsoo up` and the tests.

`servers.start_servers(home)` starts both and gives their URLs; `errors.EmbeddedServerError` says in one line what is
wrong; `process.die_with_parent` is for every process that must not outlive the one that started it. The servers listen
on the loopback address only and ask no password, so they are not for production: refusing that is the caller's part.
"""
