"""Commands to mute the microphone, from an MQTT broker: everybody who may publish there can send them."""

import logging
from collections.abc import Callable

from crnn.files.printable import brief
from edge.sinks.home_assistant import OFF, ON

log = logging.getLogger(__name__)

COMMANDS = {ON.encode(): True, OFF.encode(): False}


class MuteCommands:
    """Obeys ON (muted) and OFF, and nothing else; the first of several other payloads is logged.

    What the broker retains is not a command of now, so it is obeyed in the safe direction alone: a retained ON mutes, a
    retained OFF is ignored. The state that an earlier run of the loop left there is obeyed likewise, on the first
    connection: a restart does not open a microphone that somebody has muted.

    Args:
        mute: called with whether the microphone shall be muted; from the client's thread.
        broker: its name, for the log.
    """

    def __init__(self, mute: Callable[[bool], None], broker: str) -> None:
        self._mute, self._broker = mute, broker
        self._restores, self._complained = True, False

    def command(self, payload: bytes | bytearray, retained: bool) -> None:
        """A message on the command topic."""
        muted = COMMANDS.get(bytes(payload))
        if muted is None:
            if payload and not self._complained:  # an empty one removes what is retained
                log.warning(
                    "%s: ignores the command %s; the mute switch takes %s or %s",
                    self._broker,
                    brief(bytes(payload[:80])),
                    ON,
                    OFF,
                )
                self._complained = True
            return
        self._complained = False
        if retained and not muted:
            log.warning("%s: ignores a retained %s; only a retained %s is obeyed", self._broker, OFF, ON)
            return
        self._restores = False
        log.info("%s: %s", self._broker, "muted" if muted else "unmuted")
        self._mute(muted)

    def state(self, payload: bytes | bytearray) -> None:
        """What the broker retains on the topic of the state."""
        if self._restores and COMMANDS.get(bytes(payload)):
            log.info("%s: muted, as before the restart", self._broker)
            self._mute(True)
        self._restores = False
