"""Small shipped weights (safetensors) and how they were made."""
