"""Tables of docs/performance.md: the stream and other systems, its parts, false emotions, a day of audio."""

from benchmarks.harness.results import manifest, one, rows
from benchmarks.tables.markdown import markdown, number, percent, ratio, table

STAGES = {
    "log_mel": "features (NumPy)",
    "encoder": "encoder",
    "head": "head",
    "python": "buffers, level, softmax",
    "interval": "whole interval",
}


@table("streaming")
def streaming() -> str:
    """Every system, each measured in its own process."""
    ours = one("streaming", system="ours", runtime="onnx")
    head = ("system", "runtime", "interval s", "rtf", "rtf / ours", "p50 ms", "p95 ms", "RSS MB", "start s")
    return markdown(
        (*head, "CPU s per hour of speech", "of silence"),
        (
            (
                *(row["system"], row["runtime"], row["interval_seconds"], number(row["rtf"], 5)),
                *(ratio(row["rtf"], ours["rtf"]), number(row["latency_ms_p50"], 2), number(row["latency_ms_p95"], 2)),
                *(number(row["rss_mb"], 0), number(row["startup_s"], 2)),
                *(number(row["cpu_s_per_hour_speech"], 1), number(row["cpu_s_per_hour_silence"], 1)),
            )
            for row in rows("streaming")
        ),
    )


@table("larger")
def larger() -> str:
    """The larger bundle beside the small one, measured in turns."""
    small, large = one("larger", system="small"), one("larger", system="large")
    if not large:
        return "Not measured yet: `python -m benchmarks.device.larger BUNDLE`."
    lines = (
        ("bytes", "bytes", 0),
        ("parameters", "n_params", 0),
        ("multiply-accumulates per window", "macs_per_window", 0),
        ("s between decisions", "interval_seconds", 2),
        ("ms per decision, median", "latency_ms_p50", 2),
        ("computing time / audio time", "rtf", 4),
        ("peak memory, MiB", "rss_mb", 0),
        ("s to open and prove it", "startup_s", 1),
    )
    return markdown(
        ("", "small", "large", "large / small"),
        (
            (what, f"{small[key]:,.{digits}f}", f"{large[key]:,.{digits}f}", ratio(large[key], small[key]))
            for what, key, digits in lines
        ),
    )


@table("service")
def service() -> str:
    """The service beside one process per stream."""
    head = (
        "system",
        "connections",
        "p50 ms",
        "p95 ms",
        "held",
        "RSS MB",
        "MB per connection",
        "CPU s per hour of audio",
    )
    return markdown(
        (*head, "load before"),
        (
            (
                *({"service": "service", "processes": "a process each"}[row["system"]], row["connections"]),
                *(number(row["latency_ms_p50"], 0), number(row["latency_ms_p95"], 0), "yes" if row["held"] else "no"),
                *(number(row["rss_mb"], 0), number(row["rss_mb_per_connection"], 2)),
                *(number(row["cpu_s_per_hour"], 0), number(row["load_before"], 1)),
            )
            for row in rows("service", what="load")
        ),
    )


@table("service-dropped")
def service_dropped() -> str:
    """What connections leave that are dropped at random points."""
    names = {"open_streams": "open streams", "descriptors": "descriptors", "threads": "threads", "rss_mb": "RSS MB"}
    found = one("service", what="dropped")
    if not found:
        return "Not measured yet: `python -m benchmarks.device.service`."
    return markdown(
        ("", "before", *(f"after round {number + 1}" for number in range(len(found["after"])))),
        ((name, found["before"][key], *(left[key] for left in found["after"])) for key, name in names.items()),
    )


