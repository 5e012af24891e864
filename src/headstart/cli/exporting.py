"""How an export is shown in the terminal."""

from rich.console import Console
from rich.text import Text

from headstart.cli.columns import print_line, print_table
from headstart.exporting.readme import checks, describe
from headstart.record.export import ExportRecord


def show_export(console: Console, record: ExportRecord) -> None:
    """Show what was checked, and what was written."""
    rows = [[Text(name), Text(result, "bold")] for name, result in checks(record)]
    print_table(console, ("check", "result"), rows)
    for sentence in describe(record.quantisation) if record.quantisation else ():
        print_line(console, sentence)
    files = ", ".join(f"{name} ({_size(size)})" for name, size in record.files)
    print_line(console, f"Written to {record.folder}: {files}.")
    print_line(console, f"Try it: python {record.folder}/predict.py IMAGE")


def _size(size: int) -> str:
    """Return a size in MB, or in kB if it is small."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
