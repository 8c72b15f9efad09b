"""How large and how complicated a document may be: every bound, and why it is what it is."""

MAX_BYTES = 25_000_000
"""Of a file."""

MAX_CHARACTERS = 5_000_000
"""Of a document's text, headings counted wherever they are repeated: some 3,500 pages, 6,000 chunks, which embed
in a minute or two."""

MAX_SECTIONS = 50_000

MAX_HEADING_CHARACTERS = 200
"""A longer heading is read as text: it is a paragraph in large print, or was never closed."""

MAX_NAME_CHARACTERS = 80
"""Of a column's name that is repeated in each row."""

MAX_PDF_PAGES = 3_000

MAX_PDF_SECONDS = 240
"""Checked between two pages. Usual pages take 5 to 50 ms; a hostile one, within pypdf's limits, some seconds."""

MAX_PDF_STREAM_BYTES = 20_000_000
"""Of one decompressed stream. Pages of text have some ten kilobytes; pictures are not decompressed."""

MAX_PDF_OPERATIONS = 500_000
"""Of one page's drawing. Pages of text have some thousands, maps up to some hundred thousand."""

MAX_DOCX_PARTS = 5_000

MAX_DOCX_XML_BYTES = 10_000_000
"""Decompressed, of all XML in it: over 1,000 pages. Reading it takes some 45 times as much memory, and
up to 8 s for each 1,000,000."""

MAX_DOCX_RATIO = 200
"""Decompressed to compressed, of the XML: Word's own is 5 to 50, a zip bomb's 1,000."""

MAX_MARKDOWN_LINES = 100_000
"""The parser takes about 1.5 KB for a line with a block of its own."""

MAX_CSV_COLUMNS = 1_000
"""A cell may have 131,072 characters, as the `csv` module has it."""

MAX_JSON_DEPTH = 64

MAX_TABLE_DEPTH = 20
"""Tables inside tables of a web page; deeper ones are read as text."""
