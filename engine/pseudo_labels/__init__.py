"""Scores, filters, fusions and the EMA teacher."""
