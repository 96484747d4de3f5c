"""Training: torch. Knows lab.config and lab.datasets, and meets the store only in engine.train."""
