"""Arrays of an .npz file are read as they were written, or refused by name; nothing is unpickled."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from crnn.errors import InputError
from crnn.files.npz import read_arrays

MIB = 2**20


def npz(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def npy(array, allow_pickle: bool = True) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=allow_pickle)
    return out.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + text.encode().ljust(117) + b"\n"


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"a.npy": npy(np.array([{}]))}, "object"),
        ({"a.npy": npy(np.zeros(2, "i4,f4"))}, "cannot be read as arrays"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**12,), }")}, "cannot be read"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }")}, "in 0 bytes"),
        ({"a.npy": header("{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }")}, "cannot be read"),
        ({"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")}, r"and shape \(-1,\)\)"),
        (
            {"a.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }") + bytes(4)},
            "cannot be read",
        ),
        ({"a.npy": header("(" * 100)}, "header"),
        ({"a.npy": b"cos\nsystem\n(S'id'\ntR."}, "cannot be read"),
        ({"../a.npy": npy(np.zeros(2))}, r"\['\.\./a\.npy'\]"),
        ({"a\x1b.npy": npy(np.zeros(2))}, r"a\\x1b\.npy"),
        ({f"a{n}.npy": b"" for n in range(100)}, "100 arrays"),
        ({"a.npy": npy(np.array([np.nan]))}, "NaN or infinite"),
    ],
)
def test_arrays_that_no_export_writes_are_refused(tmp_path, files, part):
    path = tmp_path / "a.npz"
    path.write_bytes(npz(files))
    with pytest.raises(InputError, match=part) as caught:
        read_arrays(path)
    assert str(caught.value).isprintable()


def test_valid_arrays_of_another_machine_are_read(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez_compressed(tmp_path / "a.npz", big=values.astype(">f4"), turned=np.asfortranarray(values), text=["é"])
    arrays = read_arrays(tmp_path / "a.npz")
    for name in ("big", "turned"):
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == np.float32
        assert arrays[name].flags.c_contiguous
    assert arrays["text"].tolist() == ["é"]


def write_npz(folder, files: dict[str, bytes]):
    (folder / "a.npz").write_bytes(npz(files))
    return folder / "a.npz"


def refused(path, part: str, **options) -> None:
    with pytest.raises(InputError, match=part) as caught:
        read_arrays(path, **options)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f2", "f4", "f8", "U3"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (1, 2, 3, 1)])
def test_every_kind_of_plain_array_comes_back_as_it_was(tmp_path, dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for saved in (values, values.astype(values.dtype.newbyteorder(">"))):
        (made,) = read_arrays(write_npz(tmp_path, {"a.npy": npy(saved)})).values()
        np.testing.assert_array_equal(made, values)
        assert made.dtype == values.dtype and made.dtype.isnative
        assert made.shape == shape


@pytest.mark.parametrize(
    ("array", "part"),
    [
        (np.zeros(2, bool), "bool"),
        (np.zeros(2, complex), "complex128"),
        (np.zeros(2, "S4"), r"\|S4"),
        (np.zeros(2, "datetime64[s]"), "datetime64"),
        (np.zeros((1, 1, 1, 1, 1), np.float32), r"shape \(1, 1, 1, 1, 1\)"),
        (np.array([1, np.inf], np.float16), "NaN or infinite"),
        (np.array([1, -np.inf]), "NaN or infinite"),
        (np.array([0x41, 0x110000], np.uint32).view("U2"), "no characters"),
        (np.array([0x110000], ">u4").view(">U1"), "no characters"),
    ],
)
def test_arrays_of_other_kinds_are_refused(tmp_path, array, part):
    refused(write_npz(tmp_path, {"a.npy": npy(array)}), part)


def test_the_last_character_of_unicode_is_read(tmp_path):
    assert read_arrays(write_npz(tmp_path, {"a.npy": npy(np.array(["\U0010ffff"]))}))["a"].tolist() == ["\U0010ffff"]


@pytest.mark.parametrize("length", ["(1,)", "(3,)"])
def test_an_array_has_exactly_the_bytes_that_its_header_states(tmp_path, length):
    data = header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {length}, }}") + bytes(8)
    refused(write_npz(tmp_path, {"a.npy": data}), r"float32 .*8 bytes")


def test_text_without_characters_is_no_array(tmp_path):
    refused(write_npz(tmp_path, {"a.npy": header("{'descr': '<U0', 'fortran_order': False, 'shape': (5,), }")}), "<U0")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_1_and_2_of_the_format_are_read(tmp_path, version):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.float32([1, 2]), version)
    path = write_npz(tmp_path, {"a.npy": out.getvalue()})
    if version == (3, 0):
        refused(path, r"version \(3, 0\) of the \.npy format")
    else:
        assert read_arrays(path)["a"].tolist() == [1, 2]


def test_a_header_has_at_most_1000_bytes(tmp_path):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"
    for size, good in ((1000, True), (1001, False)):
        data = b"\x93NUMPY\x01\x00" + size.to_bytes(2, "little") + text.encode().ljust(size - 1) + b"\n" + bytes(4)
        path = write_npz(tmp_path, {"a.npy": data})
        if good:
            assert read_arrays(path)["a"].tolist() == [0]
        else:
            refused(path, "cannot be read")


def test_at_most_64_arrays(tmp_path):
    one = npy(np.int8([1]))
    assert len(read_arrays(write_npz(tmp_path, {f"a{n}.npy": one for n in range(64)}))) == 64
    refused(write_npz(tmp_path, {f"a{n}.npy": one for n in range(65)}), "65 arrays.* 64")


def test_all_arrays_together_unpack_to_at_most_16_mib(tmp_path):
    """A header of 128 bytes each: the second array fills the limit, or is a byte too much."""
    half = npy(np.zeros(8 * MIB - 128, np.int8))
    assert len(half) == 8 * MIB
    arrays = read_arrays(write_npz(tmp_path, {"a.npy": half, "b.npy": half}))
    assert [array.size for array in arrays.values()] == [8 * MIB - 128] * 2
    more = npy(np.zeros(8 * MIB - 127, np.int8))
    refused(write_npz(tmp_path, {"a.npy": half, "b.npy": more}), "unpacks .*16777216 bytes")


def test_a_small_file_that_unpacks_to_much_is_refused_before_it_fills_the_memory(tmp_path):
    path = write_npz(tmp_path, {"a.npy": bytes(48 * MIB)})
    tracemalloc.start()
    try:
        refused(path, "unpacks .*16777216 bytes")
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    finally:
        tracemalloc.stop()


def test_a_file_has_at_most_16_mib(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz({"a.npy": npy(np.int8([1]))}) + bytes(16 * MIB))
    refused(tmp_path / "a.npz", "larger .*16777216 bytes")


@pytest.mark.parametrize("name", ["x" * 60, "A_9"])
def test_names_of_letters_and_digits_are_read(tmp_path, name):
    assert list(read_arrays(write_npz(tmp_path, {f"{name}.npy": npy(np.int8([1]))}))) == [name]


@pytest.mark.parametrize("name", ["x" * 61, "", "a-b", "é"])
def test_other_names_are_refused(tmp_path, name):
    path = write_npz(tmp_path, {"good.npy": npy(np.int8([1])), f"{name}.npy": npy(np.int8([1]))})
    refused(path, rf"\['{name}\.npy'\]")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for name in ("once.npy", "twice.npy", "twice.npy"):
            file.writestr(name, npy(np.int8([1])))
    refused(tmp_path / "a.npz", r"\['twice\.npy'\]")


def test_a_link_is_followed_unless_it_may_not_be(tmp_path):
    (tmp_path / "link.npz").symlink_to(write_npz(tmp_path, {"a.npy": npy(np.int8([7]))}))
    assert read_arrays(tmp_path / "link.npz")["a"].tolist() == [7]
    refused(tmp_path / "link.npz", "is a link", follow=False)


def test_a_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path):
    refused(tmp_path / "none.npz", r"\(No such file or directory\)$")


@pytest.mark.parametrize(
    ("at", "value"), [(6, b"\x01"), (8, b"\x63")], ids=["encrypted", "packed by an unknown method"]
)
def test_members_that_zipfile_cannot_unpack_are_refused(tmp_path, at, value):
    data = bytearray(npz({"a.npy": npy(np.int8([1]))}))
    for begin in (data.index(b"PK\x03\x04") + at, data.index(b"PK\x01\x02") + at + 2):
        data[begin : begin + 1] = value
    (tmp_path / "a.npz").write_bytes(data)
    refused(tmp_path / "a.npz", r"cannot be read as arrays \(.+\)")


def test_every_cut_file_is_refused(tmp_path):
    data = npz({"a.npy": npy(np.arange(50.0)), "b.npy": npy(np.array(["x"]))})
    for length in range(0, len(data), 7):
        (tmp_path / "a.npz").write_bytes(data[:length])
        refused(tmp_path / "a.npz", "cannot be read as arrays")
