"""Writes docs/cli.md from the command line's own help, without what other packages on this machine bring."""

import contextlib
import io
import os
import re
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from unittest import mock

from unitscope import plugins
from unitscope.cli import list_commands, main

PAGE = Path(__file__).parent / "cli.md"
HEAD = """\
# The command line

`unitscope COMMAND --help` prints what is written here.

- NETWORK is `efficientnet-lite0`, `torchvision:NAME`, `timm:NAME`, `hf:REPO`, `diffusers:FOLDER[,steps=N]`,
  `zoo:NAME`, `head:FILE` (what `unitscope zoo head` wrote, on its network), or `file.py:factory`.
- SOURCE is `drawn[:count=..,seed=..,size=..]`, `folder:DIR[,category=..,masks=DIR,list=FILE]`,
  `broden:DIR[,split=..]`, another published set by its word, such as `ade20k:DIR` or `imagenet:DIR`,
  `file.py:factory[,option=value]`, what a function of yours returns,
  `segmenter:NAME,images=SOURCE` (`zoo:segmenter`, a FILE that `zoo train segmenter --images ..` wrote,
  or `file.py:factory`), `generator:NAME[,count=..,seed=..]`, or what a package brings by name.
  All but `segmenter:` take more options, which apply in their order: `limit=N`, the first images;
  `half=train` or `half=test`, two halves that share no image and have the same mix of image-level labels
  (`half=test:0.7:1`: 0.7 of them to train on, by the seed 1); `shuffle=SEED`, every image with the labels of
  another one; `quadrants=CATEGORY`, four more parts for each of its concepts: the top, bottom, left and right
  halves of every piece (`tree-t`, `tree-b`, `tree-l`, `tree-r`); `owners=own` or `owners=FILE`, parts only at
  pixels of what they belong to, as a segmenter knows it or a CSV says; the last two `segmenter:` takes too.
- NAME of a segmenter is `zoo:segmenter`, `hf:FOLDER[,names=FILE]` (SegFormer, UperNet, Mask2Former; CLIPSeg
  with `,phrases=tree|old house`), `FILE.onnx,names=FILE[,input=imagenet|unit|centered]`, or `file.py:factory`
  ([more](how-to/segmenters.md)). A generator's own images need no source:
  `segmenter:NAME[,count=..,seed=..]`.
- MODEL of `describe` is `hf:FOLDER` (CLIP, SigLIP), `openclip:FOLDER` or `openclip:NAME,weights=FILE`,
  `zoo:captioned`, `file.py:factory`, or what a package brings; LIST is a file with a word a line,
  `vocabulary:SOURCE` or `wordnet:nouns` ([more](how-to/words.md)).
- Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C, 143 by `kill`. An error is one
  line.
"""


def help_text(command: str) -> str:
    """What `unitscope COMMAND --help` prints, 100 columns wide, without colors."""
    printed = io.StringIO()
    plain = mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
    with plain, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed.getvalue())
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def own_entries(group: str) -> EntryPoints:
    """The entry points of unitscope, without those of other packages."""
    found = entry_points(group=group)
    return EntryPoints(entry for entry in found if entry.dist and entry.dist.name == "unitscope")


def cli_page() -> str:
    """The page, with the help of every command."""
    with mock.patch.object(plugins, "list_entries", own_entries):
        parts = [HEAD, f"```text\n{help_text('')}\n```\n"]
        parts += [f"## {command}\n\n```text\n{help_text(command)}\n```\n" for command in list_commands()]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(cli_page(), "utf-8")
