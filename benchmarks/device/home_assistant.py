"""Whether Home Assistant itself accepts the discovery message: for the Python of an installed Home Assistant Core.

    PYTHON benchmarks/device/home_assistant.py < MESSAGE

Validates the message on standard input with the schemas of `homeassistant.components.mqtt`: the device and its origin
with that of device discovery (from 2024.11 on), and each entity, with what it shares with the device, with that of its
kind. Prints a line for each, with the keys that this version ignores; exit code 1 if one is refused. It imports nothing
of this project, which that Python need not have.
"""

import argparse
import asyncio
import importlib
import json
import sys
import tempfile

MQTT = "homeassistant.components.mqtt"
SHARED = ("availability_topic", "qos", "device", "origin")


def refusal(schema, values: dict) -> str:
    """Why the schema refuses the values, or which of their keys it ignores; empty if it takes all of them."""
    import voluptuous

    try:
        taken = schema(dict(values))
    except voluptuous.Invalid as error:
        return f"refused: {error}"
    return ", ".join(f"ignores {key}" for key in values if key not in taken)


def device_schema():
    """None in versions without device discovery."""
    try:
        return importlib.import_module(f"{MQTT}.schemas").DEVICE_DISCOVERY_SCHEMA
    except (ImportError, AttributeError):
        return None


async def results(message: dict, folder: str) -> dict[str, str]:
    """Entity or "device" -> what is wrong with it; empty if nothing is."""
    from homeassistant.core import HomeAssistant
    from homeassistant.helpers import frame

    home = HomeAssistant(folder)  # templates are compiled for one, also where it does not run
    if hasattr(frame, "async_setup"):
        frame.async_setup(home)
    schema = device_schema()
    found = {"device": refusal(schema, message) if schema else "no device discovery in this version"}
    shared = {key: message[key] for key in SHARED}
    for name, entity in message["components"].items():
        values = {key: value for key, value in entity.items() if key != "platform"}
        if values:  # a platform alone removes the entity
            kind = importlib.import_module(f"{MQTT}.{entity['platform']}")
            found[name] = refusal(kind.DISCOVERY_SCHEMA, shared | values)
    await home.async_stop(force=True)
    return found


def main(argv: list[str] | None = None) -> int:
    description, _, usage = __doc__.partition("\n\n")
    argparse.ArgumentParser(
        description=description, epilog=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    from homeassistant.const import __version__

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(results(json.load(sys.stdin), folder))
    print(f"Home Assistant {__version__}")
    for name, result in found.items():
        print(f"{name:14} {result or 'accepted'}")
    return int(any(result.startswith("refused") for result in found.values()))


if __name__ == "__main__":
    sys.exit(main())
