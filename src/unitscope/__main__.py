"""Lets `python -m unitscope` run a command."""

import sys

from unitscope.cli import main

sys.exit(main())
