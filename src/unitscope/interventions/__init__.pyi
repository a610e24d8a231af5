from unitscope.interventions.edits import Edit as Edit
from unitscope.interventions.edits import edited as edited
from unitscope.interventions.edits import set_units as set_units
from unitscope.interventions.explanation import Explanation as Explanation
from unitscope.interventions.explanation import explain_image as explain_image
