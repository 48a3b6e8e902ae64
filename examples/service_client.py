"""Send a WAV file to the service as live audio, and print what it reports.

    python -m edge.serve                                # in another terminal
    python examples/service_client.py recording.wav     # needs the package websockets

It sends as fast as the service takes it: a client that reads nothing meanwhile is slowed down, and given up after 10 s
if the service cannot send. A program that follows a microphone reads the events in a thread of their own, as here.
"""

import json
import sys
import threading
import wave

from websockets.sync.client import connect

ADDRESS = "ws://127.0.0.1:8000/stream"


def main(path: str, address: str = ADDRESS) -> None:
    with wave.open(path) as file:
        if file.getsampwidth() != 2:
            sys.exit(f"{path}: give 16-bit samples, or the parameter format (docs/service.md)")
        declared = f"?rate={file.getframerate()}&channels={file.getnchannels()}"
        with connect(address + declared, compression=None, ping_interval=None) as service:

            def send() -> None:
                while samples := file.readframes(file.getframerate() // 10):
                    service.send(samples)
                service.send(json.dumps({"type": "end"}))

            threading.Thread(target=send, daemon=True).start()
            for line in service:
                event = json.loads(line)
                if event["type"] == "segment":
                    print(f"{event['start_seconds']:.2f} s  {event['emotion'] or event['verdict']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
