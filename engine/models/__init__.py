"""Hosts (networks that find instances) and CLIP."""