@table("streaming-targets")
def streaming_targets() -> str:
    """The targets for the cost of the stream, and the measured cost."""
    ours = one("streaming", system="ours", runtime="onnx")
    stream, again = one("streaming", system="ours_stream"), one("streaming", system="ours_recompute")
    eager, silero = one("streaming", system="torch_recompute"), one("streaming", system="silero_vad")
    loops = {"ONNX Runtime": ours, "LiteRT": one("streaming", system="ours", runtime="tflite")}

    def line(target: str, value: float, met: bool) -> tuple[str, str, str]:
        return target, f"{value:.2f}", "yes" if met else "no"

    loop, alone = ours["rtf"] / silero["rtf"], stream["rtf"] / silero["rtf"]
    files, torch = again["rtf"] / stream["rtf"], eager["rtf"] / stream["rtf"]
    return markdown(
        ("target", "measured", "reached"),
        (
            line("rtf of the loop at most half of silero-vad's", loop, loop <= 0.5),
            line("rtf of the stream at most a third of silero-vad's", alone, alone <= 0.33),
            line("recomputing each window, same files, at least 8 times the stream", files, files >= 8),
            line("recomputing each window in eager torch, at least 8 times the stream", torch, torch >= 8),
            *(line(f"RSS at most 60 MB, {title}", row["rss_mb"], row["rss_mb"] <= 60) for title, row in loops.items()),
            line("first result within 1 s of process start", ours["startup_s"], ours["startup_s"] <= 1),
        ),
    )


@table("stages")
def stages() -> str:
    """The time of the parts of one interval."""
    head = ("part", "ONNX us", "share %", "LiteRT us", "share %", "recomputed us", "recomputed / ONNX")
    lines = []
    for part, title in STAGES.items():
        onnx, lite, again = (one("stages", part=part, system=name) for name in ("onnx", "tflite", "recomputed"))
        times = (number(onnx["us"], 0), percent(onnx["share"]), number(lite["us"], 0), percent(lite["share"]))
        of_window = (number(again["us"], 0), ratio(again["us"], onnx["us"])) if again else ("", "")
        lines.append((title, *times, *of_window))
    return markdown(head, lines)


@table("instructions")
def instructions() -> str:
    """Instructions per second of audio of the loop, the stream, its parts and silero-vad."""
    found = {row["part"]: row for row in rows("instructions", bundle="int8")}
    silero = found.get("silero_vad")
    if not silero:
        return "Not measured yet: `python -m benchmarks.device.instructions`."
    parts = {key: STAGES[key] for key in ("log_mel", "encoder", "head")}
    titles = (
        {"loop": "loop", "vad": "energy VAD of the loop", "stream": "stream"} | parts | {"silero_vad": "silero-vad"}
    )
    return markdown(
        ("part", "speech, millions per s", "speech / silero-vad", "silence, millions per s"),
        (
            (
                *(title, number(found[part]["speech"], 1)),
                *(ratio(found[part]["speech"], silero["speech"]), number(found[part]["silence"], 1)),
            )
            for part, title in titles.items()
        ),
    )


@table("batch")
def batch() -> str:
    """Recordings to a table, and training beside plain PyTorch."""
    csv, train = one("batch", work="csv"), one("batch", work="train")
    if not (csv and train):
        return "Not measured yet: `python -m benchmarks.device.batch`."
    return markdown(
        ("work", "rate", "largest process, MB"),
        (
            (
                "recordings to a table, two processes",
                f"{csv['hours_per_minute']:.2f} h of audio per minute",
                number(csv["rss_mb"], 0),
            ),
            ("the same, of processor time", f"{csv['hours_per_cpu_minute']:.2f} h of audio per minute", ""),
            ("training", f"{train['clips_per_second']:.1f} clips per s", number(train["rss_mb"], 0)),
            (
                "the same model in plain PyTorch",
                f"{train['plain_clips_per_second']:.1f} clips per s",
                number(train["plain_rss_mb"], 0),
            ),
            ("training / plain PyTorch", f"{train['of_plain']:.2f}", f"{train['rss_mb'] / train['plain_rss_mb']:.2f}"),
        ),
    )


@table("false-alarms")
def false_alarms() -> str:
    """False emotions per hour and missed utterances, per VAD, on the test half."""
    return markdown(
        ("VAD", "hours without a voice", "false emotions per hour", "utterances", "missed %", "target reached"),
        (
            (
                *(row["vad"], number(row["hours"], 1), number(row["alarms_per_hour"], 2), row["utterances"]),
                *(percent(row["missed"]), "yes" if row["alarms_per_hour"] <= 0.5 and row["missed"] <= 0.05 else "no"),
            )
            for row in rows("false_alarms", rules=None, split="test", sound="all")
        ),
    )


