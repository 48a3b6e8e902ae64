"""The model, one file per part: `crnn` combines an `encoder` and a `head`, `cost` counts parameters and operations."""
