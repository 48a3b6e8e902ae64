"""The listening loop: where speech begins and ends, what it is reported as, and one interface over all of it."""
