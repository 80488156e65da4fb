#!/usr/bin/env python3
"""Label pictures by the thousand.

    python demo_image_batch.py                               # the pictures in input/
    python demo_image_batch.py photos --recursive --report   # a tree of folders, and a page to look through it
    python demo_image_batch.py photos --recursive --report --resume        # go on after a stop, a kill, a power cut
    find photos -name '*.jpg' -print0 | python demo_image_batch.py - --output labels
    torchrun --nproc-per-node 4 demo_image_batch.py photos   # four GPUs, or machines: each takes its share

In the output folder there are then: results.csv, a row a face; annotated/, a copy of each picture with a face, in
the folders that the pictures are in; and with --report report.html. What an earlier run over the same pictures left
there is replaced; any other file that is in the way is not, unless --overwrite says so.

With --resume, pictures that were replaced since are done again, and those that are gone have no row any more; what was
written for them is removed, but for sorted copies, which are moved to FOLDER/(earlier)/. The csv begins with a byte
order mark, so that Excel reads it as UTF-8: Python reads it with encoding="utf-8-sig", pandas as it is.

Exit code: 0 done; 1 a picture cannot be read, or there is none, or it was stopped before the end; 2 wrong use.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from models.packages import check_packages

if __name__ == "__main__":
    check_packages("cv2")  # before the imports that need them

from tqdm import tqdm

from models.batch.earlier import settle
from models.batch.journal import Journal
from models.batch.passed_over import in_words, remedies
from models.batch.pipeline import BATCH_FACES, label_pictures
from models.batch.pool import WorkerPool
from models.batch.ranks import Ranks, join_ranks
from models.batch.records import NO_FACE, OK, UNREADABLE, Record, Summary
from models.batch.report import REPORT
from models.batch.results import Results
from models.batch.run import FOLDER, PARTS, Run, begin_run, check_run, weights_digest
from models.batch.sources import Sources, find_sources
from models.batch.tables import FORMATS, check_format
from models.batch.worker import COPIES, COPY_SIDE, THUMBNAILS, Job
from models.command_line import (
    DONE,
    IN_PART,
    add_detector_arguments,
    add_model_arguments,
    because,
    describe_detector,
    leave,
    load_classifier,
    load_detector,
    new_parser,
    positive,
    script,
    tell_choices,
)
from models.errors import UserError
from models.expressions import UNCERTAIN
from models.files import locked

IN_BATCHES = f"{BATCH_FACES} faces a batch (more are no quicker)"
INPUT = Path(__file__).parent / "input"
MOST_LINES = 30  # pictures of which each has a line on the terminal
# The flags that a run's answers and copies depend on: --resume goes on with the same.
SETTINGS = (
    "annotate", "emoji", "report", "sort_into", "min_confidence", "max_megapixels",
    "checkpoint", "fast", "tta", "detector", "detector_model", "max_faces", "min_face",
)  # fmt: skip


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = new_parser(__doc__)
    add = parser.add_argument
    sources = "folders, pictures, patterns such as 'photos/*.jpg', .txt files with a name a line, or - for such a list"
    add("pictures", nargs="*", default=[str(INPUT)], metavar="PICTURES", help=f"{sources}; by default input/")
    add("--recursive", action="store_true", help="look into the folders in a folder as well; links are not followed")
    add("--max-megapixels", type=positive(float), default=64.0, metavar="N", help="larger pictures are not read")
    add("--workers", type=positive(int), metavar="N", help="processes that read pictures; by default one for each core")
    add = parser.add_argument_group("output").add_argument
    add("--output", type=Path, default=Path("output"), metavar="FOLDER", help="where the results go")
    add("--format", choices=FORMATS, default="csv", help="of the table; parquet needs the package pyarrow")
    copies = f"write annotated copies, their longer side at most {COPY_SIDE} pixels"
    add("--annotate", action=argparse.BooleanOptionalAction, default=True, help=copies)
    add("--emoji", action="store_true", help="draw the expression's little face beside each label of those copies")
    add("--report", action="store_true", help="write report.html, a page to look through the results")
    add("--sort-into", type=Path, metavar="FOLDER", help="copy pictures to FOLDER/<their largest face's expression>/")
    add("--min-confidence", type=_share, default=0.0, metavar="P", help="a less probable expression becomes uncertain")
    add("--json", action="store_true", help="print a summary as one JSON object instead of sentences")
    resume = "go on with the run that was stopped there, if one was; what was replaced since is done again"
    add("--resume", action="store_true", help=resume)
    add("--overwrite", action="store_true", help="begin anew and write over what is there, whoever wrote it")
    add_detector_arguments(parser)
    add_model_arguments(parser)
    arguments = parser.parse_args(argv)
    if arguments.resume and arguments.overwrite:
        parser.error("--resume goes on with what is there and --overwrite begins anew: take one of them")
    return arguments


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


@script
def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    check_format(arguments.format)
    with join_ranks() as ranks:
        if ranks.world > 1 and "-" in arguments.pictures:
            raise UserError("several processes cannot share standard input: put the names into a .txt file")
        sources = find_sources(arguments.pictures, arguments.recursive, own_paths(arguments))
        if ranks.rank == 0:
            tell_passed_over(arguments.pictures, sources)
        return label(arguments, sources, ranks) if sources.pictures else IN_PART


def label(arguments: argparse.Namespace, sources: Sources, ranks: Ranks) -> int:
    """Labels this process's share; rank 0 waits for all and writes the results. Returns the exit code."""
    output: Path = arguments.output
    run = describe_run(arguments, sources)
    goes_on, remark = ranks.first(lambda: check_run(output, run, arguments.resume, arguments.overwrite))
    load_detector(arguments)  # what is wrong with it is better said once than by each process
    with ExitStack() as stack:
        workers = min(arguments.workers or ranks.cores(), len(sources.pictures))
        pool = stack.enter_context(WorkerPool(workers, describe_job(arguments, sources)))
        classifier = load_classifier(argparse.Namespace(**vars(arguments) | {"device": ranks.device(arguments.device)}))
        check_names(arguments, classifier.class_names)
        if ranks.rank == 0:
            others = describe_detector(arguments), describe_workers(arguments.workers, workers, ranks), IN_BATCHES
            tell_choices(arguments, classifier.device, classifier.precision, classifier, *others)

        def begin() -> None:
            stack.enter_context(locked(output / FOLDER / "lock", output))
            settled = settle(output, run, Run.read(output) if goes_on else None, sources)
            begin_run(output, run, goes_on)
            for line in filter(None, [remark, *settled.in_words(arguments.sort_into)]):
                print(line, file=sys.stderr)

        ranks.first(begin)
        journal = stack.enter_context(Journal(output / FOLDER / PARTS, ranks.rank))
        order = [picture.name for picture in sources.pictures]
        results = Results(output, run, journal, order, classifier.class_names) if ranks.rank == 0 else None
        remaining = [picture for picture in ranks.share(sources.pictures) if picture.name not in journal.done]
        records = label_pictures(remaining, classifier, pool, arguments.min_confidence)
        try:
            keep(records, len(remaining), journal, results)
            ranks.wait()
            if results is None:
                return DONE
            summary = results.complete()
        except (KeyboardInterrupt, OSError):
            if results:
                with suppress(OSError):
                    results.write_last_table()
                print("stopped before the end: the same command with --resume goes on from here", file=sys.stderr)
            raise
        tell(arguments, results, summary, sources)
    return IN_PART if summary.incomplete else DONE


