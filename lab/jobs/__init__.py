"""Runs that start by themselves: the queue, the workers that empty it, and changes on the way."""
