"""The local web page (`python -m edge.page`): what a bundle makes of a recording, live or side by side, and why.

`hearing` (what the loop answers about a clip), `support` (what an answer rests on) and `clip` (decoding an upload) need
no browser; `picture` and `words` turn it into SVG and HTML; `recognize` answers uploads, `live` holds the sessions of
the microphone; `door` refuses every request that the page does not make; `layout` draws the tabs with Gradio, `server`
serves them. No torch.
"""
