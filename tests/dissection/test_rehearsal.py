"""After a rehearsal no dissection waits for a compiler."""

import json
import subprocess
import sys

PROGRAM = """
import json
from numba import njit
from numba.core import event
import unitscope as us
from unitscope.dissection.dissect import Confidences
from unitscope.dissection.rehearsal import rehearse
from unitscope.statistics.scan import Machine

class Compiled(event.Listener):
    names = []
    def on_start(self, started):
        self.names.append(started.data["dispatcher"].__name__)
    def on_end(self, ended):
        pass

def heard(number):
    return number

rehearse()
network, source = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=30,seed=3,size=64")
with event.install_listener("numba:compile", Compiled()):
    for convention in ("netdissect", "pnas"):
        us.dissect(network, source, ["layer4"], convention=convention, shard_size=24,
                   confidences=Confidences(20, 20), machine=Machine(threads=2))
    njit(heard)(1)
print(json.dumps(Compiled.names))
"""


def test_after_a_rehearsal_a_dissection_compiles_nothing():
    done = subprocess.run([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, check=True, text=True)
    assert json.loads(done.stdout) == ["heard"]
