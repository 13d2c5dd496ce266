"""What was done, by whom, on what: rows are appended and never changed."""
