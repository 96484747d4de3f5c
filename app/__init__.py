"""The view: reads the store and shows it. No torch, no SQL."""
