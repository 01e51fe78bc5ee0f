"""The pay page: what a customer sees of an invoice, and pays it by."""
