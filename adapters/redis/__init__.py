"""Redis, the doorbell: Dramatiq messages that wake workers and mean nothing by themselves."""
