"""The ground of seglab: what an experiment is, and what is known about it. No torch here."""
