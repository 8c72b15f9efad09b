"""Reading files of every format, and refusing those that cannot be read."""

import json
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.errors import InvalidArgumentError, RemoraError
from remora.ingest import limits
from remora.ingest.document import Section
from remora.ingest.formats import EXTENSIONS, Format, detect
from remora.ingest.reading import read
from tests.unit.ingest import files


def sections(content: bytes | str, name: str) -> list[tuple[tuple[str, ...], str]]:
    content = content.encode() if isinstance(content, str) else content
    return [(section.headings, section.text) for section in read(content, name=name).sections]


# Plain text


def test_plain_text_is_one_section_as_it_is() -> None:
    assert sections("  One.\n\n\tTwo.\r\n", "a.txt") == [((), "  One.\n\n\tTwo.")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_may_be_in_any_unicode_encoding_that_shows_itself(encoding: str) -> None:
    assert sections("Größe 漢字".encode(encoding), "a.txt") == [((), "Größe 漢字")]


# Markdown


def test_markdown_is_cut_at_its_headings_and_kept_as_source() -> None:
    code = "```sh\n# no heading\nmake dev\n```"
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    text = f"Intro\n# Guide\n## Install\n{code}\n\nSetext\n---\n{table}\n"

    assert sections(text, "a.md") == [
        ((), "Intro"),
        (("Guide", "Install"), code),
        (("Guide", "Setext"), table),
    ]


def test_front_matter_is_text_and_names_the_title() -> None:
    document = read(b'---\ntitle: "My notes"\ntags: [a]\n---\n# Other\nText', name="a.md")

    assert document.title == "My notes"
    assert document.sections[0] == Section((), None, 'title: "My notes"\ntags: [a]')


def test_a_heading_without_text_under_it_is_not_lost() -> None:
    assert sections("# One\n# Two\n## Three\n", "a.md") == [((), "One"), (("Two",), "Three")]


def test_a_very_long_heading_is_text() -> None:
    assert sections("# " + "long " * 100, "a.md") == [((), ("long " * 100).strip())]


# HTML

PAGE = """<!DOCTYPE html><html><head><title>Harbour &amp; sea</title><style>p {}</style></head><body>
<nav><a href=/>Home</a></nav><h1>The <b>harbour</b></h1><p>Ships come<br>and go.<ul><li>one<li>two</ul>
<script>alert("no")</script><h2>Fees</h2><table><tr><th>Ship<th>Fee<tr><td>Remora<td>12 EUR</table>
<pre>
def fee():
    return 12
</pre></body></html>"""


def test_a_web_page_is_read_as_a_reader_sees_it() -> None:
    assert read(PAGE.encode(), name="a.html").title == "Harbour & sea"
    assert sections(PAGE, "a.html") == [
        (("The harbour",), "Ships come\nand go.\n\n- one\n- two"),
        (("The harbour", "Fees"), "Ship | Fee\nShip: Remora; Fee: 12 EUR\n\ndef fee():\n    return 12"),
    ]


def test_a_table_without_header_cells_is_rows_of_cells() -> None:
    html = "<table><tr><td>a</td><td><p>b</p></td></tr><tr><td>c<td>d</table>"

    assert sections(html, "a.html") == [((), "a | b\nc | d")]


def test_a_table_in_a_table_loses_nothing() -> None:
    html = "<table><tr><td>outer<table><tr><td>inner</table>more</table>"

    assert sections(html, "a.html")[0][1].split() == ["inner", "outermore"]


def test_navigation_that_never_ends_does_not_swallow_the_page() -> None:
    assert sections("<nav>Menu<p>Text", "a.html") == [((), "Menu\n\nText")]


def test_a_web_page_may_declare_an_old_encoding() -> None:
    page = '<meta charset="ISO-8859-1"><p>Größe'.encode("latin-1")

    assert sections(page, "a.html") == [((), "Größe")]


def test_a_web_page_may_not_declare_just_any_codec() -> None:
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        read(b'<meta charset="unicode_escape"><p>\xff\\x41', name="a.html")


@pytest.mark.parametrize(
    "unit", ["<a ", "<a b=", '<a b="', "<!--", "<?", "</", "<div>", "<table><tr><td>", "<![CDATA["]
)
def test_tags_that_never_end_are_read_in_time_that_grows_with_their_number(unit: str) -> None:
    # Takes minutes where the time grows with the square.
    assert sections("text" + unit * 20_000, "a.html")[0][1].startswith("text")


# PDF


def test_a_pdf_has_pages() -> None:
    document = read(files.pdf(["First page.", "Second page."], title="Two pages"), name="a.pdf")

    assert document.title == "Two pages"
    assert document.sections == (Section((), 1, "First page."), Section((), 2, "Second page."))


def test_the_outline_of_a_pdf_gives_its_headings() -> None:
    document = read(files.pdf(["Fees\nTwelve.", "Ships\nMany."], outline=True), name="a.pdf")

    assert document.sections == (Section(("Fees",), 1, "Twelve."), Section(("Ships",), 2, "Many."))


def test_a_pdf_with_a_password_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="has a password"):
        read(files.pdf(["Secret."], password="sesame"), name="a.pdf")


