"""Commands that run experiments."""

from unitscope.parsing import Command

STUDIES: dict[str, Command] = {}
