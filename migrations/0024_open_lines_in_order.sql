-- Lines that wait are read in the order of their numbers, a page at a time: by this index none is sorted.

DROP INDEX statement_outcome_open;
CREATE INDEX statement_outcome_waiting ON statement_outcome (line_id) WHERE state IN ('new', 'proposed', 'unmatched');