def test_a_pdf_that_anyone_may_open_is_read_though_it_is_encrypted() -> None:
    assert sections(files.pdf(["Not secret."], password=""), "a.pdf") == [((), "Not secret.")]


def test_a_pdf_without_text_is_refused_as_scanned() -> None:
    with pytest.raises(InvalidArgumentError, match="scanned"):
        read(files.pdf(["", ""]), name="a.pdf")


def test_a_pdf_with_too_many_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PDF_PAGES", 2)
    with pytest.raises(InvalidArgumentError, match="3 pages; up to 2"):
        read(files.pdf(["a", "b", "c"]), name="a.pdf")


def test_a_pdf_whose_stream_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PDF_STREAM_BYTES", 1_000)
    with pytest.raises(InvalidArgumentError, match="too complicated"):
        read(files.pdf(["word " * 5_000]), name="a.pdf")


@pytest.mark.parametrize("content", [files.pdf(["Text."])[:200], b"%PDF-1.7\n" + bytes(1_000)])
def test_a_damaged_pdf_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="damaged, or not PDF"):
        read(content, name="a.pdf")


# Word


def test_a_word_file_has_headings_lists_and_tables() -> None:
    assert read(files.word(), name="a.docx").title == "The harbour report"
    assert sections(files.word(), "a.docx") == [
        (("Harbour",), "Ships come and go.\n\n- first thing\n- second thing"),
        (("Harbour", "Fees"), "Ship | Fee\nRemora | 12 EUR"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (files.word()[:-600], "damaged"),
        (files.archive_of({"xl/workbook.xml": b"<x/>"}), "an Excel workbook"),
        (files.archive_of({"readme.txt": b"Hello"}), "another zip archive"),
        (files.word_with("word/document.xml", files.word_body("")), "no text"),
        (files.word_with("word/document.xml", "<w:document"), "damaged"),
        (files.word_with("word/document.xml", files.word_body("<w:tbl><w:tr><w:tc>" * 9_000)), "damaged"),
        (files.word_with("word/document.xml", files.word_body("x" * (limits.MAX_DOCX_XML_BYTES + 1))), "too large"),
        (files.word_with("word/more.xml", "x" * 9_000_000), "too large"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "before 2007, or one with a password"),
    ],
    ids=["cut off", "workbook", "zip", "empty", "no XML", "deep", "large", "bomb", "old"],
)
def test_a_word_file_that_cannot_be_read_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read(content, name="a.docx")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_word_file_that_declares_entities_is_refused(encoding: str) -> None:
    body = files.word_body("<w:p><w:r><w:t>&a;</w:t></w:r></w:p>")
    xml = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>{body}'

    with pytest.raises(InvalidArgumentError, match="entities"):
        read(files.word_with("word/document.xml", xml.encode(encoding)), name="a.docx")


# CSV


