"""What the instruments share: training runs, corpora, result files, pooling, plots."""
