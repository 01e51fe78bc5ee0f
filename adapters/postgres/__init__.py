"""PostgreSQL: invoices, gateway invoices with their check requests, the ledger, API keys, and the schema itself."""
