"""Files that others may have written, read strictly; files of ours, written whole or not at all. No torch."""