@table("false-alarms-by-sound")
def false_alarms_by_sound() -> str:
    """False emotions per hour of each sound."""
    return markdown(
        ("sound", "energy", "silero"),
        (
            (row["sound"], number(row["alarms_per_hour"], 1), number(_silero(row).get("alarms_per_hour"), 1))
            for row in rows("false_alarms", rules=None, split="test", vad="energy")
            if "alarms_per_hour" in row and row["sound"] != "all"
        ),
    )


@table("false-alarms-rules")
def false_alarms_rules() -> str:
    """False emotions and false events of rules per hour, per VAD, on the test half."""
    found = [row for row in rows("false_alarms", split="test", sound="all") if row.get("rules")]
    names = list(found[0]["events"]) if found else []
    return markdown(
        ("VAD", "hours without a voice", "false emotions per hour", *(f"{name}, per hour" for name in names)),
        (
            (
                *(row["vad"], number(row["hours"], 1), number(row["alarms_per_hour"], 2)),
                *(number(row["events"][name] / row["hours"], 2) for name in names),
            )
            for row in found
        ),
    )


@table("missed-by-corpus")
def missed_by_corpus() -> str:
    """Missed utterances of each corpus, clean and in noise."""
    return markdown(
        ("speech", "energy, missed %", "silero, missed %"),
        (
            (row["sound"].removeprefix("speech "), percent(row["missed"]), percent(_silero(row).get("missed")))
            for row in rows("false_alarms", rules=None, split="test", vad="energy")
            if "lost" in row and row["sound"] != "all"
        ),
    )


def _silero(row: dict) -> dict:
    return one("false_alarms", rules=None, split="test", vad="silero", sound=row["sound"])


@table("soak-stream")
def soak_stream() -> str:
    """A day of the stream alone."""
    head = ("runtime", "hours", "intervals due", "intervals seen", "decisions", "drift s", "longest wait s")
    return markdown(
        (*head, "RSS MB after 1 h", "RSS MB at the end", "rtf (wall clock)"),
        (
            (
                *(
                    row["runtime"],
                    number(row["hours"], 1),
                    row["intervals_expected"],
                    row["intervals"],
                    row["decisions"],
                ),
                *(row["drift_s"], row["longest_wait_s"], row["rss_mb_early"], row["rss_mb_end"], row["rtf"]),
            )
            for row in rows("soak", what="stream")
        ),
    )


@table("soak-loop")
def soak_loop() -> str:
    """A day of the whole loop with its VAD."""
    head = ("runtime", "hours", "rounds", "intervals", "segments", "missing", "misplaced", "different", "drift s")
    return markdown(
        (*head, "RSS MB after 1 h", "RSS MB at the end", "rtf (wall clock)"),
        (
            (
                *(row["runtime"], number(row["hours"], 1), row["rounds"], row["intervals"], row["segments"]),
                *(row["missing"], row["misplaced"], row["different"], row["drift_s"]),
                *(row["rss_mb_early"], row["rss_mb_end"], row["rtf"]),
            )
            for row in rows("soak", what="loop")
        ),
    )


@table("cost")
def cost() -> str:
    """The cost of the model that ships, as one sentence."""
    ours = one("streaming", system="ours", runtime="onnx")
    bundle = manifest("int8")
    files = bundle["models"]["onnx"]
    date = ours["date"] or ours["recorded"]["date"]
    size = sum(bundle["files"][files[part]]["bytes"] for part in ("encoder", "head"))
    return (
        f"{bundle['provenance']['n_params']:,} parameters, {size:,} bytes of int8 files; on one core of a server "
        f"{percent(ours['rtf'])} % of real time while someone speaks, and {number(ours['rss_mb'], 0)} MB of memory "
        f"(ONNX Runtime, energy VAD, measured {date})."
    )