def test_rows_of_a_table_name_their_columns() -> None:
    assert sections('name,age\n"Jones, Ann",3\nBob,\n', "a.csv") == [((), "name: Jones, Ann\nage: 3\n\nname: Bob")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_table_may_have_any_usual_separator(separator: str) -> None:
    assert sections(f"name{separator}age\nAnn{separator}x", "a.csv") == [((), "name: Ann\nage: x")]


def test_a_first_row_with_a_number_names_nothing() -> None:
    assert sections("Ann,3\nBob,4", "a.csv") == [((), "column 1: Ann\ncolumn 2: 3\n\ncolumn 1: Bob\ncolumn 2: 4")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n"never closed', "line 2"),
        ("," * 2_000 + "x", "2001 columns"),
        ("a,b\n" + "x" * 200_000 + ",y", "field limit"),
        (",,\n,,\n", "no text"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read(text.encode(), name="a.csv")


# JSON


def test_small_json_is_lines_of_values_after_their_keys() -> None:
    text = (
        '{"name": "Ann", "n": 1.50e3, "tags": ["a", "b"], "home": {"city": "Rome"}, "x": [{"y": null}, {"y": true}]}'
    )

    assert sections(text, "a.json") == [
        ((), "name: Ann\nn: 1.50e3\ntags: a, b\nhome.city: Rome\nx[0].y: null\nx[1].y: true")
    ]


def test_large_json_has_sections_under_its_keys_with_an_element_a_paragraph() -> None:
    text = json.dumps({"users": [{"name": "Ann", "about": "x" * 990}, {"name": "Bob"}], "version": 2})

    assert sections(text, "a.json") == [
        ((), "version: 2"),
        (("users",), f"name: Ann\nabout: {'x' * 990}\n\nname: Bob"),
    ]


def test_a_key_that_is_there_twice_loses_nothing() -> None:
    assert sections('{"a": 1, "a": 2}', "a.json") == [((), "a: 1\na: 2")]


def test_json_lines_are_elements() -> None:
    assert sections('{"a": 1}\n\n{"a": "\u2028"}\n', "a.jsonl") == [((), "a: 1\n\na:")]


def test_what_json_can_write_and_no_text_can_hold_is_replaced() -> None:
    assert sections(r'["a\u0000b\ud83d"]', "a.json") == [((), "ab\ufffd")]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ('{"a": }', "a.json", r"not JSON.*column 7"),
        ('{"a": 1}\n{"a"', "a.jsonl", "Line 2 is not JSON"),
        ("[" * 200_000, "a.json", "nested deeper"),
        ("[" * 80 + "1" + "]" * 80, "a.json", "nested deeper"),
        ("{}", "a.json", "no text"),
    ],
)
def test_json_that_cannot_be_read_is_refused(text: str, name: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read(text.encode(), name=name)


def test_json_that_would_grow_into_a_huge_text_is_refused() -> None:
    element: object = [[]] * 200_000
    for _ in range(40):
        element = {"k" * 70: element}

    with pytest.raises(InvalidArgumentError, match="in parts"):
        read(json.dumps(element).encode(), name="a.json")


# Any format


@pytest.mark.parametrize("content", [b"", b" \n\t"])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_an_empty_file_is_refused(content: bytes, extension: str) -> None:
    with pytest.raises(InvalidArgumentError, match="empty"):
        read(content, name=f"a{extension}")


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="up to 25000000"):
        read(b"x" * (limits.MAX_BYTES + 1), name="a.txt")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.csv"])
def test_a_file_with_too_much_text_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="in parts"):
        read(b"word\n" * (limits.MAX_CHARACTERS // 4), name=name)


def test_a_file_with_too_many_sections_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="sections"):
        read(b"<h1>a</h1>b" * (limits.MAX_SECTIONS + 1), name="a.html")


@pytest.mark.parametrize("content", ["Größe".encode("latin-1"), "Größe".encode("utf-16-le"), b"a\0b"])
def test_text_in_an_unknown_encoding_is_refused_rather_than_guessed(content: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        read(content, name="a.txt")


@pytest.mark.parametrize(
    ("content", "name", "media_type", "expected"),
    [
        (b"x", "notes/A.MD", None, Format.MARKDOWN),
        (b"x", "C:\\a.b\\page.HTM", None, Format.HTML),
        (b"x", "https://example.com/page.html?x=a.pdf#b", None, Format.HTML),
        (b"x", "data.json", "text/plain; charset=utf-8", Format.JSON),
        (b"x", "export", "Text/CSV; header=present", Format.CSV),
        (b"x", "v1.2", "text/markdown", Format.MARKDOWN),
        (b"x", "README", None, Format.TEXT),
        (b"%PDF-1.7", "upload", "application/octet-stream", Format.PDF),
        (b"PK\x03\x04", "upload", None, Format.DOCX),
    ],
)
def test_the_format_is_told_by_name_then_media_type_then_content(
    content: bytes, name: str, media_type: str | None, expected: Format
) -> None:
    assert detect(content, name=name, media_type=media_type) is expected


@pytest.mark.parametrize(
    ("content", "name", "media_type", "message"),
    [
        (b"x", "table.xlsx", None, r"'\.xlsx'.*Accepted are plain text, .*\.docx"),
        (b"x", "picture", "image/png", r"'image/png'.*Accepted"),
        (b"%PDF-1.7", "a.txt", None, "plain text, but its content is a PDF"),
        (b"PK\x03\x04", "a.csv", None, "zip archive"),
        (b"Hello", "a.pdf", None, "is PDF, but its content is not"),
        (b"%PDF-1.7", "a.docx", None, "content is a PDF"),
        (b"{\\rtf1 Hello}", "a.txt", None, "an RTF file"),
    ],
)
def test_a_file_of_another_format_is_refused(content: bytes, name: str, media_type: str | None, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        read(content, name=name, media_type=media_type)


def test_no_library_of_a_format_is_loaded_before_a_file_needs_it() -> None:
    code = (
        "import sys; from remora.ingest.reading import read; import remora.ingest.chunking; "
        "read(b'x', name='a.txt'); "
        "sys.exit(not {'pypdf', 'mammoth', 'markdown_it', 'html.parser', 'sentencex'}.isdisjoint(sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


HTML = [
    "<p>",
    "</p>",
    "<h1>",
    "</h2>",
    "<table>",
    "<tr>",
    "<td>",
    "</table>",
    "<li>",
    "<pre>",
    "<nav>",
    "<!--",
    "-->",
]
OTHERS = [
    "<![if x]>",
    "# ",
    "---\n",
    "```\n",
    "- ",
    "> ",
    "| a |\n",
    "\n\n",
    '"',
    ",",
    ";",
    "{",
    "}",
    "[",
    "]",
    ":",
    "1",
]
MARKUP = st.sampled_from([*HTML, *OTHERS, '"a"', "null", '"\\ud800"'])
CONTENT = st.lists(MARKUP | st.text(max_size=5), max_size=60).map(lambda parts: "".join(parts).encode())


@settings(max_examples=120, deadline=None)
@given(
    content=st.binary(max_size=200) | CONTENT,
    extension=st.sampled_from([*EXTENSIONS, "", ".xyz"]),
    start=st.sampled_from([b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbf"]),
)
def test_any_bytes_under_any_name_give_a_document_or_an_error_of_ours(
    content: bytes, extension: str, start: bytes
) -> None:
    try:
        document = read(start + content, name=f"file{extension}")
    except RemoraError:
        return
    assert document.sections
    for section in document.sections:
        assert section.text.strip()
        assert "\0" not in section.text
        section.text.encode()


@settings(max_examples=40, deadline=None)
@given(at=st.integers(0, 5_000), damage=st.binary(max_size=30), name=st.sampled_from(["a.pdf", "a.docx"]))
def test_a_file_with_damage_anywhere_gives_a_document_or_an_error_of_ours(at: int, damage: bytes, name: str) -> None:
    whole = PDF if name == "a.pdf" else WORD
    at %= len(whole)
    with suppress(RemoraError):
        assert read(whole[:at] + damage + whole[at + len(damage) :], name=name).sections


PDF = files.pdf(["Fees\nTwelve.", "Ships\nMany."], outline=True)
WORD = files.word()
