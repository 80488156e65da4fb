"""What a benchmark measured: a table for people, a line of JSON for programs and, for R/, a csv file.

    table = Table("inference", ["precision", "faces a call", "ms a face"], f"{size}px")
    table.add("int8", 1, "8.11")     # is printed at once
    table.end(arguments.record)      # a last line of JSON; with --record FOLDER the csv file as well

The file's name holds the conditions: what was measured, what the benchmark adds (precision, size of the input), the
processor or GPU, torch's version. The last column is the date.
"""

import argparse
import csv
import io
import json
import os
import platform
import re
import sys
from datetime import date
from pathlib import Path

import torch

from models.files import replacing


def add_record_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="write the table there as a csv file, as in R/")


class Table:
    """A table that is printed row by row.

    Args:
        what: What was measured; of several tables of a benchmark, each has its own name.
        columns: Their names.
        conditions: What holds for the whole table besides processor and torch, such as `int8` and `96px`.
        device: `cpu` or `cuda`.
    """

    def __init__(self, what: str, columns: list[str], *conditions: str, device: str = "cpu"):
        self.what, self.columns, self.rows = what, columns, []
        torch_version = torch.__version__.split("+")[0].rpartition(".")[0]
        self.conditions = [
            *conditions,
            describe_processor(device),
            f"torch{torch_version}",
        ]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)

    def add(self, *cells: object) -> None:
        row = [str(cell) for cell in cells]
        assert len(row) == len(self.columns), f"{len(self.columns)} columns, and {len(row)} cells"
        self.rows.append(row)
        print(f"| {' | '.join(row)} |", flush=True)

    def end(self, folder: Path | None = None) -> None:
        """Prints the line of JSON, after writing the csv file where there is a folder for it."""
        end([self], folder)

    def write(self, folder: Path) -> None:
        path = folder / f"{'-'.join([self.what, *self.conditions])}.csv"
        folder.mkdir(parents=True, exist_ok=True)
        text, today = io.StringIO(), date.today().isoformat()
        csv.writer(text, lineterminator="\n").writerows(
            [[*self.columns, "date"], *([*row, today] for row in self.rows)]
        )
        with replacing(path) as file:
            file.write(text.getvalue().encode())
        print(f"wrote {path}", file=sys.stderr)


def describe_processor(device: str = "cpu") -> str:
    """A GPU's name; or how many cores of which processor, and its best instructions: `2x-amd-epyc-avx512bf16`."""
    if device == "cuda":
        return _slug(torch.cuda.get_device_name())
    try:
        name = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):  # another system
        name = platform.processor() or platform.machine()
    instructions = torch.backends.cpu.get_cpu_capability()
    for has, called in ((torch.cpu._is_amx_tile_supported, "amx"), (torch.cpu._is_avx512_bf16_supported, "avx512bf16")):
        if has():
            instructions = called
            break
    return _slug(f"{os.cpu_count()}x {name} {instructions}")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)|cpu|processor|@.*?ghz", "", text.lower())).strip("-")


def end(tables: list[Table], folder: Path | None = None) -> None:
    """Ends a benchmark: a csv file a table, where there is a folder for them, and one line of JSON."""
    for table in tables if folder is not None else ():
        table.write(folder)
    told = [
        {
            "benchmark": each.what,
            "conditions": each.conditions,
            "rows": [dict(zip(each.columns, row)) for row in each.rows],
        }
        for each in tables
    ]
    print(json.dumps(told if len(told) > 1 else told[0], ensure_ascii=False))
