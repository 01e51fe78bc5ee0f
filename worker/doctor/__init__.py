"""The go-live check-list as rules: from what was seen of an installation to findings for a person."""
