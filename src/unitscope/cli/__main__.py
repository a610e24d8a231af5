"""Lets `python -m unitscope.cli` run a command."""

import sys

from unitscope.cli import main

sys.exit(main())
