"""The models, one file per part: `crnn` puts an `encoder` and a `head` together, `cost` counts what they need."""
