"""Hostile files: valid ones with one or a few places changed to unusual values.

Hypothesis strategies of bytes; `benchmarks.fuzz.readers` assigns them to readers.
"""

import io
import json
import struct
import zipfile

import numpy as np
from hypothesis import strategies as st

HOSTILE = [
    None, True, False, 0, -1, 1, 2, 3.5, 2**31, 2**53 + 1, 2**63, 10**19, 10**30, 1e-320, 1e308, -0.0, float("nan"),
    float("inf"), -float("inf"), "", " ", "x", "1", "\x1b[31m", "a\nb", "\u202eevil", "\ud800", "\udcff", "\0",
    "../../etc/passwd", "/etc/passwd", ".", "a" * 5000, "\u0661\u0662", [], {}, [[]], [1], ["a", "a"], {"a": 1},
    {"": {}}, [0] * 5000, [None], "NaN", "neutral", "uncertain",
]  # fmt: skip
NUMBERS = [0, 1, 2, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 4, 2**20]

TRAPS = [
    "seed: 1\nseed: 2\n", "seed: !!python/object/apply:os.system [id]\n", "a: &a [*a]\n", "<<: {seed: 1}\n", "\t",
    "\0", "seed: 0x" + "f" * 5000 + "\n", "seed: " + "9" * 5000 + "\n", "[" * 2000, "? [1]\n: 2\n", "---\n",
    "optim: {learning_rate: .nan}\n", "a: !!binary x\n", "%TAG ! x\n", "seed: 1:60:99\n", "b: !!set {a}\n",
    "seed: 2020-13-45\n",
]  # fmt: skip
"""YAML syntax other than plain values"""


@st.composite
def json_like(draw, values: object) -> bytes:
    """JSON of `values` with some places changed; sometimes its text as well."""
    values = json.loads(json.dumps(values))
    for _ in range(draw(st.integers(0, 3))):
        values = _changed(draw, values)
    text = json.dumps(values)
    kind = draw(st.integers(0, 11))
    if kind == 0:
        text = text.replace(
            draw(st.sampled_from(["1", "0", '"', ":", ","])),
            draw(st.sampled_from(["1e400", "9" * 5000, "-", "", "NaN"])),
            1,
        )
    elif kind == 1:
        name = draw(st.sampled_from(sorted(values) if isinstance(values, dict) and values else ["a"]))
        text = text[:-1] + f', "{name}": 1}}'
    elif kind == 2:
        depth = draw(st.sampled_from([40, 2000, 100_000]))
        text = text.replace("1", "[" * depth + "]" * depth, 1)
    data = text.encode("utf-8", "surrogatepass")
    if kind == 3:
        data = draw(st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b" " * 2_000_000])) + data
    elif kind == 4:
        data = json.dumps(values).encode(draw(st.sampled_from(["utf-16", "utf-32"])))
    elif kind == 5:
        data = draw(damaged(data))
    return data


def _changed(draw, values: object) -> object:
    """`values` with one place, at a depth that is drawn, replaced, removed, repeated or renamed."""
    if isinstance(values, dict) and values and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(values)))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            return {name: value for name, value in values.items() if name != key}
        if kind == 1:
            return values | {str(draw(st.sampled_from(HOSTILE))): values[key]}
        return values | {key: _changed(draw, values[key])}
    if isinstance(values, list) and values and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(values) - 1))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            return values[:place] + values[place + 1 :]
        if kind == 1:
            return [*values, values[place]]
        return [*values[:place], _changed(draw, values[place]), *values[place + 1 :]]
    return draw(st.sampled_from(HOSTILE))


