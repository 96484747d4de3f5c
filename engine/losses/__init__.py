"""Loss functions: tensors in, tensors out."""
