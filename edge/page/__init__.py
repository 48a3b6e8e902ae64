"""The local web page (`python -m edge.page`): recognizes recordings and a browser's microphone, and compares bundles.

`upload` decodes an uploaded recording, `clip_analysis` runs the recognizer over it, and `occlusion` finds the parts of
the sound that an answer depends on. `clip_svg` and `html` turn results into SVG and HTML. `recognize` answers uploads,
`live` holds the microphone sessions, and `corrections` lists stored recordings. `access` refuses every request that the
page itself does not make. `layout` draws the tabs with Gradio and `server` serves them. No torch.
"""
