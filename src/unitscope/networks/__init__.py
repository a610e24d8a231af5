"""What is dissected: networks, their layers, their preprocessing."""

NETWORK_KINDS = (
    "torchvision:NAME",
    "timm:NAME",
    "hf:FOLDER",
    "efficientnet-lite0",
    "head:FILE",
    "FILE.py:FACTORY",
)
"""How networks are named that need no plug-in, for help and messages; `networks.load` opens them."""