def describe_workers(asked: int | None, workers: int, ranks: Ranks) -> str:
    """How many processes read pictures, and why so many."""
    why = [] if asked else ["one a core" if workers == ranks.cores() else "one a picture"]
    share = f" for each of {ranks.world}" if ranks.world > 1 else ""
    return f"{workers} process{'es' * (workers > 1)} to read{share}{because(*why)}"


def keep(records: Iterator[Record], count: int, journal: Journal, results: Results | None) -> None:
    """Writes down each picture that is done; where the results are written, the table and a progress bar as well."""
    if results:
        results.reserve()
        records = tqdm(records, total=count, unit="picture", disable=None)
    for record in records:
        journal.append(record)
        if results:
            results.write_table_when_due()


def describe_run(arguments: argparse.Namespace, sources: Sources) -> Run:
    files = [f"results.{arguments.format}", *[COPIES] * arguments.annotate, *[REPORT, THUMBNAILS] * arguments.report]
    settings = {name: getattr(arguments, name) for name in SETTINGS}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    own_weights = filter(None, [arguments.checkpoint, arguments.detector_model])
    return Run(sources.identity, plain, files, root=sources.root, weights=weights_digest(own_weights))


def describe_job(arguments: argparse.Namespace, sources: Sources) -> Job:
    return Job(
        make_detector=partial(load_detector, arguments),
        root=sources.root,
        output=arguments.output,
        annotate=arguments.annotate,
        thumbnails=arguments.report,
        sort_into=arguments.sort_into,
        overwrite=arguments.overwrite,
        max_megapixels=arguments.max_megapixels,
        emoji=arguments.emoji,
    )


