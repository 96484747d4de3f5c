"""The store: one SQLite file that remembers every run."""
