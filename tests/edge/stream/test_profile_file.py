"""The files of profiles and of training speakers: read back exactly, at every limit; refused beyond it, by name."""

import json
import math
import re

import numpy as np
import pytest

from crnn.errors import InputError
from edge.stream.profile import Profile, Speakers, load_profile, load_speakers, save_speakers

LABELS, WIDTH, BUNDLE = ("neutral", "happy", "angry"), 2, "ab" * 32
WEIGHTS, BIAS = np.float32([[1, -2, 3], [0.25, 1e6, -1e6]]), np.float32([-0.5, 0, 1e6])


@pytest.fixture
def path(tmp_path):
    Profile(BUNDLE, LABELS, {"happy": 1, "angry": 999_999}, WEIGHTS, BIAS).save(str(tmp_path / "me.json"))
    return tmp_path / "me.json"


def load(path) -> Profile:
    return load_profile(path, BUNDLE, LABELS, WIDTH)


def refusal(path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value)


def test_a_profile_comes_back_and_adapts_as_before(path):
    profile = load(str(path))
    assert (profile.bundle, profile.labels) == (BUNDLE, LABELS)
    assert profile.sentences == {"happy": 1, "angry": 999_999}
    for made, given in ((profile.weights, WEIGHTS), (profile.bias, BIAS)):
        np.testing.assert_array_equal(made, given)
        assert made.dtype == np.float32
    adapted = profile.adapt(np.float32([[10, 20, 30]]), np.float32([[2, 4]]))
    np.testing.assert_array_equal(adapted, [[10 + 3 - 0.5, 20 - 4 + 4e6, 30 + 6 - 4e6 + 1e6]])


def test_the_file_is_one_line_of_json(path):
    text = path.read_bytes()
    assert text.endswith(b"}\n") and text.count(b"\n") == 1 and text.isascii()
    values = json.loads(text)
    assert (values["schema"], values["bundle"], values["labels"]) == (1, BUNDLE, list(LABELS))
    assert values["weights"] == WEIGHTS.tolist() and values["bias"] == BIAS.tolist()


def test_a_profile_that_is_no_number_is_not_written(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        Profile(BUNDLE, LABELS, {}, WEIGHTS * np.nan, BIAS).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


DAMAGED = "damaged"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda v: v.update(schema=3), "schema 3.* 1 and 2\\b"),
        (lambda v: v.update(schema=2), DAMAGED),
        (lambda v: v.update(voice=[[1.0]]), DAMAGED),
        (lambda v: v.update(bundle="cd" * 32), " cdcdcdcdcdcd.* abababababab\\b.*enrol again"),
        (lambda v: v.pop("bundle"), " None.* abababababab\\b.*enrol again"),
        (lambda v: v.pop("schema"), DAMAGED),
        (lambda v: v.update(schema="1"), DAMAGED),
        (lambda v: v.pop("bias"), DAMAGED),
        (lambda v: v.pop("sentences"), DAMAGED),
        (lambda v: v.update(other=1), DAMAGED),
        (lambda v: v["sentences"].update(happy=True), DAMAGED),
        (lambda v: v["sentences"].update(happy=0), DAMAGED),
        (lambda v: v["sentences"].update(happy=10**6), DAMAGED),
        (lambda v: v["sentences"].update(happy=1.0), DAMAGED),
        (lambda v: v["sentences"].update(sad=1), DAMAGED),
        (lambda v: v.update(sentences=[]), DAMAGED),
        (lambda v: v.update(labels=list(LABELS[:2])), DAMAGED),
        (lambda v: v["labels"].reverse(), DAMAGED),
        (lambda v: v["bias"].__setitem__(0, 1000001), DAMAGED),
        (lambda v: v["bias"].__setitem__(0, True), DAMAGED),
        (lambda v: v["bias"].__setitem__(0, 1e300), DAMAGED),
        (lambda v: v["bias"].__setitem__(0, "x"), DAMAGED),
        (lambda v: v["bias"].__setitem__(0, None), DAMAGED),
        (lambda v: v["bias"].pop(), DAMAGED),
        (lambda v: v["bias"].append(0), DAMAGED),
        (lambda v: v.update(bias=[v["bias"]]), DAMAGED),
        (lambda v: v.update(bias="123"), DAMAGED),
        (lambda v: v["weights"].append([0, 0, 0]), DAMAGED),
        (lambda v: v["weights"][1].append(0), DAMAGED),
        (lambda v: v["weights"][0].pop(), DAMAGED),
        (lambda v: v["weights"][0].__setitem__(0, math.nan), DAMAGED),
        (lambda v: v.update(weights={}), DAMAGED),
        (lambda v: v["weights"][1].__setitem__(2, -1e6 - 1), DAMAGED),
        (lambda v: v.update(weights=["123", "456"]), DAMAGED),
        (lambda v: v.update(weights=v["bias"]), DAMAGED),
    ],
)
def test_a_profile_beyond_a_limit_is_refused(path, change, part):
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    found = refusal(path)
    assert found.startswith(f"{path}: ") and re.search(part, found)


