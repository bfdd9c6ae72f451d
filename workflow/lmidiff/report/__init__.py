"""Tables, the report of one page, and numbers in prose."""
