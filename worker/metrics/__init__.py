"""Metrics: what the processes count, what the web process reads from PostgreSQL, and how both are served."""