@pytest.mark.parametrize("voice", [None, [], [[]], [1.0], [[1.0, 2.0]], [[1.0], [1.0, 2.0], [1.0]], [["1"]] * 3, {},
                                   [[1.0, 2.0], [0.0, 0.0], [1.0, 2.0]]])  # fmt: skip
def test_a_voice_is_a_row_of_numbers_for_each_sentence(path, voice):
    values = json.loads(path.read_text()) | {"schema": 2, "sentences": {"happy": 1, "angry": 2}}
    path.write_text(json.dumps(values | {"voice": [[1.0, 2.0]] * 3}))
    assert load(path).voice.tolist() == [[1.0, 2.0]] * 3
    path.write_text(json.dumps(values | {"voice": voice}))
    assert DAMAGED in refusal(path)


def test_what_is_no_profile_at_all_is_refused(path):
    for text in ("[]", "1", "null", '{"schema": true}'):
        path.write_text(text)
        assert re.match(f"{path}: .*{DAMAGED}.*edge.enroll$", refusal(path))
    path.write_text("{")
    assert re.match(f"{path}: .*{DAMAGED}.*JSON", refusal(path))
    path.write_text("{}".ljust(4 * 2**20))
    assert re.match(f"{path}: .*{DAMAGED}.*edge.enroll$", refusal(path))
    path.write_text("{}".ljust(4 * 2**20 + 1))
    assert re.match(f"{path}: .*4194304 bytes", refusal(path))
    path.unlink()
    assert re.match(f"{path}: no such file.*edge.enroll$", refusal(path))
    path.mkdir()
    assert re.match(f"{path}: not a file.*edge.enroll$", refusal(path))


SPEAKERS = Speakers(
    np.float32([1, 2]), np.float32([[1, 0.5], [0.5, 2]]), np.float32([1, 2, 3]), np.zeros(3, np.float32),
    np.float32([0, 1, 2]),
)  # fmt: skip


def test_speakers_come_back_exactly_where_half_precision_holds_them(tmp_path):
    save_speakers(SPEAKERS, tmp_path / "speakers.npz")
    with np.load(tmp_path / "speakers.npz") as stored:
        assert stored["whiten"].dtype == np.float16 and stored["whiten"].tolist() == [[1, 0.5], [0, 2]]
    made = load_speakers(tmp_path / "speakers.npz", 2, 3)
    for name, value in vars(SPEAKERS).items():
        np.testing.assert_array_equal(getattr(made, name), value)
        assert getattr(made, name).dtype == np.float32


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"center": np.zeros(3, np.float32)}, r"center .*float32 .*\(2,\)"),
        ({"center": np.zeros(2)}, "center .*float32"),
        ({"neutral_mean": np.zeros(2, np.float32)}, r"neutral_mean .*float32 .*\(3,\)"),
        ({"neutral_within": np.zeros((3, 1), np.float32)}, "neutral_within .*float32"),
        ({"neutral_between": np.float32([1, -1e-9, 1])}, "variance below 0"),
        ({"neutral_within": np.float32([1, 1, -1e-9])}, "variance below 0"),
        (
            {"whiten": np.zeros((2, 3), np.float32)},
            r"whiten .*\(2, 3\).* \(2, 2\)",
        ),
        ({"whiten": np.zeros((2, 2), int)}, "training speakers"),
        ({"whiten": np.full((2, 2), np.inf, np.float16)}, "NaN or infinite"),
        ({"neutral_mean": np.float32([1, np.nan, 3])}, "NaN or infinite"),
        ({"center": np.array([{}, {}])}, "object"),
        ({"more": np.zeros(1, np.float32)}, "training speakers"),
        ({"center": None}, "training speakers"),
    ],
)
def test_speakers_that_do_not_fit_are_refused_by_the_name_of_the_file(tmp_path, change, part):
    values = {name: value for name, value in (vars(SPEAKERS) | change).items() if value is not None}
    np.savez(tmp_path / "speakers.npz", **values)
    with pytest.raises(InputError, match=part) as caught:
        load_speakers(tmp_path / "speakers.npz", 2, 3)
    assert str(caught.value).startswith(f"{tmp_path / 'speakers.npz'}: ")


def test_speakers_that_are_no_numbers_are_refused():
    SPEAKERS.check("here", 2, 3)
    broken = Speakers(**vars(SPEAKERS) | {"whiten": np.float32([[1, np.nan], [0, 1]])})
    with pytest.raises(InputError, match=r"^here: whiten .*float32 .*\(2, 2\)"):
        broken.check("here", 2, 3)


def test_speakers_are_not_read_through_a_link(tmp_path):
    save_speakers(SPEAKERS, tmp_path / "other.npz")
    (tmp_path / "speakers.npz").symlink_to(tmp_path / "other.npz")
    with pytest.raises(InputError, match=r"speakers\.npz: is a link"):
        load_speakers(tmp_path / "speakers.npz", 2, 3)