@st.composite
def yaml_like(draw, values: object) -> bytes:
    """YAML of `values` with some places changed, special YAML syntax inserted, or bytes damaged."""
    import yaml

    values = json.loads(json.dumps(values))
    for _ in range(draw(st.integers(0, 2))):
        values = _changed(draw, values)
    # PyYAML refuses to write half of a surrogate pair.
    text = yaml.safe_dump(json.loads(json.dumps(values).replace("\\ud", "\\u0d")))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        lines = text.splitlines(keepends=True)
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(TRAPS)))
        text = "".join(lines)
    elif kind == 1:
        text = text.replace(draw(st.sampled_from([": 1", ": 0", "\n"])), draw(st.sampled_from(TRAPS)), 1)
    data = text.encode()
    return draw(damaged(data)) if kind == 2 else data


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Cut, or with bytes or 32-bit numbers overwritten, or pieces taken out or put in twice."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 5)))
        kind = draw(st.integers(0, 5))
        if kind == 0:
            del data[at:]
        elif kind <= 2:
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 3:
            at -= at % 4
            data[at : at + 4] = struct.pack("<I", draw(st.sampled_from(NUMBERS)))
        elif kind == 4:
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
    return bytes(data)


@st.composite
def npz_like(draw, arrays: dict[str, np.ndarray]) -> bytes:
    """An .npz file whose arrays, headers, entries or bytes are changed."""
    arrays = dict(arrays)
    files = {}
    for name in arrays:
        files[f"{name}.npy"] = _npy(arrays[name])
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(files)))
        array = arrays[name.removesuffix(".npy")] if name.removesuffix(".npy") in arrays else np.zeros(2)
        kind = draw(st.integers(0, 9))
        if kind == 0:
            dtype = draw(st.sampled_from(["f8", ">f4", "i4", "O", "U3", "S4", "c8", "b1", "M8[s]", "u1", "V8"]))
            files[name] = _npy(_cast(array, dtype))
        elif kind == 1:
            shape = draw(st.sampled_from([(), (0,), (1,), (3, 0), (2, 2, 2), array.shape[::-1]]))
            files[name] = _npy(np.zeros(shape, array.dtype))
        elif kind in (2, 3):
            files[name] = draw(lying_header(files[name]))
        elif kind == 4:
            del files[name]
            if not files:
                break
        elif kind == 5:
            strange = draw(st.sampled_from(["../x.npy", "/x.npy", "x", "", "a\x1b.npy", "x.npy/", "x" * 500, "é.npy"]))
            files[strange] = files[name]
        elif kind == 6 and array.dtype.kind == "f" and array.size:
            values = array.copy()
            values.flat[draw(st.integers(0, array.size - 1))] = draw(
                st.sampled_from([np.nan, np.inf, -np.inf, 1e4, -1e4, 0])
            )
            files[name] = _npy(values)
        elif kind == 7:
            files[name] = _npy(np.asfortranarray(array))
        elif kind == 8:
            files[name] = draw(damaged(files[name]))
        else:
            files[name] += bytes(draw(st.sampled_from([1, 100, 40_000_000])))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as file:
        for name, data in files.items():
            file.writestr(name or "empty", data)
    data = out.getvalue()
    return draw(damaged(data)) if draw(st.integers(0, 4)) == 0 else data


@st.composite
def lying_header(draw, data: bytes) -> bytes:
    """An .npy file whose header does not match its data."""
    shape = draw(
        st.sampled_from(["(10**12,)", "(1000000000000,)", "(-1,)", "(2, 2)", "()", "(True,)", "(1.5,)", "[3]"])
    )
    descr = draw(
        st.sampled_from(["'<f4'", "'|O'", "'<U1000000000'", "[('a', '<f4')]", "'>f4'", "'x'", "('<f4', (3,))"])
    )
    order = draw(st.sampled_from(["False", "True", "1", "None"]))
    text = draw(
        st.sampled_from([f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}", "{}", "(" * 500])
    )
    header = text.encode().ljust(118) + b"\n"
    return data[:8] + struct.pack("<H", len(header)) + header + data[128:]


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _cast(array: np.ndarray, dtype: str) -> np.ndarray:
    try:
        with np.errstate(all="ignore"):
            return array.astype(dtype)
    except (ValueError, TypeError):
        return np.zeros(array.shape, dtype)
