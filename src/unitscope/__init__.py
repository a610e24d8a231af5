"""A microscope for the hidden units of vision networks.

The one door: sources of concepts and networks go in, `dissect` relates them in one pass, and a
`Dissection` comes out, which is saved, shown and compared.

>>> import unitscope
>>> "dissect" in unitscope.__all__
True
"""

from unitscope.doors import NOTEBOOKS, open_door

__getattr__, __dir__, __all__ = open_door(__name__, __file__)

NOTEBOOKS["unitscope.dissection.result:Dissection"] = "unitscope.views.notebook:dissection_html"
