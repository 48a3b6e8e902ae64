"""The local web page (`python -m edge.app`): what a bundle makes of a recording, live or side by side, and why.

`hearing` (what is told of a clip), `support` (what an answer rests on) and `clip` (decoding what strangers upload) need
no browser; `picture` and `words` turn it into SVG and HTML; `live` holds the sessions of the microphone; `layout` is
the only file that knows Gradio. No torch.
"""
