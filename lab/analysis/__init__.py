"""What the recorded labels say: pure functions over arrays."""
