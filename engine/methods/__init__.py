"""One file per paper, and nothing else."""
