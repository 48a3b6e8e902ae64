"""From folders of recordings to leak-checked splits, caches and batches."""