def own_paths(arguments: argparse.Namespace) -> list[Path]:
    """What a run writes: what lies there is no source, nor is an output folder within the one to label."""
    output: Path = arguments.output
    tables = [f"results.{name}" for name in FORMATS]
    own = [*(output / name for name in (COPIES, THUMBNAILS, REPORT, *tables)), *filter(None, [arguments.sort_into])]
    inputs = [Path(name).resolve() for name in arguments.pictures if os.path.isdir(name)]
    return [*own, output] if any(folder in output.resolve().parents for folder in inputs) else own


def check_names(arguments: argparse.Namespace, class_names: Sequence[str]) -> None:
    """Raises `UserError` where an answer could mean two things."""
    if arguments.min_confidence and UNCERTAIN in class_names:
        raise UserError(f"a class of this checkpoint is itself called {UNCERTAIN}: leave out --min-confidence")


def tell_passed_over(arguments: Sequence[str], sources: Sources) -> None:
    """Says what is not labelled, and why; and where there is nothing to label, that."""
    if sources.left_out:
        print(f"{sources.left_out} pictures are left out: they lie where copies are written", file=sys.stderr)
    kinds = _printable(in_words(sources.passed_over))
    remedy = remedies(sources.passed_over)
    if not sources.pictures:
        verb = "is" if sources.passed_over.total() == 1 else "are"
        why = f": {kinds} {verb} passed over{remedy}" if kinds else ""
        print(f"there is no picture in {', '.join(arguments)}{why}", file=sys.stderr)
    elif kinds:
        print(f"passed over: {kinds}{remedy}", file=sys.stderr)


def tell(arguments: argparse.Namespace, results: Results, summary: Summary, sources: Sources) -> None:
    """Prints what was found, a line a picture where they are few, and where it was written."""
    statuses, faces = summary.statuses, summary.faces
    if arguments.json:
        about = {"table": str(results.table), "passed_over": dict(sources.passed_over)}
        print(json.dumps(summary.to_json() | about))
        return
    if summary.pictures <= MOST_LINES:
        lines = [_line(record, arguments.output) for record in results.records()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        print()
    expressions = ", ".join(f"{count} {label}" for label, count in faces.most_common())
    counts = f"{statuses[OK]} with a face, {statuses[NO_FACE]} without, {statuses[UNREADABLE]} unreadable"
    print(f"pictures: {summary.pictures} ({counts})")
    print(f"faces: {faces.total()}{f' ({expressions})' if faces else ''}")
    print(f"wrote {results.table}")
    if arguments.annotate:
        print(f"wrote {arguments.output / COPIES}: {summary.copies} annotated copies")
    if arguments.report:
        print(f"wrote {arguments.output / REPORT}")
    if arguments.sort_into:
        print(f"wrote {arguments.sort_into}: a folder an expression")


def _line(record: Record, output: Path) -> tuple[str, str, str, str]:
    """A picture's line on the terminal: file, status, expressions or what is wrong, annotated copy."""
    faces = ", ".join(f"{face.label} {face.confidence:.0%}" for face in record.faces)
    name, copy = record.file, str(output / record.copy) if record.copy else ""
    return _printable(name), record.status, " - ".join(filter(None, [faces, record.reason])), _printable(copy)


def _printable(text: str) -> str:
    """Text that may go to a terminal: a file name can hold line ends, and codes that a terminal obeys."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


if __name__ == "__main__":
    leave(main())
