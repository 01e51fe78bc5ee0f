"""The rules of reconciliation: pure values and functions, no I/O, no clock, no framework."""
