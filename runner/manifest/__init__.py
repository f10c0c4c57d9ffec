"""The record: append-only journals and the DuckDB index over them."""
