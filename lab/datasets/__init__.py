"""Datasets: records, COCO files, splits, the shapes generator."""
