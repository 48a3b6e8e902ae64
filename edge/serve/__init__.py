"""The service (`python -m edge.serve`): recordings and live audio over HTTP and WebSocket, for many clients at a time.

`app` has the routes, `access` decides who is answered, `uploads` recognizes files and `streams` live audio: each
connection has a stream of its own over one loaded model, computed in a pool of threads. `origin`, `address`, `upload`
and `run` are what the local page needs too. No torch.
"""
