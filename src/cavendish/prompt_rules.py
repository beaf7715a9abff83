"""Reads what prompt help knows from `prompts.toml`, once for each process that asks."""

import tomllib
from functools import cache
from importlib.resources import files

from cavendish.domain.prompt_rules import PromptRules, build_rules


@cache
def prompt_rules() -> PromptRules:
    """The rules of this version."""
    return build_rules(tomllib.loads(files("cavendish").joinpath("prompts.toml").read_text(encoding="utf-8")))
