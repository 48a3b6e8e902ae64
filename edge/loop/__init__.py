"""The listening loop: utterances, the events they give, and the way from a source to the sinks."""
