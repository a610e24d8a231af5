"""The text model of the zoo by name."""

from importlib import import_module

from unitscope.errors import UsageError
from unitscope.networks.text_models import TextModel


def open_text_model(name: str) -> TextModel:
    """The towers of the drawn world: `zoo:captioned`. Raises `UsageError` for another network of the zoo."""
    if name != "captioned":
        raise UsageError(f"zoo:{name} embeds no texts; wanted zoo:captioned")
    found: TextModel = import_module("unitscope.lab.zoo.captioned").load_captioned()
    return found
