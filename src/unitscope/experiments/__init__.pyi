from unitscope.experiments.erasure import Erasure as Erasure
from unitscope.experiments.erasure import study_erasure as study_erasure
from unitscope.experiments.removal import Removal as Removal
from unitscope.experiments.removal import study_removal as study_removal
