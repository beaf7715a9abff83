"""Log lines: text for people, JSON for machines; both on standard error, never with a secret."""

import logging
import sys
from typing import Literal

import structlog
import structlog.tracebacks
from structlog.types import Processor


def configure_logs(log_format: Literal["text", "json"], level: str) -> None:
    """Set up structlog, and let libraries that use `logging` write through it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Processor] = (
        [_json_tracebacks(), structlog.processors.JSONRenderer(ensure_ascii=False)]
        if log_format == "json"
        else [_console()]
    )
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)


# Tracebacks without local variables: those hold prompts, keys and lease tokens.


def _json_tracebacks() -> Processor:
    return structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _console() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
