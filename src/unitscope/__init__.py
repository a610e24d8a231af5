"""A microscope for the hidden units of vision networks.

The one door: sources of concepts and networks go in, `dissect` relates them in one pass, and a
`Dissection` comes out, which is saved, shown and compared.

>>> import unitscope
>>> "dissect" in unitscope.__all__
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

from unitscope.version import __version__

if TYPE_CHECKING:
    from unitscope.concepts.derived import limit as limit
    from unitscope.concepts.derived import shuffle_labels as shuffle_labels
    from unitscope.concepts.frames import Frame as Frame
    from unitscope.concepts.packed import pack_source as pack_source
    from unitscope.concepts.union.union import unite_sources as unite_sources
    from unitscope.concepts.vocabulary import Concept as Concept
    from unitscope.concepts.vocabulary import ConceptSource as ConceptSource
    from unitscope.concepts.vocabulary import Example as Example
    from unitscope.concepts.vocabulary import Vocabulary as Vocabulary
    from unitscope.dissection.conventions import CONVENTIONS as CONVENTIONS
    from unitscope.dissection.conventions import Convention as Convention
    from unitscope.dissection.dissect import Confidences as Confidences
    from unitscope.dissection.dissect import dissect as dissect
    from unitscope.dissection.result import Dissection as Dissection
    from unitscope.dissection.result import LayerDissection as LayerDissection
    from unitscope.dissection.result import Unit as Unit
    from unitscope.dissection.storage import load as load
    from unitscope.dissection.storage import save as save
    from unitscope.errors import UnitscopeError as UnitscopeError
    from unitscope.networks.generators import Generator as Generator
    from unitscope.networks.load import load_network as load_network
    from unitscope.networks.network import Network as Network
    from unitscope.networks.network import Preprocessing as Preprocessing
    from unitscope.networks.open_source import open_source as open_source
    from unitscope.networks.trace import list_layers as list_layers
    from unitscope.networks.trace import tap as tap
    from unitscope.statistics.scan import Machine as Machine
    from unitscope.views.comparison import compare_runs as compare_runs
    from unitscope.views.report import write_report as write_report

_HOMES = {
    "CONVENTIONS": "dissection.conventions",
    "Concept": "concepts.vocabulary",
    "ConceptSource": "concepts.vocabulary",
    "Confidences": "dissection.dissect",
    "Convention": "dissection.conventions",
    "Dissection": "dissection.result",
    "Example": "concepts.vocabulary",
    "Frame": "concepts.frames",
    "Generator": "networks.generators",
    "LayerDissection": "dissection.result",
    "Machine": "statistics.scan",
    "Network": "networks.network",
    "Preprocessing": "networks.network",
    "Unit": "dissection.result",
    "UnitscopeError": "errors",
    "Vocabulary": "concepts.vocabulary",
    "compare_runs": "views.comparison",
    "dissect": "dissection.dissect",
    "limit": "concepts.derived",
    "list_layers": "networks.trace",
    "load": "dissection.storage",
    "load_network": "networks.load",
    "open_source": "networks.open_source",
    "pack_source": "concepts.packed",
    "save": "dissection.storage",
    "shuffle_labels": "concepts.derived",
    "tap": "networks.trace",
    "unite_sources": "concepts.union.union",
    "write_report": "views.report",
}

__all__ = [
    "CONVENTIONS",
    "Concept",
    "ConceptSource",
    "Confidences",
    "Convention",
    "Dissection",
    "Example",
    "Frame",
    "Generator",
    "LayerDissection",
    "Machine",
    "Network",
    "Preprocessing",
    "Unit",
    "UnitscopeError",
    "Vocabulary",
    "__version__",
    "compare_runs",
    "dissect",
    "limit",
    "list_layers",
    "load",
    "load_network",
    "open_source",
    "pack_source",
    "save",
    "shuffle_labels",
    "tap",
    "unite_sources",
    "write_report",
]


def __getattr__(name: str) -> object:
    # Names are imported when they are first used, so that `import unitscope` and `--help` stay quick.
    if name not in _HOMES:
        raise AttributeError(f"module 'unitscope' has no attribute {name!r}")
    return getattr(import_module(f"unitscope.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
