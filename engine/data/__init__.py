"""Images to tensors: loading, and the weak and strong views."""
