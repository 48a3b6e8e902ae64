"""Names of emotions and persons: what is one name, what is none, and what two spellings have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crnn.data.names import clean, emotion_name, likeness, speaker_name, spellings
from crnn.errors import InputError


@pytest.mark.parametrize(
    "text",
    [
        "angry", " Angry\t", "ANGRY", '"angry"', "'angry'", "\u201cangry\u201d", "\u00a0angry\u00a0", "\ufeffangry",
        "an\u200bgry", ' "angry" ',
    ],
)  # fmt: skip
def test_spellings_that_are_cleaned_into_one_class(text):
    assert emotion_name(text, "x") == "angry"


def test_composed_and_decomposed_letters_are_one_name():
    assert emotion_name("fro\u0308hlich", "x") == emotion_name("FR\u00d6HLICH", "x") == "fröhlich"
    assert speaker_name("Zoe\u0308", "x") == speaker_name("Zoë", "x") == "Zoë"


NO_EMOTION = [
    "nan", "NaN", "None", "NULL", "n/a", "NA", "<NA>", "NaT", "#N/A", "", " ", '""', "true", "False", "3", "3.0", "-1",
    "1e5", "inf", "?", "-", "['angry']", '["angry"]', '{"a": 1}', "{...}", "('angry',)", "(angry)", "angry,sad",
    "angry;sad", "angry|sad", 'angry"', "'angry", "\u0430ngry", "uncertain", "x" * 41, "a\x07b", "np.str_('angry')",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_EMOTION)
def test_what_is_no_emotion_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="my.csv line 3: emotion") as error:
        emotion_name(text, "my.csv line 3: emotion")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["nan", "None", "", "true", "[1]", '{"id": 1}', "?", "--", 'anna"', "\u0430nna", "<anna>"]
)
def test_what_is_no_speaker_is_refused(text):
    with pytest.raises(InputError, match="line 3: speaker"):
        speaker_name(text, "line 3: speaker")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "01"), ("1.0", "1"), ("001", "1,0"), ("S01", "s1"), ("anna", "Anna"), ("anna b", "Anna-B"),
        ("A1", "a_01"), ("\uff11", "1"), ("1E+03", "1000"),
    ],
)  # fmt: skip
def test_two_spellings_of_one_name(one, other):
    assert likeness(one) == likeness(other)
    assert spellings([one, other, "somebody else"]) == [tuple(sorted((one, other)))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zoë", "Zoe"), ("Dörte", "Doerte"), ("DÖRTE", "dorte"), ("Groß", "Gross"), ("Søren", "Soren"),
        ("Пётр", "Петр"), ("Anna Muster", "Muster, Anna"), ("Jörg Groß", "gross joerg"),
    ],
)  # fmt: skip
def test_names_as_they_are_typed_elsewhere(one, other):
    assert spellings([one, other, "somebody else"]) == [tuple(sorted((one, other)))]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "b a"),
        ("Joel", "Jol"),
        ("किरण", "करण"),
        ("1", "10"),
        ("1-11", "11-1"),
        ("1.1", "1.10"),
        ("anna", "hanna"),
        ("a1", "b1"),
        ("राम", "रीमा"),
        ("1.0", "10"),
    ],
)
def test_two_persons(one, other):
    assert likeness(one) != likeness(other)
    assert spellings([one, other]) == []


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_cleaning_again_changes_nothing_and_a_name_stays_itself(text):
    assert clean(clean(text)) == clean(text)
    try:
        name = emotion_name(text, "x")
    except InputError:
        return
    assert emotion_name(name, "x") == name
    assert likeness(name) == likeness(text)
